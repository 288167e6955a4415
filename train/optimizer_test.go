package train

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/reference"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
)

func readStore(t testing.TB, m *model.Model, name string) []float32 {
	t.Helper()
	shape, ok := m.Store.Shape(name)
	if !ok {
		t.Fatalf("there is no %s", name)
	}
	data := make([]float32, shape.Size())
	if err := m.Store.Read(name, data); err != nil {
		t.Fatal(err)
	}
	return data
}

func newOptimizer(t testing.TB, m *model.Model, constants AdamW) *Optimizer {
	t.Helper()
	if _, err := NewLanguageModel(m, 1, testContext); err != nil {
		t.Fatal(err)
	}
	o, err := NewOptimizer(m, constants)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// randomGradients writes gradients and returns them by parameter.
func randomGradients(t testing.TB, m *model.Model, step int, size float64) map[string][]float32 {
	t.Helper()
	out := make(map[string][]float32)
	for _, p := range m.Parameters() {
		data := make([]float32, compute.Shape(p.Shape).Size())
		for i := range data {
			data[i] = float32(size * compute.Normal(uint64(step), compute.Stream(p.Name), uint64(i)))
		}
		if err := m.Store.Write("grad/"+p.Name, data); err != nil {
			t.Fatal(err)
		}
		out[p.Name] = data
	}
	return out
}

// The update is Loshchilov and Hutter's algorithm 2 in PyTorch's form, and
// the clipping PyTorch's clip_grad_norm_, followed here in float64.
func TestOptimizerIsAdamW(t *testing.T) {
	for _, constants := range []AdamW{
		{Beta1: .9, Beta2: .95, Epsilon: 1e-8, Decay: .1, MaxNorm: 1},
		{Beta1: .9, Beta2: .999, Epsilon: 1e-5, MaxNorm: 1},
		{Beta1: .8, Beta2: .99, Epsilon: 1e-8, Decay: .5},
		{Beta1: .9, Beta2: .95, Epsilon: 1e-8, MaxNorm: 1e9}, // never reached
	} {
		m := newModel(t, newEngine(t, 1), model.GPT2, true)
		o := newOptimizer(t, m, constants)
		weight, first, second := make(map[string][]float64), make(map[string][]float64), make(map[string][]float64)
		for _, p := range m.Parameters() {
			for _, v := range readStore(t, m, p.Name) {
				weight[p.Name] = append(weight[p.Name], float64(v))
			}
			first[p.Name], second[p.Name] = make([]float64, len(weight[p.Name])), make([]float64, len(weight[p.Name]))
		}
		for step := 1; step <= 5; step++ {
			gradients := randomGradients(t, m, step, .1)
			var squares float64
			for _, g := range gradients {
				for _, v := range g {
					squares += float64(v) * float64(v)
				}
			}
			norm, err := o.Norm()
			if err != nil {
				t.Fatal(err)
			}
			if relative(norm, math.Sqrt(squares)) > 1e-6 {
				t.Fatalf("the norm is %v, want %v", norm, math.Sqrt(squares))
			}
			scale := 1.0
			if constants.MaxNorm > 0 && math.Sqrt(squares) > constants.MaxNorm {
				scale = constants.MaxNorm / (math.Sqrt(squares) + 1e-6)
			}
			lr := 1e-3 * float64(step)
			if err := o.Step(lr, norm); err != nil {
				t.Fatal(err)
			}
			for _, p := range m.Parameters() {
				got := readStore(t, m, p.Name)
				for i, g := range gradients[p.Name] {
					w, m1, m2 := &weight[p.Name][i], &first[p.Name][i], &second[p.Name][i]
					grad := float64(g) * scale
					*m1 = constants.Beta1**m1 + (1-constants.Beta1)*grad
					*m2 = constants.Beta2**m2 + (1-constants.Beta2)*grad*grad
					mHat := *m1 / (1 - math.Pow(constants.Beta1, float64(step)))
					vHat := *m2 / (1 - math.Pow(constants.Beta2, float64(step)))
					if len(p.Shape) == 2 {
						*w -= lr * constants.Decay * *w
					}
					*w -= lr * mHat / (math.Sqrt(vHat) + constants.Epsilon)
					if math.Abs(float64(got[i])-*w) > 2e-6 {
						t.Fatalf("%+v: after step %d %s[%d] is %v, want %v", constants, step, p.Name, i, got[i], *w)
					}
				}
			}
			if norm, err := o.Norm(); err != nil || norm != 0 {
				t.Fatalf("after a step the gradients have the norm %v (%v), want 0", norm, err)
			}
		}
	}
}

func TestWithoutAGradientOnlyMatricesShrink(t *testing.T) {
	m := newModel(t, newEngine(t, 1), model.GPT2, true)
	o := newOptimizer(t, m, AdamW{Beta1: .9, Beta2: .95, Epsilon: 1e-8, Decay: .5})
	before := make(map[string][]float32)
	for _, p := range m.Parameters() {
		before[p.Name] = readStore(t, m, p.Name)
	}
	if err := o.Step(.1, 0); err != nil {
		t.Fatal(err)
	}
	for _, p := range m.Parameters() {
		factor := 1.0
		if len(p.Shape) == 2 {
			factor = .95 // 1 − .1·.5
		}
		for i, v := range readStore(t, m, p.Name) {
			if math.Abs(float64(v)-factor*float64(before[p.Name][i])) > 1e-7 {
				t.Fatalf("%s of shape %v went from %v to %v", p.Name, p.Shape, before[p.Name][i], v)
			}
		}
	}
}

func TestOptimizerStateComesBack(t *testing.T) {
	engine := newEngine(t, 1)
	constants := AdamW{Beta1: .9, Beta2: .95, Epsilon: 1e-8, Decay: .1, MaxNorm: 1}
	a, b := newModel(t, engine, model.Llama, true), newModel(t, engine, model.Llama, true)
	oa, ob := newOptimizer(t, a, constants), newOptimizer(t, b, constants)
	step := func(m *model.Model, o *Optimizer, i int) {
		randomGradients(t, m, i, 1)
		norm, err := o.Norm()
		if err == nil {
			err = o.Step(1e-2, norm)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		step(a, oa, i)
	}
	var saved bytes.Buffer
	if err := oa.Save(&saved); err != nil {
		t.Fatal(err)
	}
	var w bytes.Buffer
	if err := file.WriteWeights(&w, a, "F32"); err != nil {
		t.Fatal(err)
	}
	if err := file.ReadWeights(b, "model", bytes.NewReader(w.Bytes()), int64(w.Len())); err != nil {
		t.Fatal(err)
	}
	if err := ob.Load("optimizer", bytes.NewReader(saved.Bytes()), int64(saved.Len())); err != nil {
		t.Fatal(err)
	}
	step(a, oa, 3)
	step(b, ob, 3)
	if digest(t, a) != digest(t, b) {
		t.Error("the next step gives other weights")
	}

	c := newModel(t, engine, model.GPT2, true)
	oc := newOptimizer(t, c, constants)
	if err := oc.Load("a/optimizer.safetensors", bytes.NewReader(saved.Bytes()), int64(saved.Len())); exitCode(err) != 12 || !strings.Contains(err.Error(), "a/optimizer.safetensors") || !strings.Contains(err.Error(), "transformer.h.0") {
		t.Errorf("the moments of another model: %v, want exit code 12 with file and tensor", err)
	}
	if err := oc.Load("a/optimizer.safetensors", bytes.NewReader(saved.Bytes()), 100); exitCode(err) != 12 {
		t.Errorf("a file cut off: %v, want exit code 12", err)
	}
}

func TestNewOptimizerForgetsTheMomentsOfAnEarlierOne(t *testing.T) {
	engine := newEngine(t, 1)
	constants := AdamW{Beta1: .9, Beta2: .95, Epsilon: 1e-8}
	a, b := newModel(t, engine, model.Llama, true), newModel(t, engine, model.Llama, true)
	first := newOptimizer(t, a, constants)
	randomGradients(t, a, 1, 1)
	if err := first.Step(0, 1); err != nil { // moves the moments alone
		t.Fatal(err)
	}
	for _, m := range []*model.Model{a, b} {
		o := newOptimizer(t, m, constants)
		randomGradients(t, m, 2, 1)
		if err := o.Step(1e-2, 1); err != nil {
			t.Fatal(err)
		}
	}
	if digest(t, a) != digest(t, b) {
		t.Error("the first step of a new optimizer depends on an earlier one")
	}
}

func TestOptimizerNeedsAGradientOfEveryParameter(t *testing.T) {
	m := newModel(t, newEngine(t, 1), model.Llama, true)
	if _, err := NewOptimizer(m, AdamW{}); err == nil || !strings.Contains(err.Error(), "model.embed_tokens.weight") {
		t.Errorf("%v, want an error that names a parameter", err)
	}
}

// The gradient of a tied embedding is the sum of that of an embedding and that
// of a head of the same weights.
func TestGradientOfATiedEmbeddingIsTheSumOfBothUses(t *testing.T) {
	for _, family := range []model.Family{model.GPT2, model.Llama} {
		tied := newModel(t, reference.New(), family, true)
		untied := newModel(t, reference.New(), family, false)
		for _, p := range tied.Parameters() {
			if err := untied.Store.Write(p.Name, readStore(t, tied, p.Name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := untied.Store.Write("lm_head.weight", readStore(t, tied, tied.EmbeddingName())); err != nil {
			t.Fatal(err)
		}
		gradients := make(map[*model.Model]map[string][]float32)
		for _, m := range []*model.Model{tied, untied} {
			lm, err := NewLanguageModel(m, 2, testContext)
			if err != nil {
				t.Fatal(err)
			}
			rows := NewTextRows(2, testContext)
			fillText(rows, 0)
			if _, err := lm.Accumulate(t.Context(), rows, 1./24); err != nil {
				t.Fatal(err)
			}
			gradients[m] = make(map[string][]float32)
			for _, p := range m.Parameters() {
				if gradients[m][p.Name], err = Gradient(m, p); err != nil {
					t.Fatal(err)
				}
			}
		}
		for name, got := range gradients[tied] {
			want := slices.Clone(gradients[untied][name])
			if name == tied.EmbeddingName() {
				for i, v := range gradients[untied]["lm_head.weight"] {
					want[i] += v
				}
			}
			for i := range got {
				if math.Abs(float64(got[i]-want[i])) > 1e-6 {
					t.Fatalf("%s: gradient of %s[%d] is %v, want %v", family, name, i, got[i], want[i])
				}
			}
		}
	}
}

// Promise 6 of the reliability list.
func TestWeightsAfter50StepsDoNotDependOnThreadsOrMicroBatches(t *testing.T) {
	for _, c := range []struct {
		family model.Family
		tied   bool
		length int
		splits [][2]int // threads, rows of a micro-batch
	}{
		{model.Llama, true, compute.HeadBlock, [][2]int{{1, 1}, {1, 2}, {1, 4}, {2, 1}, {4, 2}, {8, 4}}},
		{model.GPT2, true, compute.HeadBlock, [][2]int{{2, 4}, {1, 2}, {3, 1}}},
		{model.Qwen3, false, testContext, [][2]int{{1, 2}, {2, 4}, {4, 1}, {8, 2}}},
	} {
		var want [32]byte
		for i, split := range c.splits {
			r := newTrial(t, t.TempDir())
			r.engine, r.family, r.tied, r.steps, r.length, r.micro = newEngine(t, split[0]), c.family, c.tied, 50, c.length, split[1]
			got := r.mustRun()
			if i == 0 {
				want = got
			}
			if got != want {
				t.Errorf("%s, %d threads, micro-batches of %d rows: other weights than with %d and %d", c.family, split[0], split[1], c.splits[0][0], c.splits[0][1])
			}
		}
	}
}

// Rows of any length give the same gradient up to rounding.
func TestMicroBatchesAddUpToTheGradientOfTheBatch(t *testing.T) {
	gradients := func(micro int) map[string][]float32 {
		m := newModel(t, newEngine(t, 1), model.GPT2, true)
		lm, err := NewLanguageModel(m, micro, testContext)
		if err != nil {
			t.Fatal(err)
		}
		rows := NewTextRows(micro, testContext)
		for at := 0; at < 6; at += micro {
			fillText(rows, at)
			if _, err := lm.Accumulate(t.Context(), rows, 1./(6*testContext)); err != nil {
				t.Fatal(err)
			}
		}
		out := make(map[string][]float32)
		for _, p := range m.Parameters() {
			if out[p.Name], err = Gradient(m, p); err != nil {
				t.Fatal(err)
			}
		}
		return out
	}
	whole := gradients(6)
	for _, micro := range []int{1, 2, 3} {
		for name, got := range gradients(micro) {
			for i := range got {
				if math.Abs(float64(got[i]-whole[name][i])) > 1e-6 {
					t.Fatalf("micro-batches of %d rows: gradient of %s[%d] is %v, want %v", micro, name, i, got[i], whole[name][i])
				}
			}
		}
	}
}

func TestTrainingLowersTheLoss(t *testing.T) {
	r := newTrial(t, t.TempDir())
	r.steps = 60
	r.mustRun()
	lines := readMetrics(t, r.folder)
	first, _ := lines[0].Value("loss")
	last, _ := lines[len(lines)-1].Value("loss")
	if first < math.Log(testVocabulary)-.3 || last > first/1.5 {
		t.Errorf("the loss went from %v to %v", first, last)
	}
}

func TestScheduleValues(t *testing.T) {
	for _, test := range []struct {
		s    Schedule
		want map[int]float64
	}{
		{Schedule{1, 4, 12, "cosine", 0}, map[int]float64{0: .25, 3: 1, 4: 1, 8: .5, 11: (1 + math.Cos(math.Pi*7/8)) / 2, 12: 0}},
		{Schedule{2, 0, 10, "linear", 0}, map[int]float64{0: 2, 5: 1, 9: .2, 10: 0}},
		{Schedule{1, 0, 10, "linear", .1}, map[int]float64{0: 1, 5: .55, 10: .1}},
		{Schedule{1, 2, 12, "linear-tail", 0}, map[int]float64{0: .5, 2: 1, 7: 1, 8: .8, 11: .2, 12: 0}},
		{Schedule{3, 2, 10, "constant", 0}, map[int]float64{0: 1.5, 1: 3, 9: 3}},
		{Schedule{1, 5, 5, "cosine", 0}, map[int]float64{0: .2, 4: 1}},
		{Schedule{1, 0, 1, "cosine", 0}, map[int]float64{0: 1}},
	} {
		if err := test.s.Validate(); err != nil {
			t.Error(err)
		}
		for step, want := range test.want {
			if got := test.s.At(step); math.Abs(got-want) > 1e-12 {
				t.Errorf("%+v at step %d is %v, want %v", test.s, step, got, want)
			}
		}
		for step := range test.s.Steps {
			if got := test.s.At(step); got <= 0 || got > test.s.Peak {
				t.Errorf("%+v at step %d is %v", test.s, step, got)
			}
		}
	}
}

func TestScheduleRefusesImpossibleValues(t *testing.T) {
	for _, s := range []Schedule{
		{1, 0, 10, "staircase", 0}, {0, 0, 10, "cosine", 0}, {-1, 0, 10, "cosine", 0}, {1, -1, 10, "cosine", 0},
		{1, 0, 10, "cosine", 2}, {1, 0, 10, "cosine", -.1}, {math.NaN(), 0, 10, "cosine", 0}, {math.Inf(1), 0, 10, "cosine", 0},
	} {
		if err := s.Validate(); exitCode(err) != 4 {
			t.Errorf("%+v: %v, want exit code 4", s, err)
		}
	}
}

func TestWarmupIsAShareOfTheSteps(t *testing.T) {
	c := DefaultOptimizer(1)
	c.Warmup = .05
	for steps, want := range map[int]int{2000: 100, 10: 1, 9: 0, 1: 0} {
		if got := c.Schedule(steps).Warmup; got != want {
			t.Errorf("%d of %d steps warm up, want %d", got, steps, want)
		}
	}
}

func TestGuardTakesThePolicyOfTheConfiguration(t *testing.T) {
	for _, policy := range BadUpdates {
		c := DefaultOptimizer(1)
		c.OnBadBatch = string(policy)
		if got := c.Guard().Policy; got != policy {
			t.Errorf("policy %q, want %q", got, policy)
		}
	}
}
