package file

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/artifact/gguf"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// letters is a tokenizer of 20 tokens, fewer than the tiny models' embeddings
// have rows.
func letters(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	p := tokenizer.Parts{Model: "llama", AddBOS: true, IDs: map[string]int32{"unknown": 0, "bos": 1, "eos": 2, "padding": 3}, ChatTemplate: "{{ messages }}"}
	for i, token := range append([]string{"<unk>", "<s>", "</s>", "<pad>"}, strings.Split("▁abcdefghijklmno", "")...) {
		kind := int32(1)
		if i < 4 {
			kind = 3
		}
		p.Tokens, p.Types, p.Scores = append(p.Tokens, token), append(p.Types, kind), append(p.Scores, 0)
	}
	tok, err := tokenizer.NewFromParts(p)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// ggufVariants are the tiny models that a GGUF file can hold.
func ggufVariants() map[string]model.Config {
	all := make(map[string]model.Config)
	for name, c := range variants() {
		if _, _, err := ggufMetadata(c); err == nil {
			all[name] = c
		}
	}
	mistral := tiny(model.Mistral)
	mistral.Window, mistral.Windowed = 0, nil
	all["mistral without a window"] = mistral
	yarn := tiny(model.Llama)
	yarn.HeadDim, yarn.RoPETheta = 16, 500
	yarn.RoPEScaling = model.RoPEScaling{Type: "yarn", Factor: 4, Original: 600, BetaFast: 32, BetaSlow: 1, AttentionFactor: model.YaRNAttention(4)}
	all["llama with yarn"] = yarn
	yarn.RoPEScaling.AttentionFactor *= 1.25
	all["llama with yarn and more attention"] = yarn
	gemma := tiny(model.Gemma3)
	gemma.QueryScalar = float64(gemma.HeadDim)
	all["gemma3 with a pattern of its own"] = gemma
	gemma.Window, gemma.Windowed = 0, nil
	gemma.RoPEScaling = model.RoPEScaling{Type: "linear", Factor: 8}
	all["gemma3 without windows"] = gemma
	gemma.Layers, gemma.Window, gemma.Windowed = 6, 3, []bool{true, true, true, true, true, false}
	all["gemma3 with its pattern"] = gemma
	return all
}

// randomWeights fills all parameters, norms too, so that nothing is right only
// because it is 0 or 1.
func randomWeights(t testing.TB, m *model.Model) {
	t.Helper()
	for _, p := range m.Parameters() {
		data := make([]float32, compute.Shape(p.Shape).Size())
		for i := range data {
			data[i] = float32(.3 * compute.Normal(7, compute.Stream(p.Name), uint64(i)))
			if len(p.Shape) == 1 {
				data[i] += p.Fill
			}
		}
		if err := m.Store.Write(p.Name, data); err != nil {
			t.Fatal(err)
		}
	}
}

func saveGGUF(t testing.TB, m *model.Model, tok *tokenizer.Tokenizer, name string) string {
	t.Helper()
	mixture, ok := MixtureOf(name)
	if !ok {
		t.Fatal(name)
	}
	var b bytes.Buffer
	if _, err := WriteGGUF(&b, m, tok, nil, About{Name: "tiny"}, mixture, nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "model.gguf")
	if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAGGUFFileHoldsTheSameModel(t *testing.T) {
	engine, tok := newCPU(t), letters(t)
	for name, c := range ggufVariants() {
		t.Run(name, func(t *testing.T) {
			m := newModel(t, engine, c, 1)
			randomWeights(t, m)
			again, err := Load(engine, saveGGUF(t, m, tok, "f32"))
			if err != nil {
				t.Fatal(err)
			}
			want := c
			want.InitRange, want.BOS, want.EOS, want.Pad, want.Ends = .02, 1, 2, 3, again.Ends
			if c.Family == model.Mistral {
				want.Family = model.Llama
			}
			if c.Window == 0 && c.Family == model.Gemma3 {
				want.Window, want.Windowed = again.Window, again.Windowed // it does not matter in which way there is none
			}
			if !reflect.DeepEqual(again.Config, want) {
				t.Errorf("configuration:\n%+v\nwant\n%+v", again.Config, want)
			}
			for _, p := range c.Parameters() {
				a, b := read(t, m, p.Name), read(t, again, p.Name)
				for i := range a {
					if a[i] != b[i] && !(c.Family == model.Gemma3 && math.Abs(float64(a[i]-b[i])) < 1e-7) {
						t.Fatalf("%s: element %d is %g, want %g", p.Name, i, b[i], a[i])
					}
				}
			}
			if tokens := []int32{1, 5, 6, 7, 8, 9, 10}; !slices.Equal(logits(t, m, tokens), logits(t, again, tokens)) {
				t.Errorf("the logits differ")
			}
		})
	}
}

// The pairs that llama.cpp rotates are neighbours; those of the checkpoint are
// half a head apart.
func TestLlamasQueriesAndKeysAreReordered(t *testing.T) {
	m := newModel(t, newCPU(t), tiny(model.Llama), 1)
	f, err := gguf.Open(saveGGUF(t, m, letters(t), "f32"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for tensor, name := range map[string]string{"blk.1.attn_q.weight": "model.layers.1.self_attn.q_proj.weight", "blk.0.attn_k.weight": "model.layers.0.self_attn.k_proj.weight"} {
		got, err := f.Float32(tensor)
		if err != nil {
			t.Fatal(err)
		}
		want, d := read(t, m, name), m.Width
		for row, from := range []int{0, 2, 1, 3, 4, 6, 5, 7} { // heads of 4 rows
			if !slices.Equal(got[row*d:][:d], want[from*d:][:d]) {
				t.Errorf("%s: row %d is not row %d of %s", tensor, row, from, name)
			}
		}
	}
}

func TestGPT2sMatricesAreTransposed(t *testing.T) {
	m := newModel(t, newCPU(t), tiny(model.GPT2), 1)
	f, err := gguf.Open(saveGGUF(t, m, letters(t), "f32"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, _ := f.Tensor("blk.0.attn_qkv.weight")
	got, err := f.Float32("blk.0.attn_qkv.weight")
	if err != nil {
		t.Fatal(err)
	}
	want := read(t, m, "transformer.h.0.attn.c_attn.weight") // [16, 48]
	if !slices.Equal(info.Shape, []int{48, 16}) || got[1*16+3] != want[3*48+1] {
		t.Errorf("shape %v, element [1, 3] %g, want [48 16] and %g", info.Shape, got[1*16+3], want[3*48+1])
	}
}

func TestTypesOfAGGUFFileRoundTheMatricesAlone(t *testing.T) {
	c := tiny(model.Qwen3)
	c.Width, c.FeedForward = 32, 48
	m := newModel(t, newCPU(t), c, 1)
	randomWeights(t, m)
	for kind, most := range map[string]float64{"f16": 1. / 2048, "bf16": 1. / 256, "q8_0": 1. / 100} {
		path := saveGGUF(t, m, letters(t), kind)
		f, err := gguf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		types := make(map[gguf.Type]int)
		for _, info := range f.Tensors() {
			types[info.Type]++
			if len(info.Shape) == 1 && info.Type != gguf.F32 {
				t.Errorf("%s: %s is %s", kind, info.Name, info.Type)
			}
		}
		f.Close()
		if kind == "q8_0" && (types[gguf.Q8_0] == 0 || types[gguf.F16] == 0) { // o_proj has rows of 16, down_proj of 48
			t.Errorf("%s: tensors by type %v", kind, types)
		}
		again, err := Load(m.Engine, path)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range c.Parameters() {
			a, b := read(t, m, p.Name), read(t, again, p.Name)
			for i := range a {
				if limit := most * (.5 + math.Abs(float64(a[i]))); math.Abs(float64(a[i]-b[i])) > limit || len(p.Shape) == 1 && a[i] != b[i] {
					t.Fatalf("%s: %s: element %d is %g, want %g", kind, p.Name, i, b[i], a[i])
				}
			}
		}
	}
}

func TestATokenizerComesBackFromAGGUFFile(t *testing.T) {
	m, tok := newModel(t, newCPU(t), tiny(model.Llama), 1), letters(t)
	again, err := LoadTokenizer(saveGGUF(t, m, tok, "f32"))
	if err != nil {
		t.Fatal(err)
	}
	if again.VocabSize() != m.Vocabulary {
		t.Errorf("%d tokens, want the model's %d", again.VocabSize(), m.Vocabulary)
	}
	for _, text := range []string{"", "abc ab", "  hallo", "[PAD21]"} {
		if got, want := again.Wrap(again.Encode(text)), tok.Wrap(tok.Encode(text)); !slices.Equal(got, want) {
			t.Errorf("%q: ids %v, want %v", text, got, want)
		}
	}
	if again.ChatTemplate() != tok.ChatTemplate() {
		t.Errorf("chat template %q", again.ChatTemplate())
	}
}

func TestATokenizerLargerThanTheEmbeddingIsRefusedWithBothShapes(t *testing.T) {
	c := tiny(model.Llama)
	c.Vocabulary = 4
	_, err := WriteGGUF(io.Discard, newModel(t, newCPU(t), c, 1), letters(t), nil, About{}, Mixtures[0], nil)
	if !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), `tensor "model.embed_tokens.weight" has shape [4 16]`) || !strings.Contains(err.Error(), "take the tokenizer that the model was trained with") {
		t.Errorf("%v", err)
	}
}

// rewritten is a GGUF file of m with its metadata and tensors changed.
func rewritten(t *testing.T, m *model.Model, change func(entries *[]gguf.Entry, tensors *[]gguf.Tensor)) string {
	t.Helper()
	f, err := gguf.Open(saveGGUF(t, m, letters(t), "f32"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	entries := slices.Clone(f.Entries())
	var tensors []gguf.Tensor
	for _, info := range f.Tensors() {
		tensors = append(tensors, gguf.Tensor{Name: info.Name, Shape: info.Shape, Type: gguf.F32, Values: func() ([]float32, error) { return f.Float32(info.Name) }})
	}
	change(&entries, &tensors)
	var b bytes.Buffer
	if err := gguf.Write(&b, entries, tensors); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "changed.gguf")
	if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAGGUFFileThatDoesNotFitIsRefusedByName(t *testing.T) {
	engine := newCPU(t)
	set := func(key string, value any) func(*[]gguf.Entry, *[]gguf.Tensor) {
		return func(entries *[]gguf.Entry, _ *[]gguf.Tensor) {
			*entries = slices.DeleteFunc(*entries, func(e gguf.Entry) bool { return e.Key == key })
			if value != nil {
				*entries = append(*entries, gguf.Entry{Key: key, Value: value})
			}
		}
	}
	tensor := func(name string, change func(*gguf.Tensor)) func(*[]gguf.Entry, *[]gguf.Tensor) {
		return func(_ *[]gguf.Entry, tensors *[]gguf.Tensor) {
			i := slices.IndexFunc(*tensors, func(x gguf.Tensor) bool { return x.Name == name })
			if change == nil {
				*tensors = slices.Delete(*tensors, i, i+1)
			} else {
				change(&(*tensors)[i])
			}
		}
	}
	add := func(name string, shape ...int) func(*[]gguf.Entry, *[]gguf.Tensor) {
		return func(_ *[]gguf.Entry, tensors *[]gguf.Tensor) {
			*tensors = append(*tensors, gguf.Tensor{Name: name, Shape: shape, Type: gguf.F32, Values: func() ([]float32, error) {
				return slices.Repeat([]float32{3}, compute.Shape(shape).Size()), nil
			}})
		}
	}
	for name, c := range map[string]struct {
		change func(*[]gguf.Entry, *[]gguf.Tensor)
		says   string
		kind   error
	}{
		"no architecture":      {set("general.architecture", nil), `"general.architecture" is missing`, artifact.ErrCorrupt},
		"architecture":         {set("general.architecture", "mamba"), `"mamba", which alma does not have; it has gpt2, llama`, artifact.ErrUsage},
		"adapter":              {set("general.type", "adapter"), "general.type is adapter", artifact.ErrUsage},
		"split":                {set("split.count", uint16(2)), "it is one of 2 parts of a model", artifact.ErrUsage},
		"unknown key":          {set("llama.colour", float32(8)), `open it with --accept-keys llama.colour`, artifact.ErrUsage},
		"clamped":              {set("llama.attention.clamp_kqv", float32(8)), `"llama.attention.clamp_kqv" is 8; alma computes only 0`, artifact.ErrUsage},
		"a layout":             {set("llama.tensor_data_layout", "upside down"), `"llama.tensor_data_layout" is upside down`, artifact.ErrUsage},
		"experts":              {set("llama.expert_count", uint32(8)), `"llama.expert_count" is 8; alma computes only 0`, artifact.ErrUsage},
		"a size missing":       {set("llama.block_count", nil), `"llama.block_count" is missing`, artifact.ErrCorrupt},
		"a size of text":       {set("llama.block_count", "2"), `"llama.block_count" is of type string`, artifact.ErrCorrupt},
		"a size for a layer":   {set("llama.feed_forward_length", []int32{24, 24}), `is of type []int32, want an integer`, artifact.ErrCorrupt},
		"many layers":          {set("llama.block_count", uint32(1<<30)), "too few for the 1073741824 layers", artifact.ErrCorrupt},
		"one layer more":       {set("llama.block_count", uint32(3)), `"blk.2.attn_norm.weight" is missing; the metadata ask for it with shape [16]`, artifact.ErrCorrupt},
		"one layer less":       {set("llama.block_count", uint32(1)), `tensor "blk.1.`, artifact.ErrCorrupt},
		"no heads":             {set("llama.attention.head_count", uint32(0)), "head_count is 0", artifact.ErrUsage},
		"wide feed-forward":    {set("llama.feed_forward_length", uint32(25)), `"blk.0.ffn_gate.weight" has shape [24 16], the metadata ask for [25 16]`, artifact.ErrCorrupt},
		"vocabulary":           {set("llama.vocab_size", uint32(22)), "vocab_size is 22 and tensor token_embd.weight has shape [23 16]", artifact.ErrCorrupt},
		"half rotated":         {set("llama.rope.dimension_count", uint32(2)), "rope.dimension_count is 2", artifact.ErrUsage},
		"yarn":                 {set("llama.rope.scaling.type", "yarn"), `"llama.rope.scaling.factor" is missing`, artifact.ErrCorrupt},
		"longrope":             {set("llama.rope.scaling.type", "longrope"), `"longrope"`, artifact.ErrUsage},
		"window":               {set("llama.attention.sliding_window", uint32(4)), `"llama.attention.sliding_window" is 4`, artifact.ErrUsage},
		"no embedding":         {tensor("token_embd.weight", nil), `"token_embd.weight", of shape [vocabulary, width], is missing`, artifact.ErrCorrupt},
		"a tensor missing":     {tensor("blk.1.attn_v.weight", nil), `"blk.1.attn_v.weight" is missing; the metadata ask for it with shape [8 16]`, artifact.ErrCorrupt},
		"a tensor more":        {add("blk.0.ssm_a", 3), `"blk.0.ssm_a" is not a parameter`, artifact.ErrCorrupt},
		"a shape":              {tensor("output_norm.weight", func(x *gguf.Tensor) { x.Shape = []int{4, 4} }), `"output_norm.weight" has shape [4 4], the metadata ask for [16]`, artifact.ErrCorrupt},
		"other factors":        {add("rope_freqs.weight", 2), `"rope_freqs.weight" divides frequency 0 by 3`, artifact.ErrUsage},
		"factors of a size":    {add("rope_freqs.weight", 3), `"rope_freqs.weight" has shape [3], the metadata ask for [2]`, artifact.ErrCorrupt},
		"a tokenizer's id":     {set("tokenizer.ggml.eos_token_id", "2"), `"tokenizer.ggml.eos_token_id" is of type string`, artifact.ErrCorrupt},
		"few tokens":           {set("tokenizer.ggml.tokens", []string{"a"}), "", nil},
		"tokenizer's model":    {set("tokenizer.ggml.model", "rwkv"), `"rwkv"`, artifact.ErrUsage},
		"tokens of other type": {set("tokenizer.ggml.tokens", []int32{1}), "want an array of strings", artifact.ErrCorrupt},
	} {
		path := rewritten(t, newModel(t, engine, tiny(model.Llama), 1), c.change)
		_, err := Load(engine, path)
		if _, tokErr := LoadTokenizer(path); err == nil {
			err = tokErr
		}
		if err == nil || !strings.Contains(err.Error(), c.says) || c.kind != nil && !errors.Is(err, c.kind) {
			t.Errorf("%s: %v, want %v that says %q", name, err, c.kind, c.says)
		}
	}
}

func TestModelsThatGGUFCannotHoldAreRefusedByName(t *testing.T) {
	change := func(family model.Family, f func(*model.Config)) model.Config { c := tiny(family); f(&c); return c }
	for name, c := range map[string]struct {
		config model.Config
		says   string
	}{
		"scalar head":  {tiny(model.Llama).WithHead(model.Scalar), `head is "score"`},
		"encoder":      {tiny(model.BERT).WithHead(model.MaskedLanguageModel), `head is "mlm"`},
		"window":       {tiny(model.Mistral), "a window of 5 of 24 positions"},
		"query scalar": {tiny(model.Gemma3), "query_pre_attn_scalar is 7"},
		"exact GELU":   {change(model.GPT2, func(c *model.Config) { c.ExactGELU = true }), "GELU through erf"},
		"biases":       {change(model.Qwen3, func(c *model.Config) { c.AttentionBias = true }), "attention has biases"},
		"llama3 scaling": {change(model.Qwen3, func(c *model.Config) {
			c.RoPEScaling = model.RoPEScaling{Type: "llama3", Factor: 8, LowFactor: 1, HighFactor: 4, Original: 12}
		}), `rope_type is "llama3"`},
		"yarn with bounds": {change(model.Llama, func(c *model.Config) {
			c.RoPEScaling = model.RoPEScaling{Type: "yarn", Factor: 8, BetaFast: 16, BetaSlow: 1, Original: 12, AttentionFactor: 1}
		}), `rope_type is "yarn" with beta_fast 16`},
	} {
		if _, _, err := ggufMetadata(c.config); err == nil || !strings.Contains(err.Error(), c.says) || !errors.Is(err, artifact.ErrUsage) {
			t.Errorf("%s: %v, want an error that says %q", name, err, c.says)
		}
	}
}

// Files of Llama 3.1 and later give the scaling by the tensor alone.
func TestLlama3sFactorsAreRecognised(t *testing.T) {
	c := tiny(model.Llama)
	c.HeadDim, c.RoPETheta = 16, 500000
	c.RoPEScaling = model.RoPEScaling{Type: "llama3", Factor: 32, LowFactor: 1, HighFactor: 4, Original: 8192}
	engine := newCPU(t)
	path := rewritten(t, newModel(t, engine, c, 1), func(entries *[]gguf.Entry, _ *[]gguf.Tensor) {
		*entries = slices.DeleteFunc(*entries, func(e gguf.Entry) bool { return strings.HasPrefix(e.Key, "alma.") })
	})
	m, err := Load(engine, path)
	if err != nil {
		t.Fatal(err)
	}
	if m.RoPEScaling != c.RoPEScaling {
		t.Errorf("scaling %+v, want %+v", m.RoPEScaling, c.RoPEScaling)
	}
}

// ggufEdit is one change of a GGUF file: of the metadata entry at index key, or of the
// tensor of that index where it is tensor.
type ggufEdit struct {
	tensor bool
	key    uint8
	kind   uint8 // what becomes of it
	value  uint16
}

// ggufEdits reads edits, four bytes each.
func ggufEdits(data []byte) (edits []ggufEdit) {
	for ; len(data) >= 4 && len(edits) < 8; data = data[4:] {
		edits = append(edits, ggufEdit{data[0]&0x80 != 0, data[0] & 0x7f, data[1], binary.LittleEndian.Uint16(data[2:])})
	}
	return edits
}

// entry makes an edit of a metadata entry: another value of its own or another type,
// the key of another, none at all.
func (e ggufEdit) entry(entries []gguf.Entry) []gguf.Entry {
	i := int(e.key) % len(entries)
	kinds := []any{uint32(e.value), float32(e.value) / 256, e.value&1 != 0, fmt.Sprint("v", e.value%16), []int32{int32(e.value), 2, 2}, int64(e.value) - 100, []string{"a", fmt.Sprint(e.value)},
		[]bool{true, false}, math.Float32frombits(uint32(e.value) << 16), []float32{float32(e.value), 1}}
	switch kind := int(e.kind) % (len(kinds) + 2); kind {
	case len(kinds):
		return slices.Delete(entries, i, i+1)
	case len(kinds) + 1:
		key := entries[int(e.value)%len(entries)].Key
		if slices.ContainsFunc(entries, func(one gguf.Entry) bool { return one.Key == key+"x" }) {
			return entries
		}
		entries[i].Key = key + "x"
	default:
		entries[i].Value = kinds[kind]
	}
	return entries
}

// change makes an edit of a tensor: another shape, name, type, none.
func (e ggufEdit) change(tensors []gguf.Tensor) []gguf.Tensor {
	i := int(e.key) % len(tensors)
	t := &tensors[i]
	switch e.kind % 4 {
	case 0:
		return slices.Delete(tensors, i, i+1)
	case 1:
		t.Shape = slices.Clone(t.Shape)
		t.Shape[int(e.value)%len(t.Shape)] = 1 + int(e.value)%40
	case 2:
		t.Name += fmt.Sprint(e.value % 4)
	default:
		t.Type = []gguf.Type{gguf.F32, gguf.F16, gguf.BF16}[e.value%3]
	}
	return tensors
}

// FuzzGGUFModel holds the door to this: whatever a sound GGUF file's metadata and
// tensors say, opening its model and its tokenizer gives an error or a model of
// just these tensors. Its input changes the file of a tiny model, of the family that
// the first byte says: as bytes, a file would hardly stay sound.
func FuzzGGUFModel(f *testing.F) {
	engine, tok := newCPU(f), letters(f)
	families := []model.Family{model.GPT2, model.Llama, model.Qwen3, model.Gemma3}
	var bases []*gguf.File
	for _, family := range families {
		c := tiny(family)
		c.Layers, c.Width, c.FeedForward = 1, 8, 8
		c.HeadDim, c.QueryScalar = 2, min(c.QueryScalar, 2)
		if c.Windowed != nil {
			c.Windowed = c.Windowed[:1]
		}
		file, err := gguf.Open(saveGGUF(f, newModel(f, engine, c, 1), tok, "f32"))
		if err != nil {
			f.Fatal(err)
		}
		f.Cleanup(func() { file.Close() })
		bases = append(bases, file)
	}
	for family := range families {
		f.Add([]byte{byte(family)})
		f.Add([]byte{byte(family), 5, 0, 1, 0})                // a number
		f.Add([]byte{byte(family), 9, 10, 0, 0, 3, 4, 9, 0})   // a key less, a list
		f.Add([]byte{byte(family), 0x83, 1, 7, 0, 0x81, 0, 0}) // a shape, a tensor less
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 {
			return
		}
		base := bases[int(data[0])%len(bases)]
		entries := slices.Clone(base.Entries())
		var tensors []gguf.Tensor
		for _, info := range base.Tensors() {
			tensors = append(tensors, gguf.Tensor{Name: info.Name, Shape: info.Shape, Type: info.Type})
		}
		for _, edit := range ggufEdits(data[1:]) {
			if edit.tensor && len(tensors) > 0 {
				tensors = edit.change(tensors)
			} else if len(entries) > 0 {
				entries = edit.entry(entries)
			}
		}
		for i := range tensors {
			n := compute.Shape(tensors[i].Shape).Size()
			tensors[i].Values = func() ([]float32, error) { return make([]float32, n), nil }
		}
		var b bytes.Buffer
		if err := gguf.Write(&b, entries, tensors); err != nil {
			return // names that come twice
		}
		file, err := gguf.Parse("fuzz.gguf", bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			return
		}
		if parts, err := partsOfGGUF(file); err == nil {
			if tok, err := tokenizer.NewFromParts(parts); err == nil && tok.VocabSize() != len(parts.Tokens) {
				t.Errorf("%d tokens, want %d", tok.VocabSize(), len(parts.Tokens))
			}
		}
		c, a, err := configOfGGUF(file)
		if err != nil {
			return
		}
		names, err := a.match(c, file)
		if err != nil {
			return
		}
		for i, p := range c.Parameters() {
			if values, err := file.Float32(names[i]); err != nil || len(a.fromFile(c, p, values)) != compute.Shape(p.Shape).Size() {
				t.Errorf("%s: %d values, %v", p.Name, len(values), err)
			}
		}
	})
}

func TestAFileSaysOfItsOriginWhatItWasToldAndNothingElse(t *testing.T) {
	m, tok := newModel(t, newCPU(t), tiny(model.Llama), 1), letters(t)
	for _, about := range []About{
		{},
		{Licence: "mit"},
		{Name: "Tiny 1", Author: "A. Body", Licence: "other", LicenceName: "tiny-1", LicenceLink: "https://example.org/tiny"},
	} {
		var b bytes.Buffer
		if _, err := WriteGGUF(&b, m, tok, nil, about, Mixtures[0], nil); err != nil {
			t.Fatal(err)
		}
		file, err := gguf.Parse("tiny.gguf", bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			t.Fatal(err)
		}
		if got := AboutGGUF(file); got != about {
			t.Errorf("the file says %+v, want %+v", got, about)
		}
		for _, f := range about.facts() {
			if file.Has(f.gguf) != (*f.value != "") {
				t.Errorf("%+v: the file has %s: %v", about, f.gguf, file.Has(f.gguf))
			}
		}
	}
}
