package dataset

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/reference"
)

// newEcho compiles a Program over rows of t tokens whose output "echo" [B, T] is
// 1,000·token + position: what it was given, and where in its text.
func newEcho(t *testing.T, rows, length int) compute.Executable {
	t.Helper()
	engine := reference.New()
	store := engine.NewStore()
	if err := store.Define("numbers", 100); err != nil {
		t.Fatal(err)
	}
	numbers := make([]float32, 100)
	for i := range numbers {
		numbers[i] = float32(i)
	}
	if err := store.Write("numbers", numbers); err != nil {
		t.Fatal(err)
	}
	p := compute.NewProgram("echo")
	number := func(input string) *compute.Tensor {
		return compute.Embedding(p.Variable("numbers", 100), p.Input(input, compute.Int32, rows, length))
	}
	p.Output("echo", compute.Add(compute.Scale(number("tokens"), 1000), number("positions")))
	p.Output("segment", number("segments"))
	x, err := engine.Compile(p, store)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestAWalkVisitsEachTextOnceWhereItStands(t *testing.T) {
	const length = 16
	var texts [][]int32
	total := 0
	for i := range 40 {
		text := make([]int32, 1+compute.Bits(1, 0, uint64(i))%length)
		for j := range text {
			text[j] = int32(1 + compute.Bits(2, uint64(i), uint64(j))%99)
		}
		texts, total = append(texts, text), total+len(text)
	}
	for _, rows := range []int{1, 3, 100} {
		x := newEcho(t, rows, length)
		got := make([][]int32, len(texts))
		segments := map[[3]int]bool{} // run, row and segment that a text has had
		runs, last := 0, -1
		flops, err := NewPacked(rows, length).WalkTexts(t.Context(), x, texts, -1, func(text, start, end int) error {
			if got[text] != nil {
				t.Errorf("text %d is visited twice", text)
			}
			if start <= last {
				runs++
			}
			last = start
			place := [3]int{runs, start / length, int(x.Floats("segment")[start])}
			if segments[place] {
				t.Errorf("text %d shares the segment %v", text, place)
			}
			segments[place] = true
			for i, echo := range x.Floats("echo")[start:end] {
				got[text] = append(got[text], int32(echo/1000))
				if position := int(echo) % 1000; position != i {
					t.Errorf("token %d of text %d has position %d", i, text, position)
				}
			}
			return nil
		})
		if err != nil || !slices.EqualFunc(got, texts, slices.Equal) {
			t.Errorf("batches of %d rows: %v, %v; want %v", rows, got, err, texts)
		}
		// Rows are nearly full: the runs are those that the tokens need, or one more.
		least := (total + rows*length - 1) / (rows * length)
		if n := int(flops / x.FLOPs()); n < least || n > least+1 || flops%x.FLOPs() != 0 {
			t.Errorf("batches of %d rows: %d FLOPs of %d a run for %d tokens", rows, flops, x.FLOPs(), total)
		}
	}
}

func TestAWalkNamesTheTextAtWhichItEnds(t *testing.T) {
	x := newEcho(t, 1, 4)
	p := NewPacked(1, 4)
	all := func(int, int, int) error { return nil }
	for _, text := range [][]int32{{}, {1, 2, 3, 4, 5}} {
		if _, err := p.WalkTexts(t.Context(), x, [][]int32{{1}, text}, 0, all); !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), "text 1 has") {
			t.Errorf("a text of %d tokens: %v", len(text), err)
		}
	}
	bad := errors.New("bad")
	visits := 0
	flops, err := p.WalkTexts(t.Context(), x, [][]int32{{1, 2, 3, 4}, {5, 6, 7}, {8, 9, 10}}, 0, func(text, _, _ int) error {
		if visits++; text == 1 {
			return bad
		}
		return nil
	})
	if !errors.Is(err, bad) || !strings.Contains(err.Error(), "text 1") || visits != 2 || flops != 2*x.FLOPs() {
		t.Errorf("after %d visits and %d FLOPs: %v", visits, flops, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(artifact.ErrInterrupted)
	if _, err := p.WalkTexts(ctx, x, [][]int32{{1}}, 0, all); !errors.Is(err, artifact.ErrInterrupted) {
		t.Errorf("cancelled: %v", err)
	}
}
