package kernel

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// attentionCase is an Attention with its tensors.
type attentionCase struct {
	Attention
	segments []int32
}

// sees is the rule of Attention, spelled out for one pair.
func (c attentionCase) sees(b, i, j int) bool {
	if c.segments != nil {
		si, sj := c.segments[b*c.Positions+i], c.segments[b*c.Positions+j]
		if si < 0 || si != sj {
			return false
		}
	}
	if c.Causal && j > i {
		return false
	}
	return c.Window == 0 || j > i-c.Window
}

// reference computes o and lse in float64, pair by pair.
func (c attentionCase) reference(q, k, v []float64) (o, lse []float64) {
	qs, kvs, dim := c.qStride(), c.kvStride(), c.HeadDim
	o = make([]float64, c.Batch*c.Positions*c.Heads*dim)
	lse = make([]float64, c.Batch*c.Heads*c.Positions)
	w := make([]float64, c.Positions)
	for b := range c.Batch {
		for h := range c.Heads {
			g := h / (c.Heads / c.KVHeads)
			for i := range c.Positions {
				top, sum := math.Inf(-1), 0.0
				for j := range c.Positions {
					w[j] = math.Inf(-1)
					if c.sees(b, i, j) {
						w[j] = 0
						for d := range dim {
							w[j] += q[(b*c.Positions+i)*qs+h*dim+d] * k[(b*c.Positions+j)*kvs+g*dim+d] * float64(c.Scale)
						}
						top = math.Max(top, w[j])
					}
				}
				if math.IsInf(top, -1) {
					continue
				}
				for j := range w {
					w[j] = math.Exp(w[j] - top)
					sum += w[j]
				}
				lse[(b*c.Heads+h)*c.Positions+i] = top + math.Log(sum)
				for j := range w {
					if w[j] == 0 {
						continue
					}
					for d := range dim {
						o[((b*c.Positions+i)*c.Heads+h)*dim+d] += w[j] / sum * v[(b*c.Positions+j)*kvs+g*dim+d]
					}
				}
			}
		}
	}
	return o, lse
}

// gradients computes dq, dk and dv of Σ o·do in float64 by the chain rule of
// the weights, pair by pair.
func (c attentionCase) gradients(q, k, v, do []float64) (dq, dk, dv []float64) {
	qs, kvs, dim := c.qStride(), c.kvStride(), c.HeadDim
	o, lse := c.reference(q, k, v)
	dq, dk, dv = make([]float64, len(q)), make([]float64, len(k)), make([]float64, len(v))
	for b := range c.Batch {
		for h := range c.Heads {
			g := h / (c.Heads / c.KVHeads)
			for i := range c.Positions {
				qi, oi := (b*c.Positions+i)*qs+h*dim, ((b*c.Positions+i)*c.Heads+h)*dim
				for j := range c.Positions {
					if !c.sees(b, i, j) {
						continue
					}
					kj := (b*c.Positions+j)*kvs + g*dim
					var s, dp, delta float64
					for d := range dim {
						s += q[qi+d] * k[kj+d] * float64(c.Scale)
						dp += do[oi+d] * v[kj+d]
						delta += do[oi+d] * o[oi+d]
					}
					p := math.Exp(s - lse[(b*c.Heads+h)*c.Positions+i])
					ds := p * (dp - delta) * float64(c.Scale)
					for d := range dim {
						dq[qi+d] += ds * k[kj+d]
						dk[kj+d] += ds * q[qi+d]
						dv[kj+d] += p * do[oi+d]
					}
				}
			}
		}
	}
	return dq, dk, dv
}

// tensors are a case's inputs and outputs, between canaries, in strided rows.
type attentionTensors struct{ q, k, v, o, lse, do, dq, dk, dv buffer }

func (c attentionCase) tensors() attentionTensors {
	rows, qw, kw := c.Batch*c.Positions, c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	qgap, kgap := c.qStride()-qw, c.kvStride()-kw
	return attentionTensors{
		q: newBuffer(1, rows, qw, qgap, 3), k: newBuffer(2, rows, kw, kgap, 5), v: newBuffer(3, rows, kw, kgap, 1),
		o: newBuffer(4, rows, qw, 0, 7), lse: newBuffer(5, c.Batch*c.Heads, c.Positions, 0, 1), do: newBuffer(6, rows, qw, 0, 2),
		dq: newBuffer(7, rows, qw, qgap, 3), dk: newBuffer(8, rows, kw, kgap, 5), dv: newBuffer(9, rows, kw, kgap, 1),
	}
}

