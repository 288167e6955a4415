package file

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/artifact/gguf"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/model"
)

// The door to GGUF files. Metadata are translated to the keys of config.json
// and back (gguf_config.go), so that a GGUF file is held to the same rules as a
// folder, and tensors to the names and layouts of the checkpoint, here.

// ggufArchitecture is how a GGUF file writes the models of one family.
type ggufArchitecture struct {
	name     string // general.architecture
	family   model.Family
	prefix   string            // of the names of a layer's parameters, before the layer's number
	globals  map[string]string // names outside the layers, without ".weight" and ".bias"
	layer    map[string]string // names in a layer, without prefix and number
	sizes    ggufSizes
	epsilon  string // key of the norms' epsilon
	permuted bool   // rows of queries and keys stand as pairs of a head's two halves
	shifted  bool   // norms hold what is multiplied by, the checkpoint that less 1
}

// ggufArchitectures are the architectures that are read and written.
var ggufArchitectures = []*ggufArchitecture{
	{
		name: "gpt2", family: model.GPT2, prefix: "transformer.h.",
		globals: map[string]string{"transformer.wte": "token_embd", "transformer.wpe": "position_embd", "transformer.ln_f": "output_norm", "lm_head": "output"},
		layer: map[string]string{
			"ln_1": "attn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output",
			"ln_2": "ffn_norm", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
		},
		sizes: gpt2Sizes, epsilon: layerEpsilon,
	},
	{name: "llama", family: model.Llama, prefix: llamaLayer, globals: llamaGlobals, layer: llamaTensors, sizes: llamaSizes, epsilon: rmsEpsilon, permuted: true},
	{name: "qwen2", family: model.Qwen2, prefix: llamaLayer, globals: llamaGlobals, layer: llamaTensors, sizes: llamaSizes, epsilon: rmsEpsilon},
	{name: "qwen3", family: model.Qwen3, prefix: llamaLayer, globals: llamaGlobals, layer: llamaTensors, sizes: llamaSizes, epsilon: rmsEpsilon},
	{
		name: "gemma3", family: model.Gemma3, prefix: llamaLayer, globals: llamaGlobals, sizes: llamaSizes, epsilon: rmsEpsilon, shifted: true,
		layer: with(llamaTensors, map[string]string{
			"post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm",
		}),
	},
}

const llamaLayer = "model.layers."

