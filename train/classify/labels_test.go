package classify

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/reference"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/train"
)

// labelled is a text whose labels are the words that it has of three.
func labelled(i uint64) (text string, labels []string) {
	labels = []string{}
	words := []string{"the", "is", "today"}
	for k, word := range []string{"cold", "sun", "warm"} {
		if compute.Bits(9, uint64(k), i)%2 == 0 {
			words = append(words, word)
			labels = append(labels, word)
		}
	}
	return fmt.Sprintf("%s %d", strings.Join(words, " "), i), labels
}

func (w workplace) writeLists(t testing.TB, n int) {
	t.Helper()
	var b strings.Builder
	for i := range n {
		text, labels := labelled(uint64(i))
		line, err := json.Marshal(map[string]any{"text": text, "labels": labels})
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	if err := os.WriteFile(w.inputs.Texts, []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestSeveralLabelsThatCanBeSeenAreLearned(t *testing.T) {
	for body := range bodies {
		for _, freeze := range []bool{false, true} {
			w := newWorkplace(t, body, 1)
			w.writeLists(t, 160)
			c := small()
			c.Epochs, c.FreezeBody = 10, freeze
			manifest, out := w.run(t, c, "out")
			if f1 := manifest.Metrics["validation/micro_f1"]; !freeze && f1 < .95 {
				t.Errorf("%s: micro-F1 %v of labels that are words of the text", body, f1)
			}
			var m Measures
			if err := artifact.ReadJSON(filepath.Join(out, ValidationFile), &m); err != nil || m.Several == nil || m.One != nil || len(m.Several.Labels) != 3 {
				t.Fatalf("measures %+v, %v", m, err)
			}
			loaded, err := file.Load(w.engine, out)
			if err != nil {
				t.Fatal(err)
			}
			if loaded.Problem != model.SeveralLabels || !slices.Equal(loaded.Labels, []string{"cold", "sun", "warm"}) {
				t.Errorf("%s: config.json says problem_type %q with %q", body, loaded.Problem, loaded.Labels)
			}
			thresholds, err := Thresholds(out, loaded.Labels)
			if err != nil || len(thresholds) != 3 || thresholds[0] != m.Several.Labels[0].Threshold {
				t.Errorf("thresholds %v, %v", thresholds, err)
			}
			// A run goes on with the layers that it has.
			w.inputs.Base = out
			if again, _ := w.run(t, c, "again"); !freeze && again.Metrics["validation/micro_f1"] < .95 {
				t.Errorf("%s: trained further, micro-F1 %v", body, again.Metrics["validation/micro_f1"])
			}
		}
	}
}

func TestLabelsTrainedDoNotDependOnThreadsOrMicroBatches(t *testing.T) {
	w := newWorkplace(t, "encoder", 1)
	w.writeLists(t, 48)
	c := small()
	c.Epochs = 1
	_, first := w.run(t, c, "first")
	c.MicroRows = 1
	w.engine = newCPU(t, 1)
	_, second := w.run(t, c, "second")
	if !slices.Equal(weights(t, first), weights(t, second)) {
		t.Error("other weights with one thread and rows one by one")
	}
}

// setLoss is the loss and, by the trained arrays, its gradients, of a step of all
// examples.
func setLoss(t *testing.T, m *model.Model, e Examples) (loss float64, gradients map[string][]float32) {
	t.Helper()
	c := small()
	c.BatchTexts, c.Epochs = len(e.Tokens), 1
	steps, err := plan(e, c, modelContext)
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLoss(m, steps, e, nil, c, modelContext)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range m.Store.Names() {
		if shape, _ := m.Store.Shape(name); strings.HasPrefix(name, "grad/") {
			if err := m.Store.Write(name, make([]float32, shape.Size())); err != nil {
				t.Fatal(err)
			}
		}
	}
	for rows := range slices.Chunk(steps[0].rows, c.MicroRows) {
		part, _, _, err := l.accumulate(t.Context(), rows, l.weight(steps[0]))
		if err != nil {
			t.Fatal(err)
		}
		loss += part
	}
	gradients = make(map[string][]float32)
	for _, p := range m.Trained() {
		if gradients[p.Name], err = train.Gradient(m, p); err != nil {
			t.Fatal(err)
		}
	}
	return loss, gradients
}

// The loss is PyTorch's BCEWithLogitsLoss: the mean over texts and labels of
// −y·log σ(z) − (1−y)·log(1−σ(z)), whose derivative by z is σ(z) − y.
func TestLossOfLabelsIsTheMeanBinaryCrossEntropy(t *testing.T) {
	for body := range bodies {
		m, e := newLab(t, reference.New(), body, 7)
		m.Problem = model.SeveralLabels
		e.Classes, e.Sets = nil, [][]int{{0}, {}, {0, 1, 2}, {1}, {0, 2}, {2}, {1, 2}}
		loss, gradients := setLoss(t, m, e)
		classifier, err := NewClassifier(m, 1, modelContext)
		if err != nil {
			t.Fatal(err)
		}
		probabilities, err := classifier.Probabilities(t.Context(), e.Tokens)
		if err != nil {
			t.Fatal(err)
		}
		want, slope := 0.0, make([]float64, 3) // of the outputs, by label
		for i, p := range probabilities {
			for k := range p {
				y := 0.0
				if slices.Contains(e.Sets[i], k) {
					y = 1
				}
				want -= (y*math.Log(p[k]) + (1-y)*math.Log(1-p[k])) / 21
				slope[k] += (p[k] - y) / 21
			}
		}
		if math.Abs(loss-want) > 1e-6 {
			t.Errorf("%s: loss %v, want %v", body, loss, want)
		}
		if body == "encoder" { // whose outputs have a bias: its gradient is that of the outputs
			for k, got := range gradients["classifier.bias"] {
				if math.Abs(float64(got)-slope[k]) > 1e-6 {
					t.Errorf("the gradient of output %d is %v, want %v", k, got, slope[k])
				}
			}
		}
	}
}

func TestListsThatCannotBeLearnedAreRefusedWithPlaceAndRemedy(t *testing.T) {
	const list, one = `{"text":"the sun","labels":["a","b"]}`, `{"text":"the rain","label":"a"}`
	for _, test := range []struct {
		texts  string
		change func(*Config)
		want   string
	}{
		{list + "\n" + one, func(c *Config) { c.ClassWeights = "balanced" }, "class_weights balanced, and the texts of"},
		{`{"text":"the sun","labels":[]}`, nil, "none of the 1 texts that are not held out has a label"},
		{`{"text":"the sun","labels":[0,1,0]}`, nil, `:1: "labels" holds [0,1,0], in which "0" stands twice`},
		{`{"text":"the sun","labels":["a"," "]}`, nil, `:1: "labels" holds a blank label`},
		{`{"text":"the sun","labels":[["a"]]}`, nil, `:1: "labels" holds ["a"], which is no label`},
	} {
		w := newWorkplace(t, "decoder", 1)
		if err := os.WriteFile(w.inputs.Texts, []byte(test.texts), 0o666); err != nil {
			t.Fatal(err)
		}
		c := small()
		c.Validation = 0
		if test.change != nil {
			test.change(&c)
		}
		_, err := Run(t.Context(), environment(w.engine), c, w.inputs, filepath.Join(w.folder, "out"))
		if err == nil || !strings.Contains(err.Error(), test.want) || artifact.ExitCode(err) != 4 {
			t.Errorf("%s: %v, want %s and exit code 4", test.texts, err, test.want)
		}
	}
	// A label among lists is a list of one; a list is none for a model of one class.
	sets, err := SetsOf("f", []dataset.Text{{Labels: []string{"b", "a"}}, {Label: "b"}, {Labels: []string{}}}, []string{"a", "b"})
	if err != nil || fmt.Sprint(sets) != "[[0 1] [1] []]" {
		t.Errorf("sets %v, %v", sets, err)
	}
	if _, err := ClassesOf("f", []dataset.Text{{Labels: []string{"a"}, Line: 3}}, []string{"a"}); err == nil || !strings.Contains(err.Error(), "f:3: the text has a list of labels") {
		t.Errorf("%v", err)
	}
}
