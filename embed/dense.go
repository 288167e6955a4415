package embed

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// Dense is sentence-transformers' module of that name: activation(W·x + b), and with
// a residual x, or R·x where the sizes differ, is added.
type Dense struct {
	Folder  string // where it was read, in messages
	In, Out int

	weight     []float32 // [Out, In]
	bias       []float32 // [Out], nil for none
	activation func(float64) float64
	residual   bool
	projection []float32 // R [Out, In], nil for none
}

// activations are those of PyTorch by the last part of their class's name.
var activations = map[string]func(float64) float64{
	"Identity": func(x float64) float64 { return x },
	"Tanh":     math.Tanh,
	"ReLU":     func(x float64) float64 { return max(x, 0) },
	"Sigmoid":  sigmoid,
	"SiLU":     func(x float64) float64 { return x * sigmoid(x) },
	"GELU":     func(x float64) float64 { return x * .5 * (1 + math.Erf(x/math.Sqrt2)) },
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// readDense reads a Dense module's folder: config.json and model.safetensors.
func readDense(folder string) (*Dense, error) {
	path := filepath.Join(folder, "config.json")
	var c struct {
		In         int     `json:"in_features"`
		Out        int     `json:"out_features"`
		Bias       *bool   `json:"bias"`
		Activation *string `json:"activation_function"`
		Input      *string `json:"module_input_name"`
		Output     *string `json:"module_output_name"`
		Residual   bool    `json:"use_residual"`
	}
	found, err := readStrict(path, &c)
	if err != nil {
		return nil, err
	}
	refuse := func(format string, args ...any) (*Dense, error) {
		return nil, artifact.Errorf(artifact.ErrUsage, "reading %s: %s", path, fmt.Sprintf(format, args...))
	}
	d := &Dense{Folder: folder, In: c.In, Out: c.Out, activation: math.Tanh, residual: c.Residual}
	const largest = 1 << 20
	switch {
	case !found:
		return refuse("it is missing; a Dense module has one: fetch the model again")
	case c.In < 1 || c.Out < 1 || c.In > largest || c.Out > largest:
		return refuse("in_features is %d and out_features %d, want 1 to %d", c.In, c.Out, largest)
	}
	for key, name := range map[string]*string{"module_input_name": c.Input, "module_output_name": c.Output} {
		if name != nil && *name != sentenceVector {
			return refuse("key %q is %q; alma computes only %q", key, *name, sentenceVector)
		}
	}
	if c.Activation != nil {
		name := (*c.Activation)[strings.LastIndexByte(*c.Activation, '.')+1:]
		known, ok := activations[name]
		if !ok || !strings.HasPrefix(*c.Activation, "torch.nn.") {
			return refuse("activation_function is %q; alma has torch's %s", *c.Activation, strings.Join(slices.Sorted(maps.Keys(activations)), ", "))
		}
		d.activation = known
	}
	return d, d.readWeights(c.Bias == nil || *c.Bias)
}

// readWeights reads the layer's matrices.
func (d *Dense) readWeights(biased bool) error {
	path := filepath.Join(d.Folder, "model.safetensors")
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("opening the weights of a Dense module: %w; save the model with safe_serialization (pytorch_model.bin is not read)", err)
	}
	file, err := artifact.OpenSafetensors(d.Folder)
	if err != nil {
		return err
	}
	defer file.Close()
	read := func(name string, shape ...int) (values []float32, err error) {
		info, ok := file.Info(name)
		if !ok || !slices.Equal(info.Shape, shape) {
			return nil, artifact.Errorf(artifact.ErrCorrupt, "reading %s: tensor %q with shape %v is missing; config.json asks for it: fetch the model again", path, name, shape)
		}
		return file.AppendFloat32(nil, name)
	}
	if d.weight, err = read("linear.weight", d.Out, d.In); err == nil && biased {
		d.bias, err = read("linear.bias", d.Out)
	}
	if err == nil && d.residual && d.In != d.Out {
		d.projection, err = read("residual.weight", d.Out, d.In)
	}
	return err
}

// apply is the layer of x times scale.
func (d *Dense) apply(x []float64, scale float64) []float64 {
	out := make([]float64, d.Out)
	for o := range out {
		sum := product(d.weight[o*d.In:(o+1)*d.In], x, scale)
		if d.bias != nil {
			sum += float64(d.bias[o])
		}
		out[o] = d.activation(sum)
		switch {
		case d.projection != nil:
			out[o] += product(d.projection[o*d.In:(o+1)*d.In], x, scale)
		case d.residual:
			out[o] += x[o] * scale
		}
	}
	return out
}

func product(row []float32, x []float64, scale float64) (sum float64) {
	for i, w := range row {
		sum += float64(w) * x[i] * scale
	}
	return sum
}
