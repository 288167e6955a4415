package generate

import "testing"

// A prefill computes all of its rows and tokens, so its shape must fit what
// there is to read.
func TestPrefillsTakeTheShapeOfThePrompts(t *testing.T) {
	lengths := func(n, length int) []int {
		out := make([]int, n)
		for i := range out {
			out[i] = length
		}
		return out
	}
	for _, c := range []struct {
		name    string
		slots   int
		prompts []int
		want    shape
	}{
		{"a long prompt alone", 1, []int{512}, shape{1, 256}},
		{"a long prompt where there are slots", 16, []int{512}, shape{1, 256}},
		{"a short prompt alone", 16, []int{5}, shape{1, 16}},
		{"a prompt of middle length", 16, []int{60}, shape{1, 64}},
		{"many short prompts", 32, lengths(20, 16), shape{16, 16}},
		{"some short prompts", 4, lengths(4, 12), shape{4, 16}},
		{"eight of 30 tokens", 8, lengths(8, 30), shape{8, 32}},
		{"two long ones", 2, lengths(2, 128), shape{2, 128}},
	} {
		g := &Generator{slots: c.slots}
		var batch []*text
		for _, n := range c.prompts {
			batch = append(batch, &text{prompt: make([]int32, n)})
		}
		if got := g.prefillShape(batch); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