func (x attentionTensors) all() []buffer {
	return []buffer{x.q, x.k, x.v, x.o, x.lse, x.do, x.dq, x.dk, x.dv}
}

// run computes everything, in scratch of exactly the promised size, full of
// NaN.
func (c attentionCase) run(t testing.TB, x attentionTensors) {
	forward := newBuffer(10, 1, c.ForwardScratch(), 0, 1)
	backward := newBuffer(11, 1, c.BackwardScratch(), 0, 1)
	for b := range c.Batch {
		for h := range c.Heads {
			fill(forward.x, canary)
			c.Forward(x.o.x, x.lse.x, x.q.x, x.k.x, x.v.x, c.segments, b, h, forward.x)
		}
	}
	for b := range c.Batch {
		for g := range c.KVHeads {
			fill(backward.x, canary)
			c.Backward(x.dq.x, x.dk.x, x.dv.x, x.q.x, x.k.x, x.v.x, x.o.x, x.lse.x, x.do.x, c.segments, b, g, backward.x)
		}
	}
	if t, ok := t.(*testing.T); ok {
		forward.check(t, "forward scratch")
		backward.check(t, "backward scratch")
	}
}

// strided returns the elements of a buffer without its gaps' canaries, which
// read as 0.
func strided(b buffer) []float64 {
	x := doubles(b.x)
	for i := range x {
		if i%b.stride >= b.cols {
			x[i] = 0
		}
	}
	return x
}

func compare(t *testing.T, what string, got buffer, want []float64, tol float64) {
	t.Helper()
	for i, v := range got.x {
		if i%got.stride >= got.cols {
			continue
		}
		if !(math.Abs(float64(v)-want[i]) <= tol*(1+math.Abs(want[i]))) {
			t.Fatalf("%s: element %d of row %d is %v, want %v", what, i%got.stride, i/got.stride, v, want[i])
		}
	}
}

// repeated builds the segment ids of one row from (id, length) pairs.
func repeated(pairs ...int) []int32 {
	var ids []int32
	for i := 0; i < len(pairs); i += 2 {
		ids = append(ids, slices.Repeat([]int32{int32(pairs[i])}, pairs[i+1])...)
	}
	return ids
}

func attentionCases() map[string]attentionCase {
	cases := map[string]attentionCase{}
	add := func(name string, c attentionCase) {
		if c.Scale == 0 {
			c.Scale = float32(1 / math.Sqrt(float64(c.HeadDim)))
		}
		cases[name] = c
	}
	for _, n := range []int{1, 2, 5, 6, 7, 15, 16, 17, 24, 25, 47, 48, 49, 96, 97, 129, 150} {
		for _, causal := range []bool{false, true} {
			add(fmt.Sprintf("T=%d causal=%v", n, causal), attentionCase{Attention: Attention{
				Batch: 1, Positions: n, Heads: 2, KVHeads: 2, HeadDim: 16, Causal: causal}})
		}
	}
	for _, dim := range []int{1, 3, 8, 20, 24, 32, 40, 48, 64, 80, 128} {
		add(fmt.Sprintf("Dh=%d", dim), attentionCase{Attention: Attention{
			Batch: 2, Positions: 37, Heads: 4, KVHeads: 2, HeadDim: dim, Causal: true}})
	}
	for _, window := range []int{1, 2, 9, 48, 100, 1000} {
		add(fmt.Sprintf("window=%d", window), attentionCase{Attention: Attention{
			Batch: 1, Positions: 210, Heads: 1, KVHeads: 1, HeadDim: 8, Causal: true, Window: window}})
	}
	add("one key-value head", attentionCase{Attention: Attention{
		Batch: 1, Positions: 70, Heads: 6, KVHeads: 1, HeadDim: 24, Causal: true}})
	add("large scores", attentionCase{Attention: Attention{
		Batch: 1, Positions: 140, Heads: 1, KVHeads: 1, HeadDim: 16, Causal: true, Scale: 60}})
	add("columns of one matrix", attentionCase{Attention: Attention{
		Batch: 2, Positions: 33, Heads: 4, KVHeads: 2, HeadDim: 16, Causal: true, QStride: 128, KVStride: 130}})
	for _, causal := range []bool{false, true} {
		add(fmt.Sprintf("segments causal=%v", causal), attentionCase{Attention: Attention{
			Batch: 3, Positions: 100, Heads: 2, KVHeads: 1, HeadDim: 16, Causal: causal},
			segments: slices.Concat(repeated(0, 60, 1, 30, -1, 10), repeated(-1, 3, 7, 1, 8, 55, -2, 2, -3, 9, 9, 30), repeated(-5, 100))})
	}
	add("segments window", attentionCase{Attention: Attention{
		Batch: 1, Positions: 150, Heads: 1, KVHeads: 1, HeadDim: 16, Causal: true, Window: 20}, segments: repeated(4, 90, 5, 60)})
	return cases
}