var (
	llamaGlobals = map[string]string{"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
	llamaTensors = map[string]string{
		"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
		"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
		"self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
		"mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
	}
)

func with(base, changed map[string]string) map[string]string {
	all := make(map[string]string, len(base)+len(changed))
	for _, m := range []map[string]string{base, changed} {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

// IsGGUF reports whether a path names a GGUF file rather than a model folder:
// any regular file, and any name that ends in .gguf.
func IsGGUF(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() || err != nil && strings.HasSuffix(strings.ToLower(path), ".gguf")
}

// tensor is the name of a parameter's tensor.
func (a *ggufArchitecture) tensor(p model.Parameter) (string, error) {
	stem, kind := p.Name, ""
	for _, suffix := range []string{".weight", ".bias"} {
		if s, ok := strings.CutSuffix(p.Name, suffix); ok {
			stem, kind = s, suffix
		}
	}
	if name, ok := a.globals[stem]; ok {
		return name + kind, nil
	}
	if rest, ok := strings.CutPrefix(stem, a.prefix); ok {
		number, rest, _ := strings.Cut(rest, ".")
		if name, ok := a.layer[rest]; ok {
			return "blk." + number + "." + name + kind, nil
		}
	}
	return "", artifact.Errorf(artifact.ErrUsage, "naming the tensors of a GGUF file: parameter %q has no place in its architecture %s", p.Name, a.name)
}

// transposed tells whether the file holds a matrix as [out, in] that the
// checkpoint holds as [in, out]: those of GPT-2's blocks.
func (a *ggufArchitecture) transposed(p model.Parameter) bool {
	return a.family == model.GPT2 && len(p.Shape) == 2 && strings.HasPrefix(p.Name, a.prefix)
}

// shape is a parameter's shape in the file.
func (a *ggufArchitecture) shape(p model.Parameter) []int {
	if a.transposed(p) {
		return []int{p.Shape[1], p.Shape[0]}
	}
	return p.Shape
}

// headRows returns the number of heads if the rows of a parameter are those of
// queries or keys that the file holds in another order, else 0.
func (a *ggufArchitecture) headRows(c model.Config, p model.Parameter) int {
	switch {
	case !a.permuted:
	case strings.Contains(p.Name, ".self_attn.q_proj."):
		return c.Heads
	case strings.Contains(p.Name, ".self_attn.k_proj."):
		return c.KVHeads
	}
	return 0
}

// isShifted tells whether a parameter is stored with 1 added.
func (a *ggufArchitecture) isShifted(p model.Parameter) bool {
	return a.shifted && strings.HasSuffix(p.Name, "norm.weight")
}

// fromFile returns a parameter's values of what its tensor holds.
func (a *ggufArchitecture) fromFile(c model.Config, p model.Parameter, v []float32) []float32 {
	switch heads := a.headRows(c, p); {
	case a.transposed(p):
		return transpose(v, p.Shape[1], p.Shape[0])
	case heads > 0:
		return moveHalves(v, heads, p.Shape[0], false)
	case a.isShifted(p):
		for i := range v {
			v[i]--
		}
	}
	return v
}

// toFile is the inverse of fromFile, and leaves v as it is.
func (a *ggufArchitecture) toFile(c model.Config, p model.Parameter, v []float32) []float32 {
	switch heads := a.headRows(c, p); {
	case a.transposed(p):
		return transpose(v, p.Shape[0], p.Shape[1])
	case heads > 0:
		return moveHalves(v, heads, p.Shape[0], true)
	case a.isShifted(p):
		v = slices.Clone(v)
		for i := range v {
			v[i]++
		}
	}
	return v
}

// transpose turns [rows, columns] into [columns, rows].
func transpose(v []float32, rows, columns int) []float32 {
	out := make([]float32, len(v))
	for i := range rows {
		for j := range columns {
			out[j*rows+i] = v[i*columns+j]
		}
	}
	return out
}

// moveHalves reorders the rows of each head: the checkpoint rotates row j with
// row j + Dh/2, the file row 2j with row 2j + 1.
func moveHalves(v []float32, heads, rows int, toPairs bool) []float32 {
	out := make([]float32, len(v))
	size, columns := rows/heads, len(v)/rows
	for h := range heads {
		for j := range size / 2 {
			for s := range 2 {
				half, pair := h*size+s*size/2+j, h*size+2*j+s
				if toPairs {
					copy(out[pair*columns:][:columns], v[half*columns:][:columns])
				} else {
					copy(out[half*columns:][:columns], v[pair*columns:][:columns])
				}
			}
		}
	}
	return out
}

// loadGGUF opens the model of a GGUF file. Its tensors must be exactly the
// parameters of the configuration that its metadata give.
func loadGGUF(engine compute.Engine, path string) (*model.Model, error) {
	file, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	c, a, err := configOfGGUF(file)
	if err != nil {
		return nil, err
	}
	names, err := a.match(c, file)
	if err != nil {
		return nil, err
	}
	generation, err := generationOfGGUF(file)
	if err != nil {
		return nil, err
	}
	m, err := model.Empty(engine, c)
	if err != nil {
		return nil, err
	}
	m.Generation = generation
	for i, p := range c.Parameters() {
		values, err := file.Float32(names[i])
		if err != nil {
			return nil, err
		}
		if err := m.Store.Write(p.Name, a.fromFile(c, p, values)); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// ropeFactors is the tensor that Llama 3's scaling of the rotary frequencies is
// given by, [Dh/2]: what each is divided by.
const ropeFactors = "rope_freqs.weight"

// match finds the tensor of each parameter and checks its shape.
func (a *ggufArchitecture) match(c model.Config, file *gguf.File) ([]string, error) {
	corrupt := func(format string, args ...any) error {
		return artifact.Errorf(artifact.ErrCorrupt, "reading %s: %s; fetch or convert the model again", file.Name(), fmt.Sprintf(format, args...))
	}
	var names []string
	used := map[string]bool{ropeFactors: true}
	for _, p := range c.Parameters() {
		name, err := a.tensor(p)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", file.Name(), err)
		}
		info, ok := file.Tensor(name)
		if !ok {
			return nil, corrupt("tensor %q is missing; the metadata ask for it with shape %v", name, a.shape(p))
		}
		if want := a.shape(p); !slices.Equal(info.Shape, want) {
			return nil, corrupt("tensor %q has shape %v, the metadata ask for %v", name, info.Shape, want)
		}
		used[name] = true
		names = append(names, name)
	}
	for _, t := range file.Tensors() {
		if !used[t.Name] {
			return nil, corrupt("tensor %q is not a parameter of the %s model that the metadata describe", t.Name, a.name)
		}
	}
	return names, nil
}
