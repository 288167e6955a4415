package preference

import (
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/dataset"
)

func TestLengthPrefersAnswersNearTheTargetThatEnd(t *testing.T) {
	prompt := dataset.UserPrompt("Why?", "Because")
	got, err := Length(4).Judge(t.Context(), []dataset.Completion{
		{Prompt: prompt, Text: " it is so.", Ended: true},            // 4 words
		{Prompt: prompt, Text: ".", Ended: true},                     // 1
		{Prompt: prompt, Text: " it is so, and more", Ended: true},   // 6
		{Prompt: prompt, Text: " it is so", Ended: false},            // cut off at 4
		{Prompt: prompt, Text: " a b c d e f g h i j", Ended: false}, // cut off at 11
	})
	if want := []float64{0, -3, -2, -4, -7}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v (%v), want %v", got, err, want)
	}
}
