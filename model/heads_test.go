package model

import (
	"math"
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/reference"
)

// classify gives logits and losses of texts laid out one a row, or all in one
// packed row.
func classify(t testing.TB, m *Model, texts [][]int32, targets []int32, packed bool) (logits, losses []float32) {
	t.Helper()
	b, length := len(texts), 0
	for _, x := range texts {
		length = max(length, len(x))
	}
	length += 2 // padding
	if packed {
		b, length = 1, len(slices.Concat(texts...))+2
	}
	p := compute.NewProgram("classes")
	hidden := m.Hidden(p, m.NewBatch(p, b, length))
	rows, wanted := p.Input("rows", compute.Int32, len(texts)), p.Input("targets", compute.Int32, len(texts))
	p.Output("logits", m.ClassLogits(p, hidden, rows))
	p.Output("losses", m.ClassLosses(p, hidden, rows, wanted))
	x, err := m.Engine.Compile(p, m.Store)
	if err != nil {
		t.Fatal(err)
	}
	segments := x.Ints("segments")
	for i := range segments {
		segments[i] = -1
	}
	at := 0
	for i, text := range texts {
		if !packed {
			at = i * length
		}
		for j, token := range text {
			x.Ints("tokens")[at], x.Ints("positions")[at], segments[at] = token, int32(j), int32(i)
			at++
		}
	}
	copy(x.Ints("rows"), m.ReadAt(segments, length))
	copy(x.Ints("targets"), targets)
	if err := x.Run(); err != nil {
		t.Fatal(err)
	}
	return slices.Clone(x.Floats("logits")), slices.Clone(x.Floats("losses"))
}

func TestClassesOfATextDoNotDependOnWhatLiesBesideIt(t *testing.T) {
	for _, family := range Families {
		m := newModel(t, newCPU(t), tiny(family).WithHead(Classes, "no", "yes", "perhaps"), 1)
		texts := [][]int32{text(7, 23, 1), text(1, 23, 2), text(5, 23, 3)}
		targets := []int32{2, -1, 0}
		logits, losses := classify(t, m, texts, targets, false)
		packed, packedLosses := classify(t, m, texts, targets, true)
		if d := max(distance(logits, packed), distance(losses, packedLosses)); d > 1e-5 {
			t.Errorf("%s: packed into one row, logits or losses differ by %g", family, d)
		}
		for i, x := range texts {
			alone, _ := classify(t, m, [][]int32{x}, targets[i:i+1], false)
			if d := distance(alone, logits[i*3:i*3+3]); d > 1e-5 {
				t.Errorf("%s: alone, text %d has logits that differ by %g", family, i, d)
			}
			want := 0.0
			if target := targets[i]; target >= 0 {
				for _, l := range alone {
					want += math.Exp(float64(l))
				}
				want = math.Log(want) - float64(alone[target])
			}
			if math.Abs(float64(losses[i])-want) > 1e-5 {
				t.Errorf("%s: text %d has the loss %v, want %v", family, i, losses[i], want)
			}
		}
	}
}

func TestTextsAreReadAtTheirFirstTokenByEncodersAndAtTheirLastByDecoders(t *testing.T) {
	segments := []int32{-1, 0, 0, 1, 2, 2, 2, -1, 2, 2, -1, -1} // two rows of six
	for family, want := range map[Family][]int32{BERT: {1, 3, 4, 6, 8}, Llama: {2, 3, 5, 6, 9}} {
		if got := tiny(family).ReadAt(segments, 6); !slices.Equal(got, want) {
			t.Errorf("%s reads at %v, want %v", family, got, want)
		}
	}
}

func TestMaskedLossesAreThoseOfTheLogits(t *testing.T) {
	for _, tied := range []bool{true, false} {
		c := tiny(BERT)
		c.Tied = tied
		m := newModel(t, reference.New(), c, 3)
		bias := make([]float32, 23)
		for i := range bias {
			bias[i] = float32(i%5) - 2
		}
		if err := m.Store.Write(c.decoderBias(), bias); err != nil {
			t.Fatal(err)
		}
		p := compute.NewProgram("masked")
		hidden := p.Input("hidden", compute.Float32, 6, 16)
		p.Output("logits", m.Logits(p, hidden))
		p.Output("losses", m.Losses(p, hidden, p.Input("targets", compute.Int32, 2, 3)))
		x, err := m.Engine.Compile(p, m.Store)
		if err != nil {
			t.Fatal(err)
		}
		for i := range x.Floats("hidden") {
			x.Floats("hidden")[i] = float32(i%7) - 3
		}
		targets := []int32{4, -100, 0, 22, -100, 9}
		copy(x.Ints("targets"), targets)
		if err := x.Run(); err != nil {
			t.Fatal(err)
		}
		for i, target := range targets {
			want := 0.0
			if row := x.Floats("logits")[i*23 : i*23+23]; target >= 0 {
				for _, l := range row {
					want += math.Exp(float64(l))
				}
				want = math.Log(want) - float64(row[target])
			}
			if got := x.Floats("losses")[i]; math.Abs(float64(got)-want) > 1e-5 {
				t.Errorf("tied %v: loss %d is %v, want %v", tied, i, got, want)
			}
		}
	}
}

func TestANewHeadStartsRandomAndTheBodyStays(t *testing.T) {
	engine := reference.New()
	for _, test := range []struct {
		from, to Config
		fresh    []string
	}{
		{tiny(BERT), tiny(BERT).WithHead(Classes, "a", "b"), []string{"bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias"}},
		{tiny(BERT).WithHead(Classes, "a", "b"), tiny(BERT).WithHead(Classes, "c", "d"), []string{"classifier.weight", "classifier.bias"}},
		{tiny(BERT).WithHead(Classes, "a", "b"), tiny(BERT).WithHead(Classes, "a", "b"), nil},
		{tiny(Llama), tiny(Llama).WithHead(Classes, "a", "b"), []string{ScoreWeight}},
		{tiny(Llama).WithHead(Scalar), tiny(Llama).WithHead(Classes, "a"), []string{ScoreWeight}},
		{tiny(Gemma3).WithHead(NoHead), tiny(Gemma3), nil},
	} {
		from := newModel(t, engine, test.from, 1)
		to, err := from.WithHead(test.to.Head, 2, test.to.Labels...)
		if err != nil {
			t.Fatal(err)
		}
		other := newModel(t, engine, to.Config, 2)
		for _, p := range to.Parameters() {
			fresh := slices.Contains(test.fresh, p.Name)
			want := other
			if !fresh {
				want = from
			}
			if !slices.Equal(read(t, to, p.Name), read(t, want, p.Name)) {
				t.Errorf("from %s %q to %q: %s is not as it should be (new: %v)", test.from.Family, test.from.Head, test.to.Head, p.Name, fresh)
			}
		}
	}
}