func TestAttentionAgreesWithFloat64(t *testing.T) {
	onEachSet(t, func(t *testing.T) {
		for name, c := range attentionCases() {
			t.Run(name, func(t *testing.T) {
				x := c.tensors()
				c.run(t, x)
				tol := 3e-6
				if c.Scale > 1 {
					tol = 2e-4 // the scores' own rounding, magnified by their size
				}
				q, k, v, do := strided(x.q), strided(x.k), strided(x.v), strided(x.do)
				o, lse := c.reference(q, k, v)
				compare(t, "o", x.o, o, tol)
				compare(t, "lse", x.lse, lse, tol)
				dq, dk, dv := c.gradients(q, k, v, do)
				compare(t, "dq", x.dq, dq, 3*tol*float64(1+c.Scale))
				compare(t, "dk", x.dk, dk, 3*tol*float64(1+c.Scale))
				compare(t, "dv", x.dv, dv, 3*tol)
				for i, b := range x.all() {
					b.check(t, fmt.Sprintf("tensor %d", i))
				}
			})
		}
	})
}

func TestAttentionGradientsAgreeWithFiniteDifferences(t *testing.T) {
	c := attentionCase{Attention: Attention{Batch: 1, Positions: 9, Heads: 2, KVHeads: 1, HeadDim: 3, Causal: true, Window: 6, Scale: 0.8},
		segments: repeated(0, 8, -1, 1)}
	onEachSet(t, func(t *testing.T) {
		x := c.tensors()
		c.run(t, x)
		q, k, v, do := strided(x.q), strided(x.k), strided(x.v), strided(x.do)
		loss := func() (sum float64) {
			o, _ := c.reference(q, k, v)
			for i := range o {
				sum += o[i] * do[i]
			}
			return sum
		}
		for _, p := range []struct {
			name string
			x    []float64
			got  buffer
		}{{"dq", q, x.dq}, {"dk", k, x.dk}, {"dv", v, x.dv}} {
			const h = 1e-5
			want := make([]float64, len(p.x))
			for i, at := range p.x {
				p.x[i] = at + h
				up := loss()
				p.x[i] = at - h
				want[i] = (up - loss()) / (2 * h)
				p.x[i] = at
			}
			compare(t, p.name, p.got, want, 2e-6)
		}
	})
}

func TestSegmentDoesNotDependOnItsPlaceInTheRow(t *testing.T) {
	const n = 61
	onEachSet(t, func(t *testing.T) {
		var first []float32
		for _, before := range []int{0, 1, 30, 83} {
			c := attentionCase{Attention: Attention{Batch: 1, Positions: before + n + 9, Heads: 2, KVHeads: 1, HeadDim: 16, Causal: true, Scale: 0.3}}
			if before > 0 {
				c.segments = repeated(1, before, 2, n, -1, 9)
			} else {
				c.segments = repeated(2, n, -1, 9)
			}
			x := c.tensors()
			for i, b := range []buffer{x.q, x.k, x.v, x.do} {
				for j := range n * b.cols {
					b.x[before*b.stride+j] = uniform(uint64(i), uint64(j))
				}
			}
			c.run(t, x)
			var got []float32
			for _, b := range []buffer{x.o, x.dq, x.dk, x.dv} {
				got = append(got, b.x[before*b.stride:(before+n)*b.stride]...)
			}
			if first == nil {
				first = got
			} else if !sameBits(first, got) {
				t.Errorf("results differ behind %d positions of another segment", before)
			}
		}
	})
}

