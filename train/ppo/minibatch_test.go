package ppo

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train"
	"github.com/seed-b72bdb6c/alma/train/rollout"
)

func TestPPO28FirstMinibatchStartsWhereTheRolloutWas(t *testing.T) {
	for _, temperature := range []float64{1, .7} {
		c := tinyPPO()
		c.Temperature, c.Epochs = temperature, 2
		l := newLab(t, newEngine(t), c, 16, nil)
		report, _ := l.take(0, 1e-2)
		for name, want := range map[string]float64{"val/ratio": 1, "val/ratio_var": 0, "policy/approxkl_avg": 0, "policy/clipfrac_avg": 0, "val/clipfrac_avg": 0} {
			if got := metric(t, report.Metrics, name); math.Abs(got-want) > 1e-6 {
				t.Errorf("temperature %g: %s is %v in the first minibatch, want %v", temperature, name, got, want)
			}
		}
		var last train.StepReport
		for step := 1; step < c.minibatches(); step++ {
			last, _ = l.take(step, 1e-2)
		}
		if got := metric(t, last.Metrics, "policy/approxkl_avg"); got < 1e-6 {
			t.Errorf("temperature %g: approxkl is %v after the policy moved", temperature, got)
		}
	}
}

func TestPPO29MicroBatchesAddUpToTheGradientOfTheMinibatch(t *testing.T) {
	type result struct {
		policy, critic map[string][]float32
		stats          minibatchSum
	}
	measure := func(rows, length int) result {
		c := tinyPPO()
		c.MicroRows = rows
		l := newLab(t, newEngine(t), c, length, nil)
		l.roll()
		var s minibatchSum
		// Responses of unequal lengths, so that a mean of means would differ.
		if err := l.accumulate(t.Context(), 0, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, &s); err != nil {
			t.Fatal(err)
		}
		return result{gradients(t, l.policy), gradients(t, l.critic), s}
	}
	whole := measure(12, 11)
	if whole.stats.tokens < 20 {
		t.Fatalf("%d tokens show too little", whole.stats.tokens)
	}
	// Where the ratio is 1 the losses are means over all tokens alike.
	l := newLab(t, newEngine(t), tinyPPO(), 11, nil)
	var policy, value float64
	for _, s := range l.roll()[:11] {
		for i := range s.Response {
			policy -= float64(s.Advantages[i]) / float64(whole.stats.tokens)
			value += .5 * math.Pow(float64(s.OldValues[i]-s.Returns[i]), 2) / float64(whole.stats.tokens)
		}
	}
	if math.Abs(whole.stats.policyLoss-policy) > 1e-5 || math.Abs(whole.stats.valueLoss-value) > 1e-5 {
		t.Errorf("losses %v and %v, want the means over tokens %v and %v", whole.stats.policyLoss, whole.stats.valueLoss, policy, value)
	}
	for _, split := range [][2]int{{1, 11}, {2, 12}, {1, 40}, {3, 23}} {
		got := measure(split[0], split[1])
		if d := farthest(got.policy, whole.policy); d > 1e-5 {
			t.Errorf("micro-batches of %d × %d: the policy's gradient differs by %g", split[0], split[1], d)
		}
		if d := farthest(got.critic, whole.critic); d > 1e-5 {
			t.Errorf("micro-batches of %d × %d: the critic's gradient differs by %g", split[0], split[1], d)
		}
		if math.Abs(got.stats.policyLoss-whole.stats.policyLoss) > 1e-5 || math.Abs(got.stats.valueLoss-whole.stats.valueLoss) > 1e-5 {
			t.Errorf("micro-batches of %d × %d: losses %v and %v, want %v and %v", split[0], split[1],
				got.stats.policyLoss, got.stats.valueLoss, whole.stats.policyLoss, whole.stats.valueLoss)
		}
	}
	// Rows of one length, cut into micro-batches in another way: the same bits.
	for _, rows := range []int{1, 2, 5} {
		got := measure(rows, 11)
		if p, c := farthest(got.policy, whole.policy), farthest(got.critic, whole.critic); p != 0 || c != 0 {
			t.Errorf("micro-batches of %d rows: the gradients differ by %g and %g", rows, p, c)
		}
	}
}

// A row may be all but full of responses.
func TestPPO29RowsFullOfResponsesFit(t *testing.T) {
	c := tinyPPO()
	c.MicroRows, c.MaxTokens, c.Prompts = 1, 9, 20
	l := newLab(t, newEngine(t), c, 40, nil)
	l.sampler.Stop = nil
	l.sampler.Prompts = []rollout.Prompt{{Tokens: []int32{4}}}
	most := 0
	sequences := l.roll()
	all := make([]int, len(sequences))
	for i := range all {
		all[i] = i
	}
	batches, err := rollout.Split(sequences, all, l.shape)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		most = max(most, b.Tokens)
		if len(b.Rows) == 0 {
			t.Error("a micro-batch is empty")
		}
	}
	if most != 36 {
		t.Errorf("the fullest micro-batch has %d response tokens, want 4 × 9", most)
	}
	l.take(0, 1e-3)
}

