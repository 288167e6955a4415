package computetest

import (
	"fmt"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/reference"
)

// decoder feeds positions of made-up sequences through CachedAttention.
type decoder struct {
	heads, groups, dh, window int
	slots, positions          int // of the cache
}

// stretch is what one row brings: count positions of a sequence, from start,
// in a slot.
type stretch struct{ sequence, slot, start, count int }

// step is one run: its rows, and C, the room for positions in a row.
type step struct {
	rows []stretch
	c    int
}

// numbersOf are the queries, keys or values of a sequence at a position.
func (d decoder) numbersOf(what string, sequence, position, width int) []float32 {
	draw := normal(fmt.Sprintf("%s of %d", what, sequence), 1, 0)
	values := make([]float32, width)
	for i := range values {
		values[i] = draw(0, position*width+i)
	}
	return values
}

// decode runs the steps and returns the outputs of a sequence's positions, in
// order.
func (d decoder) decode(t *testing.T, engine compute.Engine, sequence int, steps []step) []float32 {
	t.Helper()
	store := engine.NewStore()
	for _, cache := range []string{"keys", "values"} {
		if err := store.Define(cache, d.slots, d.positions, d.groups, d.dh); err != nil {
			t.Fatal(err)
		}
	}
	executables := map[[2]int]compute.Executable{}
	var out []float32
	for _, s := range steps {
		size := [2]int{len(s.rows), s.c}
		e, ok := executables[size]
		if !ok {
			e = d.compile(t, engine, store, len(s.rows), s.c)
			executables[size] = e
		}
		for r, row := range s.rows {
			e.Ints("slots")[r], e.Ints("starts")[r], e.Ints("counts")[r] = int32(row.slot), int32(row.start), int32(row.count)
			for _, in := range []struct {
				name  string
				width int
			}{{"q", d.heads * d.dh}, {"k", d.groups * d.dh}, {"v", d.groups * d.dh}} {
				for i := range s.c { // what is beyond count is numbers too, and must not matter
					copy(e.Floats(in.name)[(r*s.c+i)*in.width:], d.numbersOf(in.name, row.sequence, row.start+i, in.width))
				}
			}
		}
		if err := e.Run(); err != nil {
			t.Fatal(err)
		}
		for r, row := range s.rows {
			if row.sequence == sequence {
				width := d.heads * d.dh
				out = append(out, e.Floats("o")[r*s.c*width:(r*s.c+row.count)*width]...)
			}
		}
	}
	return out
}

func (d decoder) compile(t *testing.T, engine compute.Engine, store compute.Store, rows, c int) compute.Executable {
	t.Helper()
	p := compute.NewProgram("decode")
	cache := func(name string) *compute.Tensor { return p.Variable(name, d.slots, d.positions, d.groups, d.dh) }
	p.Output("o", compute.CachedAttention(
		p.Input("q", compute.Float32, rows, c, d.heads, d.dh),
		p.Input("k", compute.Float32, rows, c, d.groups, d.dh),
		p.Input("v", compute.Float32, rows, c, d.groups, d.dh),
		cache("keys"), cache("values"),
		p.Input("slots", compute.Int32, rows), p.Input("starts", compute.Int32, rows), p.Input("counts", compute.Int32, rows),
		compute.CachedAttentionOp{Scale: 0.3, Window: d.window}))
	e, err := engine.Compile(p, store)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// full is the whole sequence through Attention.
func (d decoder) full(t *testing.T, sequence, length int) []float32 {
	t.Helper()
	p := compute.NewProgram("full")
	in := func(name string, heads int) *compute.Tensor {
		return p.Input(name, compute.Float32, 1, length, heads, d.dh)
	}
	p.Output("o", compute.Attention(in("q", d.heads), in("k", d.groups), in("v", d.groups), nil,
		compute.AttentionOp{Scale: 0.3, Causal: true, Window: d.window}))
	engine := reference.New()
	e, err := engine.Compile(p, engine.NewStore())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"q", "k", "v"} {
		width := len(e.Floats(name)) / length
		for i := range length {
			copy(e.Floats(name)[i*width:], d.numbersOf(name, sequence, i, width))
		}
	}
	if err := e.Run(); err != nil {
		t.Fatal(err)
	}
	return e.Floats("o")
}

// cut decodes a sequence alone in one slot, in stretches of at most c.
func cut(sequence, slot, length, c, room int) []step {
	var steps []step
	for start := 0; start < length; start += c {
		steps = append(steps, step{[]stretch{{sequence, slot, start, min(c, length-start)}}, room})
	}
	return steps
}

// testCachedAttention decodes one sequence in many ways: alone and in company,
// position by position and in stretches, in a fresh slot and in a used one.
// All must give the same bits, and what Attention gives for the whole.
func (s suite) testCachedAttention(t *testing.T) {
	const length = 45
	for _, d := range []decoder{
		{heads: 3, groups: 3, dh: 5, slots: 4, positions: 70},
		{heads: 6, groups: 2, dh: 16, slots: 3, positions: length},
		{heads: 2, groups: 1, dh: 33, window: 9, slots: 3, positions: 64},
	} {
		t.Run(fmt.Sprintf("%d heads on %d of %d window %d", d.heads, d.groups, d.dh, d.window), func(t *testing.T) {
			company := []step{
				{[]stretch{{0, 1, 0, 13}, {1, 0, 0, 20}}, 20},
				{[]stretch{{1, 0, 20, 1}, {0, 1, 13, 1}, {2, 2, 0, 1}}, 1},
				{[]stretch{{2, 2, 1, 9}, {0, 1, 14, 1}, {1, 0, 21, 0}}, 9},
				{[]stretch{{2, 2, 10, 0}, {0, 1, 15, 17}}, 17},
				{[]stretch{{0, 1, 32, 13}}, 16},
			}
			used := append(cut(3, 2, d.positions, d.positions, d.positions), cut(0, 2, length, 7, 7)...)
			ways := []struct {
				name  string
				steps []step
			}{
				{"position by position", cut(0, 0, length, 1, 1)},
				{"at once", cut(0, 0, length, length, length)},
				{"in stretches of 7", cut(0, 1, length, 7, 7)},
				{"in stretches of 16 with room for 33", cut(0, 2, length, 16, 33)},
				{"in company", company},
				{"in a used slot", used},
			}
			want := d.decode(t, s.one(), 0, ways[0].steps)
			if diff := s.differs([]numbers{{"o", want}}, []numbers{{"o", d.full(t, 0, length)}}, recomputed, 0, 0); diff != "" {
				t.Errorf("%s differs from attention over the whole sequence: %s", ways[0].name, diff)
			}
			for _, way := range ways {
				for i, engine := range s.engines {
					got := d.decode(t, engine, 0, way.steps)
					if diff := sameBits([]numbers{{"o", got}}, []numbers{{"o", want}}); diff != "" {
						t.Errorf("%s on %d threads differs from position by position on one: %s", way.name, threadCounts[i], diff)
					}
				}
			}
		})
	}
}
