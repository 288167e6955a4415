package train

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute/reference"
	"github.com/seed-b72bdb6c/alma/model"
)

// Training the second layer alone: what is frozen keeps its bits, costs no
// gradient, and has no moments in the checkpoint.
func TestFrozenParametersStayAndCostNothing(t *testing.T) {
	const layer = "model.layers.1."
	full := newModel(t, reference.New(), model.Llama, false)
	whole := newLanguageModel(t, full, 2, testContext)

	m := newModel(t, reference.New(), model.Llama, false)
	m.Freeze(func(p model.Parameter) bool { return !strings.HasPrefix(p.Name, layer) })
	before := make(map[string][]float32)
	for _, p := range m.Parameters() {
		before[p.Name] = readStore(t, m, p.Name)
	}
	lm := newLanguageModel(t, m, 2, testContext)
	if lm.FLOPs() >= whole.FLOPs() {
		t.Errorf("a step with frozen layers takes %d FLOPs, one without %d", lm.FLOPs(), whole.FLOPs())
	}
	o, err := NewOptimizer(m, AdamW{Beta1: .9, Beta2: .95, Epsilon: 1e-8})
	if err != nil {
		t.Fatal(err)
	}
	rows := NewTextRows(2, testContext)
	for i := range rows.Tokens {
		rows.Tokens[i], rows.Targets[i] = int32(i%testVocabulary), int32((i+1)%testVocabulary)
	}
	if _, err := lm.Accumulate(t.Context(), rows, 1); err != nil {
		t.Fatal(err)
	}
	if err := o.Step(.01, 1); err != nil {
		t.Fatal(err)
	}
	var saved bytes.Buffer
	if err := o.Save(&saved); err != nil {
		t.Fatal(err)
	}
	for _, p := range m.Parameters() {
		trained := strings.HasPrefix(p.Name, layer)
		if same := slices.Equal(readStore(t, m, p.Name), before[p.Name]); same == trained {
			t.Errorf("%s: trained %v, kept its bits %v", p.Name, trained, same)
		}
		if moments := bytes.Contains(saved.Bytes(), []byte(momentName(1, p.Name))); moments != trained {
			t.Errorf("%s: trained %v, has moments %v", p.Name, trained, moments)
		}
	}
}