func TestPPO30MetricsAreUnchangedByPadding(t *testing.T) {
	measure := func(rows, length int) []train.Metric {
		c := tinyPPO()
		c.MicroRows = rows
		l := newLab(t, newEngine(t), c, length, nil)
		first, _ := l.take(0, 1e-2)
		second, _ := l.take(1, 1e-2)
		return append(first.Metrics, second.Metrics...)
	}
	want := measure(2, 12)
	for _, size := range [][2]int{{2, 40}, {12, 12}, {5, 31}} {
		got := measure(size[0], size[1])
		for i := range want {
			if got[i].Name != want[i].Name || math.Abs(got[i].Value-want[i].Value) > 1e-5*max(1, math.Abs(want[i].Value)) {
				t.Errorf("rows %d × %d: %v, want %v", size[0], size[1], got[i], want[i])
			}
		}
	}
}

func TestPPO32PretrainingMixAddsItsGradient(t *testing.T) {
	stream, _ := newText(t, vocabulary, 16)
	c := tinyPPO()
	c.PretrainCoef, c.PretrainRows = 2.5, 3
	which := []int{1, 3, 5, 7}
	measure := func(stream *dataset.Stream) (map[string][]float32, minibatchSum) {
		c := c
		if stream == nil {
			c.PretrainCoef = 0
		}
		l := newLab(t, newEngine(t), c, 16, stream)
		l.roll()
		var s minibatchSum
		if err := l.accumulate(t.Context(), 4, which, &s); err != nil {
			t.Fatal(err)
		}
		return gradients(t, l.policy), s
	}
	mixed, s := measure(stream)
	alone, _ := measure(nil)

	// The same rows by themselves.
	m := newModel(t, newEngine(t), tinyConfig(vocabulary, 40, model.LanguageModel), 1)
	lm, err := train.NewLanguageModel(m, 3, 16)
	if err != nil {
		t.Fatal(err)
	}
	rows := train.NewTextRows(3, 16)
	if err := stream.Batch(4*3, rows.Tokens, rows.Targets); err != nil {
		t.Fatal(err)
	}
	loss, err := lm.Accumulate(t.Context(), rows, 1./48)
	if err != nil {
		t.Fatal(err)
	}
	text := gradients(t, m)
	want := make(map[string][]float32)
	for name := range alone {
		want[name] = make([]float32, len(alone[name]))
		for i := range alone[name] {
			want[name][i] = alone[name][i] + 2.5*text[name][i]
		}
	}
	if d := farthest(mixed, want); d > 1e-6 {
		t.Errorf("the gradient differs by %g from grad(PPO) + γ·grad(LM)", d)
	}
	if d := farthest(mixed, alone); d < 1e-3 {
		t.Errorf("the text changes the gradient by %g only", d)
	}
	if math.Abs(s.textLoss-loss) > 1e-5 {
		t.Errorf("the loss on the text is %v, want %v", s.textLoss, loss)
	}
}

func TestEveryEpochTakesEachResponseOnceInAnOrderOfItsOwn(t *testing.T) {
	c := tinyPPO()
	c.Prompts, c.Minibatch, c.Epochs = 14, 4, 2
	l := newLab(t, newEngine(t), c, 16, nil)
	if c.minibatches() != 8 {
		t.Fatalf("%d minibatches, want 2 × 4", c.minibatches())
	}
	var names []string
	epochs := make([][]int, 4)
	for step := range 16 {
		_, err := l.step(t.Context(), step, func(_ *minibatchSum, batch func() string) error {
			names = append(names, batch())
			return errors.Join(l.policyOptimizer.Zero(), l.criticOpt.Zero())
		})
		if err != nil {
			t.Fatal(err)
		}
		_, list, _ := strings.Cut(names[step], "responses [")
		for _, number := range strings.Fields(strings.TrimSuffix(list, "]")) {
			x, err := strconv.Atoi(number)
			if err != nil {
				t.Fatal(err)
			}
			epochs[step/4] = append(epochs[step/4], x)
		}
	}
	for i, epoch := range epochs {
		if i > 0 && slices.Equal(epoch, epochs[i-1]) {
			t.Errorf("epochs %d and %d have one order", i-1, i)
		}
		if sorted := slices.Sorted(slices.Values(epoch)); len(sorted) != 14 || sorted[0] != 0 || sorted[13] != 13 || len(slices.Compact(sorted)) != 14 {
			t.Errorf("epoch %d takes %v", i, epoch)
		}
	}
	if !strings.HasPrefix(names[9], "iteration 1, minibatch 1,") {
		t.Errorf("step 9 is named %q", names[9])
	}
}