func TestAttentionCarriesNaNToTheQueriesThatSeeIt(t *testing.T) {
	c := attentionCase{Attention: Attention{Batch: 1, Positions: 100, Heads: 1, KVHeads: 1, HeadDim: 16, Causal: true, Scale: 0.3}}
	onEachSet(t, func(t *testing.T) {
		x := c.tensors()
		x.k.x[60*16+3] = float32(math.NaN())
		c.run(t, x)
		for i := range 100 {
			if got := math.IsNaN(float64(x.o.x[i*16])); got != (i >= 60) {
				t.Errorf("query %d: o is NaN: %v", i, got)
			}
			if got := math.IsNaN(float64(x.lse.x[i])); got != (i >= 60) {
				t.Errorf("query %d: lse is NaN: %v", i, got)
			}
		}
	})
}

func TestCachedAttentionAgreesWithAttention(t *testing.T) {
	onEachSet(t, func(t *testing.T) {
		for _, dim := range []int{3, 8, 16, 24, 32, 40, 64, 128} {
			for _, window := range []int{0, 1, 7, 50} {
				c := attentionCase{Attention: Attention{Batch: 1, Positions: 75, Heads: 4, KVHeads: 2, HeadDim: dim, Causal: true, Window: window, Scale: 0.4}}
				x := c.tensors()
				want, _ := c.reference(strided(x.q), strided(x.k), strided(x.v))
				a := CachedAttention{Heads: 4, KVHeads: 2, HeadDim: dim, MaxPositions: 75, Window: window, Scale: 0.4}
				scratch := newBuffer(12, 1, a.Scratch(), 0, 1)
				for g := range 2 {
					a.Forward(x.o.x, x.q.x, x.k.x, x.v.x, 0, g, scratch.x)
				}
				compare(t, fmt.Sprintf("dim %d window %d", dim, window), x.o, want, 3e-6)
				for _, b := range append(x.all(), scratch) {
					b.check(t, "CachedAttention")
				}
			}
		}
	})
}

func TestCachedAttentionKeepsItsSumsBesideAnyLengthOfCache(t *testing.T) {
	onEachSet(t, func(t *testing.T) {
		const dim = 8
		for n := 1; n <= 50; n++ {
			a := CachedAttention{Heads: 1, KVHeads: 1, HeadDim: dim, MaxPositions: n, Scale: 0.4}
			q, k, v := vector(1, n*dim, 1).x, vector(2, n*dim, 1).x, vector(3, n*dim, 1).x
			c := attentionCase{Attention: Attention{Batch: 1, Positions: n, Heads: 1, KVHeads: 1, HeadDim: dim, Causal: true, Scale: 0.4}}
			want, _ := c.reference(doubles(q), doubles(k), doubles(v))
			scratch, o := newBuffer(4, 1, a.Scratch(), 0, 1), make([]float32, n*dim)
			fill(scratch.x, canary)
			a.Forward(o, q, k, v, 0, 0, scratch.x)
			scratch.check(t, "scratch")
			for i, got := range o {
				if !(math.Abs(float64(got)-want[i]) <= 3e-6) {
					t.Fatalf("a cache of %d: o[%d] is %g, want %g", n, i, got, want[i])
				}
			}
		}
	})
}

