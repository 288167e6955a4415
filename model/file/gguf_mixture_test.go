package file

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact/gguf"
	"github.com/seed-b72bdb6c/alma/model"
)

// What llama.cpp gives: of 18 layers and 640 columns it is Gemma 3 270M's Q4_K_M, whose
// file alma export --dtype q4_k_m writes again block for block (scripts/real-models.sh --all).
func TestAMixtureGivesAMatrixTheTypeThatLlamaCppDoes(t *testing.T) {
	for _, c := range []struct {
		mixture, tensor string
		row, layers     int
		tied            bool
		wanted, got     gguf.Type
	}{
		{"q4_k_m", "token_embd.weight", 640, 18, true, gguf.Q6_K, gguf.Q8_0},
		{"q4_k_m", "token_embd.weight", 2048, 16, true, gguf.Q6_K, gguf.Q6_K},
		{"q4_k_m", "token_embd.weight", 2048, 16, false, gguf.Q4_K, gguf.Q4_K},
		{"q4_k_m", "output.weight", 2048, 16, false, gguf.Q6_K, gguf.Q6_K},
		{"q4_k_m", "blk.0.attn_q.weight", 640, 18, true, gguf.Q4_K, gguf.Q5_0},
		{"q4_k_m", "blk.0.attn_output.weight", 1024, 18, true, gguf.Q4_K, gguf.Q4_K},
		{"q4_k_m", "blk.0.attn_v.weight", 640, 18, true, gguf.Q6_K, gguf.Q8_0},
		{"q4_k_m", "blk.2.attn_v.weight", 640, 18, true, gguf.Q4_K, gguf.Q5_0},
		{"q4_k_m", "blk.0.attn_qkv.weight", 768, 12, true, gguf.Q5_K, gguf.Q5_K},
		{"q4_k_m", "blk.0.ffn_up.weight", 2048, 18, true, gguf.Q4_K, gguf.Q4_K},
		{"q5_k_m", "blk.2.attn_q.weight", 576, 18, true, gguf.Q5_K, gguf.Q5_1},
		{"q5_k_m", "blk.2.attn_qkv.weight", 768, 12, true, gguf.Q6_K, gguf.Q6_K},
		{"q6_k", "blk.2.attn_q.weight", 576, 18, true, gguf.Q6_K, gguf.Q8_0},
		{"q4_0", "blk.0.attn_v.weight", 576, 18, true, gguf.Q4_0, gguf.Q4_0},
		{"q4_0", "output.weight", 576, 18, false, gguf.Q6_K, gguf.Q8_0},
		{"q4_1", "output.weight", 512, 18, false, gguf.Q6_K, gguf.Q6_K},
		{"q4_0", "blk.0.attn_q.weight", 48, 18, true, gguf.Q4_0, gguf.F16},
		{"q6_k", "blk.0.attn_q.weight", 48, 18, true, gguf.Q6_K, gguf.F16},
		{"q8_0", "output.weight", 512, 18, false, gguf.Q8_0, gguf.Q8_0},
		{"bf16", "output.weight", 7, 18, false, gguf.BF16, gguf.BF16},
	} {
		m, ok := MixtureOf(c.mixture)
		if wanted, got := m.of(c.tensor, c.row, c.layers, c.tied); !ok || wanted != c.wanted || got != c.got {
			t.Errorf("%s: %s with rows of %d in %d layers is %s, for want of %s; want %s for %s", c.mixture, c.tensor, c.row, c.layers, got, wanted, c.got, c.wanted)
		}
	}
	for layers, want := range map[int][]int{
		2:  {1},
		18: {0, 1, 4, 7, 10, 13, 15, 16, 17},
		32: {0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31},
	} {
		var got []int
		m, _ := MixtureOf("q4_k_m")
		for layer := range layers {
			if _, t := m.of(fmt.Sprintf("blk.%d.ffn_down.weight", layer), 2048, layers, true); t == gguf.Q6_K {
				got = append(got, layer)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("of %d layers %v get more bits, want %v", layers, got, want)
		}
	}
}

func TestEveryMixtureOpensAgain(t *testing.T) {
	c := tiny(model.Llama)
	c.Width, c.Heads, c.KVHeads, c.HeadDim, c.FeedForward, c.Layers = 256, 4, 2, 64, 96, 3
	m := newModel(t, newCPU(t), c, 1)
	randomWeights(t, m)
	sizes := []int64{}
	for _, mixture := range Mixtures {
		path := saveGGUF(t, m, letters(t), mixture.Name)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, info.Size())
		again, err := Load(m.Engine, path)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range c.Parameters() {
			var off, all float64
			a, b := read(t, m, p.Name), read(t, again, p.Name)
			for i := range a {
				d := float64(a[i]) - float64(b[i])
				off, all = off+d*d, all+float64(a[i])*float64(a[i])
			}
			if off > .09*.09*all {
				t.Errorf("%s: %s is %.2g off", mixture.Name, p.Name, off/all)
			}
		}
	}
	if !slices.IsSortedFunc(sizes[1:], func(a, b int64) int { return int(b - a) }) {
		t.Errorf("sizes %v do not fall", sizes)
	}
}

func TestAMatrixKeepsTheBlocksThatItCameFrom(t *testing.T) {
	c := tiny(model.Llama)
	c.Width, c.Heads, c.KVHeads, c.HeadDim, c.FeedForward = 256, 4, 2, 64, 256
	tok := letters(t)
	first := newModel(t, newCPU(t), c, 1)
	randomWeights(t, first)
	path := saveGGUF(t, first, tok, "q4_k_m")
	m, err := Load(first.Engine, path)
	if err != nil {
		t.Fatal(err)
	}
	changed := "model.layers.1.mlp.up_proj.weight"
	values := read(t, m, changed)
	values[9] += .1
	if err := m.Store.Write(changed, values); err != nil {
		t.Fatal(err)
	}
	from, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	mixture, _ := MixtureOf("q4_k_m")
	var b bytes.Buffer
	matrices, err := WriteGGUF(&b, m, tok, nil, About{}, mixture, from)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range matrices {
		if kept := x.Parameter != changed; x.BlocksKept != kept || x.Before.Quantized() != kept {
			t.Errorf("%s: blocks kept %v, before %s", x.Parameter, x.BlocksKept, x.Before)
		}
	}
	again := filepath.Join(t.TempDir(), "again.gguf")
	if err := os.WriteFile(again, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	to, err := gguf.Open(again)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	for _, info := range from.Tensors() {
		x, errX := from.Blocks(info.Name)
		y, errY := to.Blocks(info.Name)
		if errX != nil || errY != nil || bytes.Equal(x, y) == (info.Name == "blk.1.ffn_up.weight") {
			t.Errorf("%s: the same blocks %v (%v, %v)", info.Name, bytes.Equal(x, y), errX, errY)
		}
	}
	mixture, _ = MixtureOf("q4_0")
	matrices, err = WriteGGUF(&bytes.Buffer{}, m, tok, nil, About{}, mixture, from)
	for _, x := range matrices {
		if err != nil || x.BlocksKept && x.Type != x.Before || x.Before == gguf.Q4_K && x.BlocksKept {
			t.Errorf("%s: %+v (%v)", x.Parameter, x, err)
		}
	}
}
