package train

import (
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/model"
)

func TestActivationsComputedAgainChangeNoBit(t *testing.T) {
	for _, family := range []model.Family{model.GPT2, model.Llama, model.Qwen3} {
		t.Run(string(family), func(t *testing.T) {
			step := func(recompute bool) (loss float64, flops int64, gradients map[string][]float32) {
				m := newModel(t, newEngine(t, 2), family, true)
				m.Recompute = recompute
				lm := newLanguageModel(t, m, 3, testContext)
				rows := NewTextRows(3, testContext)
				for i := range rows.Tokens {
					rows.Tokens[i], rows.Targets[i] = int32(i*7%19), int32(i*5%19)
				}
				gradients = map[string][]float32{}
				for range 2 {
					var err error
					if loss, err = lm.Accumulate(t.Context(), rows, 0.01); err != nil {
						t.Fatal(err)
					}
				}
				for _, name := range m.Store.Names() {
					shape, _ := m.Store.Shape(name)
					values := make([]float32, shape.Size())
					if err := m.Store.Read(name, values); err != nil {
						t.Fatal(err)
					}
					gradients[name] = values
				}
				return loss, lm.FLOPs(), gradients
			}
			loss, flops, want := step(false)
			again, more, got := step(true)
			if loss != again {
				t.Errorf("the loss is %g, want %g", again, loss)
			}
			if more != flops {
				t.Errorf("%d FLOPs with activations computed again, %d without; work is counted once", more, flops)
			}
			for name, values := range want {
				if !slices.Equal(got[name], values) {
					t.Errorf("%s has other bits", name)
				}
			}
		})
	}
}