// A query alone, of a model with one head, is what all others must agree with:
// fed in chunks, beside other heads that read the same keys, from any start.
func TestCachedAttentionDoesNotDependOnWhatIsComputedBesideIt(t *testing.T) {
	type model struct{ positions, heads, kvHeads, dim, window int }
	models := []model{
		{530, 2, 1, 16, 0}, {530, 6, 2, 16, 13}, {1030, 1, 1, 16, 0}, {1030, 2, 2, 16, 515}, {530, 4, 2, 3, 0},
	}
	for _, dim := range []int{1, 3, 8, 15, 16, 17, 20, 24, 32, 40, 48, 64, 80, 128} {
		models = append(models, model{29, 4, 2, dim, 0}, model{29, 7, 1, dim, 0}, model{29, 3, 3, dim, 9})
	}
	for _, window := range []int{1, 2, 3, 4, 5, 16, 17, 18, 27, 28, 29, 30} {
		models = append(models, model{29, 5, 1, 16, window}, model{29, 2, 2, 20, window})
	}
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	onEachSet(t, func(t *testing.T) {
		for _, m := range models {
			for _, special := range []bool{false, true} {
				width, kvWidth, group := m.heads*m.dim, m.kvHeads*m.dim, m.heads/m.kvHeads
				q, k, v := newBuffer(1, m.positions, width, 0, 1), newBuffer(2, m.positions, kvWidth, 0, 2), newBuffer(3, m.positions, kvWidth, 0, 3)
				if special {
					q.x[5*width], q.x[9*width+width-1] = nan, inf
					k.x[11*kvWidth], k.x[15*kvWidth+kvWidth-1] = inf, nan
					v.x[7*kvWidth+kvWidth-1], v.x[13*kvWidth], v.x[16*kvWidth] = inf, nan, -inf
				}
				at := CachedAttention{Heads: m.heads, KVHeads: m.kvHeads, HeadDim: m.dim, MaxPositions: m.positions, Window: m.window, Scale: 0.4}

				alone := at
				alone.Heads, alone.KVHeads = 1, 1
				want := make([]float32, len(q.x))
				scratch := make([]float32, alone.Scratch())
				for h := range m.heads {
					column := func(b buffer, head int) (x []float32) {
						for r := range m.positions {
							x = append(x, b.x[r*b.stride+head*m.dim:][:m.dim]...)
						}
						return x
					}
					keys, values := column(k, h/group), column(v, h/group)
					for i := range m.positions {
						at := i*width + h*m.dim
						alone.Forward(want[at:at+m.dim], q.x[at:at+m.dim], keys, values, i, 0, scratch)
					}
				}

				for _, chunk := range []int{1, 2, 3, 5, 64, m.positions} {
					o, scratch := newBuffer(4, m.positions, width, 0, 5), newBuffer(5, 1, at.Scratch(), 0, 1)
					for s := 0; s < m.positions; s += chunk {
						// The cache ends with the chunk: what comes later must not be read.
						e := min(s+chunk, m.positions)
						for g := range m.kvHeads {
							fill(scratch.x, canary)
							at.Forward(o.x[s*width:e*width], q.x[s*width:e*width], k.x[:e*kvWidth], v.x[:e*kvWidth], s, g, scratch.x)
						}
					}
					if !sameBits(want, o.x) {
						t.Errorf("%+v, NaN and Inf %v: chunks of %d give other bits", m, special, chunk)
					}
					for _, b := range []buffer{q, k, v, o, scratch} {
						b.check(t, "CachedAttention")
					}
				}
			}
		}
	})
}

func TestThreeQueriesHaveTheBitsOfOne(t *testing.T) {
	onEachSet(t, func(t *testing.T) {
		kern := vec()
		for _, dim := range []int{1, 7, 8, 9, 16, 24, 31, 32, 48, 64} {
			for n := 1; n <= 14; n++ {
				const gap, ld = 3, 20
				q, k := newBuffer(1, 3, dim, gap, 1), newBuffer(2, n, dim, gap, 3)
				s := newBuffer(3, 3, n, ld-n, 5)
				kern.keyDots3(s.x, ld, q.x, dim+gap, dim, k.x, dim+gap, n)
				s.check(t, "keyDots3")
				for i := range 3 {
					want := make([]float32, n)
					kern.keyDots(want, q.x[i*q.stride:][:dim], k.x, dim+gap)
					if !sameBits(want, s.x[i*ld:][:n]) {
						t.Fatalf("keyDots3 of %d keys of %d floats: query %d has other bits than alone", n, dim, i)
					}
				}
				if dim%16 != 0 {
					continue
				}
				for more := range 8 {
					rows := [3]int{n, n + more/3, n + more%3}
					v, p, o := newBuffer(4, n+2, dim, gap, 1), newBuffer(5, 3, ld, 0, 2), newBuffer(6, 3, dim, gap, 3)
					want := slices.Clone(o.x)
					kern.valueSum3(o.x, o.stride, dim, p.x, ld, v.x, v.stride, rows[0], rows[1], rows[2])
					o.check(t, "valueSum3")
					for i, r := range rows {
						kern.valueSum(want[i*o.stride:][:dim], p.x[i*ld:][:r], v.x, v.stride)
					}
					if !sameBits(want, o.x) {
						t.Fatalf("valueSum3 of %v rows of %d floats has other bits than one query at a time", rows, dim)
					}
				}
			}
		}
	})
}

