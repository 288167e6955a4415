package file

import (
	"slices"
	"strconv"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact/gguf"
)

// A Mixture says which type each matrix of a GGUF file gets. Its names are those of
// llama.cpp's quantisations, and so is what a matrix gets (without an importance
// matrix): most get the type of the name, those that cost most where they are coarse
// one of more bits.
type Mixture struct {
	Name   string // "q4_k_m", as llama.cpp's in lower case
	number uint32 // of general.file_type
	// Most is the type of most matrices.
	Most gguf.Type
	// output is the type of the matrix that gives the logits, also where that is the
	// embedding.
	output gguf.Type
	// more is the type of attn_v and ffn_down in about half of the layers, fused that of
	// attn_qkv; F32, the zero, stands for that of most.
	more, fused gguf.Type
}

// Mixtures lists what is written, from the largest to the smallest where rows are
// multiples of the blocks.
var Mixtures = []Mixture{
	{Name: "f32", number: 0, Most: gguf.F32, output: gguf.F32},
	{Name: "f16", number: 1, Most: gguf.F16, output: gguf.F16},
	{Name: "bf16", number: 32, Most: gguf.BF16, output: gguf.BF16},
	{Name: "q8_0", number: 7, Most: gguf.Q8_0, output: gguf.Q8_0},
	{Name: "q6_k", number: 18, Most: gguf.Q6_K, output: gguf.Q6_K},
	{Name: "q5_k_m", number: 17, Most: gguf.Q5_K, output: gguf.Q6_K, more: gguf.Q6_K, fused: gguf.Q6_K},
	{Name: "q4_1", number: 3, Most: gguf.Q4_1, output: gguf.Q6_K},
	{Name: "q4_k_m", number: 15, Most: gguf.Q4_K, output: gguf.Q6_K, more: gguf.Q6_K, fused: gguf.Q5_K},
	{Name: "q4_0", number: 2, Most: gguf.Q4_0, output: gguf.Q6_K},
}

// MixtureOf finds a mixture by its name.
func MixtureOf(name string) (Mixture, bool) {
	i := slices.IndexFunc(Mixtures, func(m Mixture) bool { return m.Name == name })
	if i < 0 {
		return Mixture{}, false
	}
	return Mixtures[i], true
}

// Quantized tells whether the mixture has a type whose elements share a scale.
func (m Mixture) Quantized() bool { return m.Most.Quantized() }

// narrower are the types that a matrix gets whose rows are no multiple of the 256
// elements of a block: blocks of 32 with about as many bits, as llama.cpp has it.
var narrower = map[gguf.Type]gguf.Type{gguf.Q4_K: gguf.Q5_0, gguf.Q5_K: gguf.Q5_1, gguf.Q6_K: gguf.Q8_0}

// of returns the type of a matrix by the name of its tensor, and the one that it gets
// where its rows of so many elements are no multiple of that type's blocks. tied tells
// that the embedding gives the logits.
func (m Mixture) of(tensor string, row, layers int, tied bool) (wanted, got gguf.Type) {
	wanted = m.Most
	number, part, _ := strings.Cut(strings.TrimPrefix(tensor, "blk."), ".")
	layer, _ := strconv.Atoi(number)
	switch {
	case tensor == "output.weight" || tied && tensor == "token_embd.weight":
		wanted = m.output
	case m.more != gguf.F32 && (part == "attn_v.weight" || part == "ffn_down.weight") && hasMoreBits(layer, layers):
		wanted = m.more
	case m.fused != gguf.F32 && part == "attn_qkv.weight":
		wanted = m.fused
	}
	fits := func(t gguf.Type) bool { elements, _ := t.Block(); return row%elements == 0 }
	got = wanted
	if other, ok := narrower[got]; ok && !fits(got) {
		got = other
	}
	if !fits(got) {
		got = gguf.F16
	}
	return wanted, got
}

// hasMoreBits tells of which layers the sensitive matrices get more bits: the first
// and the last eighth, and every third of those between.
func hasMoreBits(layer, layers int) bool {
	eighth := layers / 8
	return layer < eighth || layer >= 7*layers/8 || (layer-eighth)%3 == 2
}

// A Matrix is a parameter that a mixture gave its type.
type Matrix struct {
	Parameter  string
	Rows       int       // how many
	Row        int       // elements of one
	Type       gguf.Type // of the tensor
	Wanted     gguf.Type // what the mixture has for it, where its rows are multiples of the blocks
	Before     gguf.Type // quantised type in the file that these very values come from, F32 for none
	BlocksKept bool      // its blocks are those of that file
}
