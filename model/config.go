package model

import (
	"math"
	"slices"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// Config describes a Transformer.
type Config struct {
	Family      Family
	Head        Head
	Vocabulary  int // V: tokens, the rows of the embedding
	Context     int // positions that a sequence may have
	Width       int // D: size of a hidden state
	Layers      int
	Heads       int     // H: query heads
	KVHeads     int     // key and value heads, a divisor of Heads
	HeadDim     int     // Dh: size of a head
	FeedForward int     // size of the feed-forward layer
	Epsilon     float64 // of the norms
	Tied        bool    // the vocabulary projection is the embedding
	InitRange   float64 // standard deviation of the initial weights
	ExactGELU   bool    // GELU through erf; else in its tanh form (GPT-2, BERT)

	// Rotary positions; zero in families with learned ones.
	RoPETheta   float64 // base of the frequencies
	LocalTheta  float64 // that of the layers with a window (Gemma 3)
	RoPEScaling RoPEScaling

	// Windowed tells which layers see only the last Window positions, their
	// own included. Both are zero where no layer is windowed.
	Window   int
	Windowed []bool

	AttentionBias   bool    // queries, keys, values and (but for Qwen2) the output have biases
	FeedForwardBias bool    // of Llama's feed-forward layers
	QueryScalar     float64 // scores are divided by its root; 0: HeadDim

	Types  int  // token types (BERT)
	Pooler bool // a layer over the first token's hidden state (BERT)

	Labels []string // the classes' names, in the order of the outputs
	// Problem is what the outputs of classes mean, where they are not the logits
	// of one class of several: another of [Problems].
	Problem string

	Adapter *Adapter // low-rank adaptation of the body's linear layers; nil: none

	// Token ids that the checkpoint names; -1 where it names none.
	BOS, EOS, Pad int
	// Ends are all ids that end a text, where config.json names several; EOS
	// is the first of them.
	Ends []int
}

// Complete fills in what a family needs and the configuration leaves at zero:
// key-value heads, the size of a head, and the values that the family's
// published models have for rotary bases, biases and token types.
func (c Config) Complete() Config {
	if c.KVHeads == 0 {
		c.KVHeads = c.Heads
	}
	if c.HeadDim == 0 && c.Heads > 0 {
		c.HeadDim = c.Width / c.Heads
	}
	if c.Family.known() {
		c.Family.architecture().complete(&c)
	}
	return c
}

func orElse(v *float64, standard float64) {
	if *v == 0 {
		*v = standard
	}
}

// Limits of what a configuration may ask for. Of layers there are lists (see
// Windowed), so that a short config.json must not ask for many.
const (
	MaxSize   = 1 << 24
	MaxLayers = 1 << 12
)

// Validate checks that the sizes are possible and fit each other.
func (c Config) Validate() error {
	refuse := func(format string, args ...any) error {
		return artifact.Errorf(artifact.ErrUsage, "checking model configuration: "+format, args...)
	}
	if !c.Family.known() {
		return refuse("family %q is not one of %v", c.Family, Families)
	}
	a := c.Family.architecture()
	if !slices.Contains(a.heads(), c.Head) {
		return refuse("head %q is not one that %s has: %q", c.Head, c.Family, a.heads())
	}
	if c.Layers < 1 || c.Layers > MaxLayers {
		return refuse("layers is %d, want 1 to %d", c.Layers, MaxLayers)
	}
	for _, v := range []struct {
		name  string
		value int
	}{
		{"vocabulary", c.Vocabulary}, {"context", c.Context}, {"width", c.Width},
		{"heads", c.Heads}, {"key-value heads", c.KVHeads}, {"head size", c.HeadDim}, {"feed-forward size", c.FeedForward},
	} {
		if v.value < 1 || v.value > MaxSize {
			return refuse("%s is %d, want 1 to %d", v.name, v.value, MaxSize)
		}
	}
	if c.Heads%c.KVHeads != 0 {
		return refuse("%d query heads are not a multiple of %d key-value heads", c.Heads, c.KVHeads)
	}
	if (c.Window > 0) != (len(c.Windowed) > 0) || c.Window < 0 || len(c.Windowed) > 0 && len(c.Windowed) != c.Layers {
		return refuse("a window of %d positions and a list of %d windowed layers for %d layers", c.Window, len(c.Windowed), c.Layers)
	}
	if c.Problem != "" && (c.Head != Classes || !slices.Contains(Problems, c.Problem)) {
		return refuse("problem type %q with head %q; %q has one of %q, the others none", c.Problem, c.Head, Classes, Problems)
	}
	if (c.Head == Classes) != (len(c.Labels) > 0) {
		return refuse("head %q with %d labels; %q wants at least one, the others none", c.Head, len(c.Labels), Classes)
	}
	positive := func(v float64) bool { return v > 0 && !math.IsInf(v, 1) }
	if !positive(c.Epsilon) || !positive(c.InitRange) {
		return refuse("norm epsilon %g and initializer range %g must be positive", c.Epsilon, c.InitRange)
	}
	if err := a.check(c); err != nil {
		return refuse("%v", err)
	}
	return nil
}

// Parameter is one array of weights.
type Parameter struct {
	Name  string
	Shape []int
	Init  float64 // standard deviation of a normal; 0: Fill
	Fill  float32 // initial value where Init is 0
}

// Decays reports whether weight decay applies: to matrices, not to biases and
// the gains of norms.
func (p Parameter) Decays() bool { return len(p.Shape) >= 2 }

// Parameters lists all arrays of the model in the order of the forward pass.
// Matrices start normal with InitRange, in decoders those that write into the
// residual stream smaller by 1/√(2·Layers) (Radford et al. 2019, section 2.3).
func (c Config) Parameters() []Parameter {
	var l parameterList
	c.Family.architecture().parameters(c, &l)
	c.headParameters(&l)
	return l.list
}

func (c Config) residualRange() float64 { return c.InitRange / math.Sqrt(2*float64(c.Layers)) }

// ParameterCount is the number of weights, a tied head counted once.
func (c Config) ParameterCount() int64 {
	var n int64
	for _, p := range c.Parameters() {
		size := int64(1)
		for _, d := range p.Shape {
			size *= int64(d)
		}
		n += size
	}
	return n
}

// EmbeddingName is the parameter that tokens are looked up in.
func (c Config) EmbeddingName() string { return c.Family.architecture().embedding() }

// attentionScale is what a layer's scores are multiplied by. Where YaRN makes rotated
// queries and keys longer, that is done here; layers that rotate by a base of their
// own have no scaling.
func (c Config) attentionScale(layer int) float32 {
	size := float64(c.HeadDim)
	if c.QueryScalar > 0 {
		size = c.QueryScalar
	}
	scale := 1 / math.Sqrt(size)
	if a := c.RoPEScaling.AttentionFactor; a > 0 && (c.LocalTheta == 0 || c.windowOf(layer) == 0) {
		scale *= a * a
	}
	return float32(scale)
}