func TestScaledRowsKeepWhatLiesBetweenThem(t *testing.T) {
	onEachSet(t, func(t *testing.T) {
		for _, cols := range []int{1, 7, 8, 15, 16, 24, 31, 32, 33, 64, 100} {
			for _, rows := range []int{1, 2, 5} {
				dst, src := newBuffer(1, rows, cols, 3, 1), newBuffer(2, rows, cols, 5, 2)
				scaleRows(vec(), dst.x, dst.stride, src.x, src.stride, rows, cols, 0.3)
				dst.check(t, "dst")
				for r := range rows {
					for j := range cols {
						if got, want := dst.x[r*dst.stride+j], src.x[r*src.stride+j]*0.3; got != want {
							t.Fatalf("%d rows of %d: element %d of row %d is %g, want %g", rows, cols, j, r, got, want)
						}
					}
				}
			}
		}
	})
}

func TestLogarithmIsThatOfTheLibrary(t *testing.T) {
	for x := float32(1); x < math.MaxFloat32; x *= 1.0003 {
		if got, want := logarithm(x), math.Log(float64(x)); math.Abs(got-want) > 1e-8*want {
			t.Fatalf("logarithm of %g is %.12g, want %.12g", x, got, want)
		}
	}
	if got := logarithm(float32(math.NaN())); !math.IsNaN(got) {
		t.Errorf("logarithm of NaN is %g", got)
	}
	if got := logarithm(float32(math.Inf(1))); !math.IsInf(got, 1) {
		t.Errorf("logarithm of +Inf is %g", got)
	}
}

