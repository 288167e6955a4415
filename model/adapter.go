package model

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
)

// AllLinear as the only target of an [Adapter] stands for all linear layers of
// the body, as in PEFT.
const AllLinear = "all-linear"

// Adapter is a low-rank adaptation of linear layers (Hu et al. 2021, section
// 4.1): a layer y = x·Wᵀ becomes
//
//	y = x·Wᵀ + (Alpha/Rank)·(x·Aᵀ)·Bᵀ,  A [Rank, in], B [out, Rank]
//
// where W stays as it is. A starts random and B zero, so that the adapted model
// begins as the model itself.
type Adapter struct {
	Rank  int
	Alpha float64
	// Targets name the layers: the last part of a layer's name ("q_proj") or the
	// whole of it, or [AllLinear] alone.
	Targets []string
}

func (a *Adapter) scale() float64 { return a.Alpha / float64(a.Rank) }

func (a *Adapter) adapts(layer string) bool {
	return a != nil && slices.ContainsFunc(a.Targets, func(target string) bool { return names(target, layer) })
}

// names tells whether a target stands for a layer.
func names(target, layer string) bool {
	return target == AllLinear || target == layer || strings.HasSuffix(layer, "."+target)
}

// The arrays of an adapted layer.
const (
	suffixA = ".lora_A.weight"
	suffixB = ".lora_B.weight"
)

// adapted adds the adapter's product to y, the output of a linear layer for x.
func (b builder) adapted(x, y *compute.Tensor, layer string) *compute.Tensor {
	if !b.adapt.adapts(layer) {
		return y
	}
	down := b.p.Variable(layer+suffixA, b.adapt.Rank, x.Shape.Last())
	up := b.p.Variable(layer+suffixB, y.Shape.Last(), b.adapt.Rank)
	low := compute.Linear(compute.Linear(x, down, nil, true), up, nil, true)
	return compute.Add(y, compute.Scale(low, float32(b.adapt.scale())))
}

// AdapterParameters lists the arrays of the adapter in the order of the forward
// pass; none without an adapter.
func (c Config) AdapterParameters() []Parameter {
	if c.Adapter == nil {
		return nil
	}
	var list []Parameter
	// The forward pass itself tells which layers it adapts.
	p := compute.NewProgram("adapter")
	c.Hidden(p, c.NewBatch(p, 1, 1))
	for _, v := range p.Variables {
		parameter := Parameter{Name: v.Name, Shape: v.Tensor.Shape}
		switch {
		case strings.HasSuffix(v.Name, suffixA):
			// The variance of PEFT's uniform distribution over ±1/√in.
			parameter.Init = 1 / math.Sqrt(3*float64(v.Tensor.Shape.Last()))
		case strings.HasSuffix(v.Name, suffixB):
		default:
			continue
		}
		list = append(list, parameter)
	}
	return list
}

// layersOf lists the layers that an adapter can be put on.
func (c Config) layersOf() []string {
	c.Adapter = &Adapter{Rank: 1, Alpha: 1, Targets: []string{AllLinear}}
	var layers []string
	for _, p := range c.AdapterParameters() {
		if layer, ok := strings.CutSuffix(p.Name, suffixA); ok {
			layers = append(layers, layer)
		}
	}
	return layers
}

// check refuses what cannot be: an adapter of no rank, a target that is no layer.
func (a Adapter) check(c Config) error {
	refuse := func(format string, args ...any) error {
		return artifact.Errorf(artifact.ErrUsage, "configuring adapter: "+format, args...)
	}
	if a.Rank < 1 || a.Rank > c.Width {
		return refuse("rank %d is not between 1 and the model's width %d", a.Rank, c.Width)
	}
	if !(a.Alpha > 0) || math.IsInf(a.Alpha, 1) {
		return refuse("alpha %g must be positive", a.Alpha)
	}
	if len(a.Targets) == 0 {
		return refuse("it has no targets; name layers, or %q", AllLinear)
	}
	layers := c.layersOf()
	for _, target := range a.Targets {
		if target == AllLinear && len(a.Targets) > 1 {
			return refuse("target %q stands alone, not beside others", AllLinear)
		}
		if !slices.ContainsFunc(layers, func(layer string) bool { return names(target, layer) }) {
			return refuse("target %q is no linear layer of the %s model; it has %s", target, c.Family, strings.Join(lastParts(layers), ", "))
		}
	}
	return nil
}

