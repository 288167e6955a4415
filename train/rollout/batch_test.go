package rollout

import (
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
)

// inputs stands for a Program of which only the inputs are looked at.
type inputs struct {
	compute.Executable
	ints map[string][]int32
}

func (x inputs) Ints(name string) []int32 { return x.ints[name] }

func sequences(lengths ...[2]int) (rollout []*Sequence) {
	token := int32(10)
	take := func(n int) (ids []int32) {
		for range n {
			ids = append(ids, token)
			token++
		}
		return ids
	}
	for _, l := range lengths {
		rollout = append(rollout, &Sequence{Prompt: take(l[0]), Response: take(l[1])})
	}
	return rollout
}

func TestEverySequenceLiesWholeInOneRowOfOneMicroBatch(t *testing.T) {
	rollout := sequences([2]int{3, 4}, [2]int{1, 1}, [2]int{5, 3}, [2]int{2, 6}, [2]int{1, 3}, [2]int{4, 4})
	which := []int{5, 0, 2, 3, 4}
	batches, err := Split(rollout, which, Shape{B: 2, T: 9})
	if err != nil {
		t.Fatal(err)
	}
	var seen []int
	for _, b := range batches {
		tokens := 0
		for _, row := range b.Rows {
			length := 0
			for _, x := range row {
				seen = append(seen, x)
				length += len(rollout[x].Prompt) + len(rollout[x].Response)
				tokens += len(rollout[x].Response)
			}
			if length > 9 || len(b.Rows) > 2 {
				t.Errorf("rows of %v hold %d tokens", b.Rows, length)
			}
		}
		if b.Tokens != tokens {
			t.Errorf("%d response tokens, want %d", b.Tokens, tokens)
		}
	}
	slices.Sort(seen)
	if !slices.Equal(seen, []int{0, 2, 3, 4, 5}) {
		t.Errorf("the micro-batches hold %v", seen)
	}
}

func TestAResponseTokenBelongsToThePositionThatPredictsIt(t *testing.T) {
	rollout := sequences([2]int{2, 2}, [2]int{1, 3})
	p := Pass{Shape: Shape{B: 2, T: 9}, Responses: true, Executable: inputs{ints: map[string][]int32{
		"tokens": make([]int32, 18), "positions": make([]int32, 18), "segments": make([]int32, 18), "responses": make([]int32, 18),
	}}}
	p.Fill(Batch{Rows: [][]int{{1, 0}}}, rollout)
	for name, want := range map[string][]int32{
		"tokens":    {14, 15, 16, 17, 10, 11, 12, 13, 0},
		"positions": {0, 1, 2, 3, 0, 1, 2, 3, 0},
		"segments":  {0, 0, 0, 0, 1, 1, 1, 1, -1},
		"responses": {15, 16, 17, -1, -1, 12, 13, -1, -1},
	} {
		if got := p.Ints(name); !slices.Equal(got[:9], want) {
			t.Errorf("%s are %v, want %v", name, got[:9], want)
		}
	}
	if s := p.Ints("segments"); slices.Max(s[9:]) != -1 {
		t.Errorf("the row that is left over has segments %v", s[9:])
	}
}
