package evaluate

import (
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute/reference"
	"github.com/seed-b72bdb6c/alma/model"
)

// A model with another head has an embedding, and an encoder sees what it would
// foretell: both would give figures that mean nothing.
func TestPerplexityIsThatOfLanguageModelsAlone(t *testing.T) {
	for _, c := range []model.Config{
		{Family: model.BERT, Head: model.MaskedLanguageModel},
		{Family: model.BERT, Head: model.NoHead},
		{Family: model.Llama, Head: model.Scalar},
		{Family: model.Llama, Head: model.Classes, Labels: []string{"no", "yes"}},
	} {
		c.Vocabulary, c.Context, c.Width, c.Layers, c.Heads, c.FeedForward, c.Epsilon, c.InitRange, c.Tied = 20, 8, 8, 1, 2, 16, 1e-5, .02, true
		m, err := model.New(reference.New(), c.Complete(), 1)
		if err != nil {
			t.Fatal(err)
		}
		_, err = MeasurePerplexity(t.Context(), m, make([]int32, 16), 8, -1, make([]int32, 20), nil)
		if artifact.ExitCode(err) != 4 || !strings.Contains(err.Error(), string(c.Head)) {
			t.Errorf("%s with head %q: %v, want exit code 4 and the head", c.Family, c.Head, err)
		}
	}
}