// lastParts are the distinct last parts of layers' names, in order.
func lastParts(layers []string) []string {
	var parts []string
	for _, layer := range layers {
		if part := layer[strings.LastIndexByte(layer, '.')+1:]; !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	return parts
}

// AddAdapter puts an adapter on the model, random by the seed. From then on
// [Model.Trained] lists the adapter and the parameters of a head that is not
// the vocabulary's, which no body was trained with. Programs built before are
// not changed.
func (m *Model) AddAdapter(a Adapter, seed uint64) error {
	if m.Adapter != nil {
		return artifact.Errorf(artifact.ErrUsage, "adding an adapter: the model has one; merge it first (alma merge)")
	}
	if err := a.check(m.Config); err != nil {
		return err
	}
	m.Adapter = &a
	for _, p := range m.AdapterParameters() {
		if err := m.Store.Define(p.Name, p.Shape...); err != nil {
			return err
		}
		if err := m.Store.Write(p.Name, p.initial(seed)); err != nil {
			return err
		}
	}
	m.Freeze(func(p Parameter) bool { return !m.TrainedWhole(p.Name) })
	return nil
}

// TrainedWhole tells whether a parameter is trained beside the adapter: those
// of a head are, but a language model's was trained with the body.
func (c Config) TrainedWhole(name string) bool {
	return c.Head != LanguageModel && c.Head != MaskedLanguageModel && c.inHead(name)
}

// WithoutAdapter is the model that the adapter was put on. It shares the Store:
// one body serves both.
func (m *Model) WithoutAdapter() *Model {
	out := *m
	out.Adapter = nil
	return &out
}

// MergeAdapter adds the adapter's products to the weights, after which the model
// has none and computes, but for rounding, what it did with it.
func (m *Model) MergeAdapter() error {
	if m.Adapter == nil {
		return fmt.Errorf("merging adapter: the model has none")
	}
	shapes := make(map[string][]int)
	for _, p := range m.Parameters() {
		shapes[p.Name] = p.Shape
	}
	parameters, scale := m.AdapterParameters(), m.Adapter.scale()
	var w []float32                           // one buffer for all layers
	for i := 0; i < len(parameters); i += 2 { // A and B of a layer
		a, err := compute.Values(m.Store, parameters[i].Name)
		if err != nil {
			return err
		}
		b, err := compute.Values(m.Store, parameters[i+1].Name)
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(parameters[i].Name, suffixA) + ".weight"
		size := compute.Shape(shapes[name]).Size()
		w = slices.Grow(w[:0], size)[:size]
		if err := m.Store.Read(name, w); err != nil {
			return err
		}
		AddLowRank(w, a, b, parameters[i].Shape[0], scale, m.Family == GPT2)
		if err := m.Store.Write(name, w); err != nil {
			return err
		}
	}
	m.Adapter = nil
	m.frozen = nil
	return nil
}

// AddLowRank adds scale·B·A to a weight w [out, in], or [in, out] if transposed: A is
// [rank, in], B [out, rank]. An embedding is such a weight, transposed, whose in are
// the tokens.
func AddLowRank(w, a, b []float32, rank int, scale float64, transposed bool) {
	in, out := len(a)/rank, len(b)/rank
	for o := range out {
		for k := range in {
			var sum float64
			for r := range rank {
				sum += float64(b[o*rank+r]) * float64(a[r*in+k])
			}
			at := o*in + k
			if transposed {
				at = k*out + o
			}
			w[at] = float32(float64(w[at]) + scale*sum)
		}
	}
}
