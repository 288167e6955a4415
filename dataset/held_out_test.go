package dataset

import (
	"math"
	"testing"
)

func TestHeldOutIsAShareDecidedByThePromptAlone(t *testing.T) {
	held := 0
	const n = 20_000
	for i := range int32(n) {
		prompt := []int32{i % 97, i, 5}
		one := HeldOut(prompt, .1)
		if one != HeldOut([]int32{i % 97, i, 5}, .1) {
			t.Fatal("the same prompt is on both sides")
		}
		if one {
			held++
			if !HeldOut(prompt, .2) {
				t.Fatal("a larger share leaves out what a smaller one holds")
			}
		}
	}
	// Three standard deviations of a binomial share.
	if share := float64(held) / n; math.Abs(share-.1) > 3*math.Sqrt(.1*.9/n) {
		t.Errorf("%.4f are held out, want about .1", share)
	}
	if HeldOut([]int32{1}, 0) {
		t.Error("a share of 0 holds something out")
	}
}
