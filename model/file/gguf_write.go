package file

import (
	"fmt"
	"io"
	"slices"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/artifact/gguf"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// WriteGGUF writes a language model with its tokenizer as a GGUF file that
// llama.cpp and what is built on it open. Matrices get the types of the mixture, and
// are returned; norms, biases and learned positions stay F32, as llama.cpp expects.
// ends are the tokens that end a text, of which the format has places for three: what
// is left over is told to OnNote. Of where the model comes from the file says what
// about says, and nothing else. What the format cannot say of a model is an error that
// names it, an [artifact.ErrUsage].
//
// from, if not nil, is a file that the model, or what it was made of, was read from. A
// matrix that holds just the values of its tensor there, and gets the same type, keeps
// its blocks: quantised a second time it could only lose.
func WriteGGUF(w io.Writer, m *model.Model, t *tokenizer.Tokenizer, ends []int32, about About, mixture Mixture, from *gguf.File) ([]Matrix, error) {
	entries, a, err := ggufMetadata(m.Config)
	if err != nil {
		return nil, err
	}
	general := []gguf.Entry{
		{Key: "general.architecture", Value: a.name}, {Key: "general.type", Value: "model"}, {Key: "general.file_type", Value: mixture.number},
	}
	if mixture.Quantized() {
		general = append(general, gguf.Entry{Key: "general.quantization_version", Value: uint32(2)})
	}
	words, err := ggufTokenizer(t, m, ends)
	if err != nil {
		return nil, fmt.Errorf("writing GGUF: %w", err)
	}
	var tensors []gguf.Tensor
	var matrices []Matrix
	for _, p := range m.Parameters() {
		name, err := a.tensor(p)
		if err != nil {
			return nil, err
		}
		tensor := gguf.Tensor{Name: name, Shape: a.shape(p), Type: gguf.F32}
		tensor.Values = func() ([]float32, error) {
			values, err := intact(m, p)
			if err != nil {
				return nil, err
			}
			return a.toFile(m.Config, p, values), nil
		}
		if len(p.Shape) >= 2 && name != "position_embd.weight" {
			matrix := Matrix{Parameter: p.Name, Rows: tensor.Shape[0], Row: tensor.Shape[len(tensor.Shape)-1]}
			matrix.Wanted, matrix.Type = mixture.of(name, matrix.Row, m.Layers, m.Tied)
			if matrix.Before, err = quantizedIn(from, tensor); err != nil {
				return nil, err
			}
			tensor.Type = matrix.Type
			if matrix.BlocksKept = matrix.Before == matrix.Type && matrix.Before != gguf.F32; matrix.BlocksKept {
				tensor.Blocks = func() ([]byte, error) { return from.Blocks(name) }
			}
			matrices = append(matrices, matrix)
		}
		tensors = append(tensors, tensor)
	}
	if m.RoPEScaling.Type == "llama3" {
		factors := divisors(m.RoPEScaling, m.RoPETheta, m.HeadDim)
		tensors = append(tensors, gguf.Tensor{Name: ropeFactors, Shape: []int{len(factors)}, Type: gguf.F32, Values: func() ([]float32, error) { return factors, nil }})
	}
	return matrices, gguf.Write(w, slices.Concat(general, about.entries(), samplingEntries(m.Generation), entries, words), tensors)
}

// quantizedIn returns the quantised type of a tensor's values in another file, F32 if
// it has none of that name that is quantised, or other values.
func quantizedIn(f *gguf.File, t gguf.Tensor) (gguf.Type, error) {
	if f == nil {
		return gguf.F32, nil
	}
	info, ok := f.Tensor(t.Name)
	if !ok || !info.Type.Quantized() || !slices.Equal(info.Shape, t.Shape) {
		return gguf.F32, nil
	}
	theirs, err := f.Float32(t.Name)
	if err != nil {
		return gguf.F32, err
	}
	ours, err := t.Values()
	if err != nil || !slices.Equal(ours, theirs) {
		return gguf.F32, err
	}
	return info.Type, nil
}

// ggufMetadata lists a configuration as the metadata of its architecture.
func ggufMetadata(c model.Config) ([]gguf.Entry, *ggufArchitecture, error) {
	refuse := func(format string, args ...any) ([]gguf.Entry, *ggufArchitecture, error) {
		return nil, nil, artifact.Errorf(artifact.ErrUsage, "writing GGUF: "+format, args...)
	}
	if c.Head != model.LanguageModel {
		return refuse("the model's head is %q; alma writes language models", c.Head)
	}
	family := c.Family
	if family == model.Mistral { // without a window, which is refused below, it is a Llama
		family = model.Llama
	}
	i := slices.IndexFunc(ggufArchitectures, func(a *ggufArchitecture) bool { return a.family == family })
	if i < 0 {
		return refuse("the family %q has no architecture there that alma writes", c.Family)
	}
	a := ggufArchitectures[i]
	var entries []gguf.Entry
	add := func(key string, value any) {
		entries = append(entries, gguf.Entry{Key: a.name + "." + key, Value: value})
	}
	add("block_count", uint32(c.Layers))
	add("context_length", uint32(c.Context))
	add("embedding_length", uint32(c.Width))
	add("feed_forward_length", uint32(c.FeedForward))
	add("attention.head_count", uint32(c.Heads))
	add("vocab_size", uint32(c.Vocabulary))
	add(a.epsilon, float32(c.Epsilon))
	if family == model.GPT2 {
		if c.ExactGELU {
			return refuse("the feed-forward layers have GELU through erf; llama.cpp computes gpt2 with its tanh form")
		}
		return entries, a, nil
	}
	add("attention.head_count_kv", uint32(c.KVHeads))
	add("attention.key_length", uint32(c.HeadDim))
	add("attention.value_length", uint32(c.HeadDim))
	add("rope.dimension_count", uint32(c.HeadDim))
	add("rope.freq_base", float32(c.RoPETheta))
	if c.AttentionBias && family != model.Llama && family != model.Qwen2 {
		return refuse("attention has biases, for which the architecture %s has no tensors", a.name)
	}
	switch {
	case family == model.Gemma3:
		if want := float64(ggufQueryScalar(c.Layers, c.HeadDim, c.Heads, c.Width)); c.QueryScalar != want {
			return refuse("query_pre_attn_scalar is %g; llama.cpp computes gemma3 only with %g", c.QueryScalar, want)
		}
		add("rope.freq_base_swa", float32(c.LocalTheta))
		if c.Window > 0 {
			add("attention.sliding_window", uint32(c.Window))
			if !isPattern(c.Windowed, ggufDefaultPattern) {
				add("attention.sliding_window_pattern", c.Windowed)
			}
		}
	case c.Window > 0 && c.Window < c.Context:
		return refuse("layers see a window of %d of %d positions, which the architecture %s does not have", c.Window, c.Context, a.name)
	}
	switch s := c.RoPEScaling; s.Type {
	case "":
	case "linear":
		add("rope.scaling.type", s.Type)
		add("rope.scaling.factor", float32(s.Factor))
	case "llama3":
		if family != model.Llama {
			return refuse("rope_type is %q, which llama.cpp computes only for llama, not for %s", s.Type, a.name)
		}
		entries = append(entries, gguf.Entry{Key: ropeFactorKey, Value: s.Factor}, gguf.Entry{Key: ropeLowKey, Value: s.LowFactor},
			gguf.Entry{Key: ropeHighKey, Value: s.HighFactor}, gguf.Entry{Key: ropeOriginalKey, Value: uint32(s.Original)})
	case "yarn":
		// llama.cpp takes the bounds from its command line, not from the file.
		if s.Untruncated || s.BetaFast != 32 || s.BetaSlow != 1 {
			return refuse("rope_type is %q with beta_fast %g, beta_slow %g and truncate %v; llama.cpp computes it only with 32, 1 and true", s.Type, s.BetaFast, s.BetaSlow, !s.Untruncated)
		}
		add("rope.scaling.type", s.Type)
		add("rope.scaling.factor", float32(s.Factor))
		add("rope.scaling.original_context_length", uint32(s.Original))
		if want := model.YaRNAttention(s.Factor); s.AttentionFactor != want {
			add(yarnAttentionKeys[0], float32(s.AttentionFactor/want))
		}
	default:
		return refuse("rope_type is %q; alma writes %q, %q, %q and %q", s.Type, "default", "linear", "llama3", "yarn")
	}
	return entries, a, nil
}

// samplingEntries lists what the model's makers recommend, where it is not what is
// assumed of any model.
func samplingEntries(g model.Generation) (entries []gguf.Entry) {
	if len(g.StopStrings) > 0 {
		note("writing GGUF: the format has no key for the stop strings %q, and they are left out", g.StopStrings)
	}
	if g.Temperature != nil && *g.Temperature != 1 {
		entries = append(entries, gguf.Entry{Key: samplingTemperature, Value: float32(*g.Temperature)})
	}
	if g.TopK != nil {
		entries = append(entries, gguf.Entry{Key: samplingTopK, Value: int32(*g.TopK)})
	}
	if g.TopP != nil && *g.TopP != 1 {
		entries = append(entries, gguf.Entry{Key: samplingTopP, Value: float32(*g.TopP)})
	}
	if g.MinP != nil { // also 0: without it llama.cpp takes .05
		entries = append(entries, gguf.Entry{Key: samplingMinP, Value: float32(*g.MinP)})
	}
	if g.RepetitionPenalty != nil && *g.RepetitionPenalty != 1 {
		entries = append(entries, gguf.Entry{Key: samplingPenalty, Value: float32(*g.RepetitionPenalty)}, gguf.Entry{Key: samplingWindow, Value: int32(-1)})
	}
	return entries
}

// isPattern tells whether of every so many layers all but the last are windowed.
func isPattern(windowed []bool, pattern int) bool {
	for i, w := range windowed {
		if w != ((i+1)%pattern != 0) {
			return false
		}
	}
	return true
}