func TestVectorKernelsAllocateNothing(t *testing.T) {
	onEachSet(t, func(t *testing.T) {
		c := attentionCase{Attention: Attention{Batch: 1, Positions: 20, Heads: 1, KVHeads: 1, HeadDim: 8, Causal: true, Scale: 1}}
		x := c.tensors()
		f, b := make([]float32, c.ForwardScratch()), make([]float32, c.BackwardScratch())
		y, d := make([]float32, 64), make([]float32, 8)
		if n := testing.AllocsPerRun(10, func() {
			c.Forward(x.o.x, x.lse.x, x.q.x, x.k.x, x.v.x, nil, 0, 0, f)
			c.Backward(x.dq.x, x.dk.x, x.dv.x, x.q.x, x.k.x, x.v.x, x.o.x, x.lse.x, x.do.x, nil, 0, 0, b)
			GELU(y, y)
			AdamW(y, y, y, y, 1e-3, 0.9, 0.95, 1e-8, 0.1, 0.5, 0.5, 1)
			LayerNorm(y, d, d, y, d, d, 1e-5)
			CrossEntropyRow(y, 3)
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// BenchmarkAttention has the heads of GPT-2 as the columns of one matrix, where
// a model with one product for the three projections has them.
func BenchmarkAttention(b *testing.B) {
	const heads = 12
	for _, shape := range [][2]int{{64, 32}, {256, 32}, {64, 64}, {128, 64}, {256, 64}, {512, 64}, {1024, 64}, {512, 128}} {
		n, dim := shape[0], shape[1]
		c := attentionCase{Attention: Attention{Batch: 1, Positions: n, Heads: heads, KVHeads: heads, HeadDim: dim, Causal: true, Scale: 0.2,
			QStride: 3 * heads * dim, KVStride: 3 * heads * dim}}
		x := c.tensors()
		f, w := make([]float32, c.ForwardScratch()), make([]float32, c.BackwardScratch())
		pairs := float64(n*(n+1)/2) * heads
		for _, set := range Names() {
			b.Run(fmt.Sprintf("forward/T=%d/Dh=%d/%s", n, dim, set), func(b *testing.B) {
				useSet(b, set)
				for b.Loop() {
					for h := range heads {
						c.Forward(x.o.x, x.lse.x, x.q.x, x.k.x, x.v.x, nil, 0, h, f)
					}
				}
				b.ReportMetric(pairs*4*float64(dim)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
			b.Run(fmt.Sprintf("backward/T=%d/Dh=%d/%s", n, dim, set), func(b *testing.B) {
				useSet(b, set)
				for b.Loop() {
					for g := range heads {
						c.Backward(x.dq.x, x.dk.x, x.dv.x, x.q.x, x.k.x, x.v.x, x.o.x, x.lse.x, x.do.x, nil, 0, g, w)
					}
				}
				b.ReportMetric(pairs*10*float64(dim)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}

func BenchmarkCachedAttention(b *testing.B) {
	for _, n := range []int{64, 256, 1024} {
		for _, dim := range []int{32, 64} {
			const heads = 6
			a := CachedAttention{Heads: heads, KVHeads: heads, HeadDim: dim, MaxPositions: n, Scale: 0.25}
			q, o := vector(1, heads*dim, 1).x, vector(4, heads*dim, 1).x
			k, v := vector(2, n*heads*dim, 1).x, vector(3, n*heads*dim, 1).x
			scratch := make([]float32, a.Scratch())
			for _, set := range Names() {
				b.Run(fmt.Sprintf("T=%d/Dh=%d/%s", n, dim, set), func(b *testing.B) {
					useSet(b, set)
					b.SetBytes(int64(8 * n * heads * dim))
					for b.Loop() {
						for g := range heads {
							a.Forward(o, q, k, v, n-1, g, scratch)
						}
					}
				})
			}
		}
	}
}

// BenchmarkCachedPrefill has the positions of a prompt and, with one position,
// of a step of decoding; 12 heads of GPT-2 or 12 that share three key heads.
func BenchmarkCachedPrefill(b *testing.B) {
	const dim, heads = 64, 12
	for _, kvHeads := range []int{heads, 3} {
		for _, n := range []int{256, 512, 1024} {
			for _, count := range []int{n, 1} {
				a := CachedAttention{Heads: heads, KVHeads: kvHeads, HeadDim: dim, MaxPositions: n, Scale: 0.125}
				q, o := vector(1, count*heads*dim, 1).x, vector(4, count*heads*dim, 1).x
				k, v := newBuffer(2, n, kvHeads*dim, 0, 0).x, newBuffer(3, n, kvHeads*dim, 0, 0).x
				scratch := make([]float32, a.Scratch())
				b.Run(fmt.Sprintf("keyHeads=%d/T=%d/C=%d", kvHeads, n, count), func(b *testing.B) {
					for b.Loop() {
						for g := range kvHeads {
							a.Forward(o, q, k, v, n-count, g, scratch)
						}
					}
					pairs := count * (2*n - count + 1) / 2
					reportRate(b, pairs*heads*4*dim)
				})
			}
		}
	}
}

// dq, dk and dv may lie in another matrix than q, k and v.
func TestAttentionGradientsLieAtStridesOfTheirOwn(t *testing.T) {
	at := Attention{Batch: 2, Positions: 53, Heads: 4, KVHeads: 2, HeadDim: 12, Causal: true, Scale: 0.3}
	width, kvWidth, rows := at.Heads*at.HeadDim, at.KVHeads*at.HeadDim, at.Batch*at.Positions
	segments := repeated(0, 40, 1, 9, -1, 57)
	onEachSet(t, func(t *testing.T) {
		q, do := newBuffer(1, rows, width, 0, 0).x, newBuffer(2, rows, width, 0, 0).x
		k, v := newBuffer(3, rows, kvWidth, 0, 0).x, newBuffer(4, rows, kvWidth, 0, 0).x
		o, lse := make([]float32, rows*width), make([]float32, rows*at.Heads)
		scratch := make([]float32, max(at.ForwardScratch(), at.BackwardScratch()))
		backward := func(at Attention, dq, dk, dv []float32) {
			for b := range at.Batch {
				for g := range at.KVHeads {
					at.Backward(dq, dk, dv, q, k, v, o, lse, do, segments, b, g, scratch)
				}
			}
		}
		for b := range at.Batch {
			for h := range at.Heads {
				at.Forward(o, lse, q, k, v, segments, b, h, scratch)
			}
		}
		want := [3]buffer{newBuffer(5, rows, width, 0, 0), newBuffer(5, rows, kvWidth, 0, 0), newBuffer(5, rows, kvWidth, 0, 0)}
		backward(at, want[0].x, want[1].x, want[2].x)
		got := [3]buffer{newBuffer(6, rows, width, 7, 3), newBuffer(6, rows, kvWidth, 5, 1), newBuffer(6, rows, kvWidth, 5, 2)}
		apart := at
		apart.DQStride, apart.DKVStride = width+7, kvWidth+5
		backward(apart, got[0].x, got[1].x, got[2].x)
		for i, name := range []string{"dq", "dk", "dv"} {
			got[i].check(t, name)
			for r := range rows {
				cols := want[i].cols
				if a, b := got[i].x[r*got[i].stride:][:cols], want[i].x[r*cols:(r+1)*cols]; !slices.Equal(a, b) {
					t.Fatalf("%s of row %d has other bits at a stride of its own", name, r)
				}
			}
		}
	})
}
