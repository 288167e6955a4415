package recipe

import (
	"fmt"
	"math"
	"reflect"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/train/pretrain"
)

const (
	// mostEpochs is how often text is read at most: up to four times it is about as
	// good as new text (Muennighoff et al. 2023).
	mostEpochs = 4
	// bytesPerToken of text with a vocabulary of some thousand tokens.
	bytesPerToken = 2.4
	// Between these the scale of the run is sought.
	leastScale, mostScale = 1.0 / 64, 4096.0
)

// Budget returns a derivation for [Options]: it turns the recipe's budget into the
// size of the model and of the work, for a machine of so many FLOP/s whose run lies,
// or will lie, in a folder. The budget is that of the whole run; the recipe needs a
// stage of pretraining.
//
// Compute grows with the budget, and with it both the weights and the tokens
// (Hoffmann et al. 2022): width with its power .2, depth with .15, and the tokens of
// pretraining with what is left, as far as the corpus has text. Learning rates fall as
// the width grows (Yang et al. 2022, for Adam). How large all of it may be is tried
// on plans until their time is the budget. What was derived when the
// run began stays: a measured speed is another each time.
func Budget(folder string, peak func() float64) func(r *Recipe) (map[string]any, string, error) {
	return func(r *Recipe) (map[string]any, string, error) {
		reason := "budget " + durationText(r.Budget)
		if saved, err := ReadSaved(folder); err == nil && saved.Budget == r.Budget && len(saved.Derived) > 0 {
			return r.known(saved.Derived), reason, nil
		}
		var from *Step
		for _, s := range r.Steps {
			if _, ok := s.Config.(*pretrain.Config); ok {
				from = s
				break
			}
		}
		if from == nil {
			return nil, reason, artifact.Errorf(artifact.ErrUsage, "the recipe has no stage of pretraining (use: pretrain), so nothing follows from a budget; leave it out")
		}
		flops := peak()
		var failed error
		seconds := func(scale float64) float64 {
			var total float64
			r.with(r.scaled(from, scale), func() {
				p, err := r.plan("", flops, Selection{}, nil)
				if err != nil {
					failed = err
					return
				}
				for _, s := range p.Stages {
					total += s.Total
				}
			})
			return total
		}
		low, high := leastScale, mostScale
		for range 24 {
			if middle := math.Sqrt(low * high); seconds(middle) <= r.Budget.Seconds() {
				low = middle
			} else {
				high = middle
			}
			if failed != nil {
				return nil, reason, failed
			}
		}
		if took := seconds(low); low < 1.01*leastScale && took > r.Budget.Seconds() {
			return nil, reason, artifact.Errorf(artifact.ErrUsage, "even the smallest run takes about %s on this machine; give a larger budget than %s, or less to the stages after pretraining", span(took), durationText(r.Budget))
		}
		return r.scaled(from, low), fmt.Sprintf("%s at %.0f GFLOP/s", reason, flops/1e9), nil
	}
}

// known leaves out keys that the recipe does not have any more.
func (r *Recipe) known(values map[string]any) map[string]any {
	out := map[string]any{}
	r.root.leaves(func(f *field) {
		if v, ok := values[f.key]; ok {
			out[f.key] = v
		}
	})
	return out
}

// with lends values that nobody set to the recipe while something runs.
func (r *Recipe) with(values map[string]any, run func()) {
	before := map[*field]reflect.Value{}
	r.root.leaves(func(f *field) {
		if v, ok := values[f.key]; ok && f.origin.Kind == Default {
			old := copyOf(f.value)
			if convertAny(v, f.value, limits{}) == nil {
				before[f] = old
			}
		}
	})
	run()
	for f, old := range before {
		f.value.Set(old)
	}
}

// scaled are the values for so many times the compute of the defaults, which two
// cores do in some minutes.
func (r *Recipe) scaled(from *Step, scale float64) map[string]any {
	grow := func(n int, by float64, step int) int {
		return max(step, int(math.Round(float64(n)*by/float64(step)))*step)
	}
	d := pretrain.Defaults()
	headDim := d.Width / d.Heads
	width := grow(d.Width, math.Pow(scale, .2), 2*headDim)
	layers := grow(d.Layers, math.Pow(scale, .15), 1)
	by := float64(width) / float64(d.Width)
	// What is left of the growth goes to the tokens.
	tokens := scale / (by * by * float64(layers) / float64(d.Layers)) * math.Pow(scale, .25)
	c := from.Config.(*pretrain.Config)
	steps := max(50, twoDigits(float64(d.Steps)*tokens*float64(d.BatchTokens)/float64(c.BatchTokens)))
	if text := r.textOf(from); text > 0 {
		most := mostEpochs * float64(text) / bytesPerToken
		steps = min(steps, max(50, twoDigits(most/float64(c.BatchTokens))))
	}
	values := map[string]any{
		from.Name + ".layers": layers, from.Name + ".width": width, from.Name + ".heads": width / headDim, from.Name + ".steps": steps,
	}
	later := float64(steps) * float64(c.BatchTokens) / (float64(d.Steps) * float64(d.BatchTokens))
	for _, s := range r.Steps {
		defaults := map[string]reflect.Value{}
		f := &field{value: reflect.ValueOf(s.Stage.Config()).Elem(), section: true}
		if f.buildSection() != nil {
			continue
		}
		f.leaves(func(leaf *field) { defaults[leaf.name] = leaf.value })
		for _, rate := range []string{"lr", "critic_lr"} {
			if v, ok := defaults[rate]; ok {
				values[s.Name+"."+rate] = threeDigits(v.Float() / by)
			}
		}
		switch s.Stage.Kind {
		case "ppo":
			values[s.Name+".iterations"] = grow(int(defaults["iterations"].Int()), math.Pow(later, .25), 1)
		case "godoc-rankings", "answers":
			if n := defaults["prompts"].Int(); n > 0 {
				values[s.Name+".prompts"] = min(8000, grow(int(n), math.Sqrt(later), 1))
			}
		case "godoc-corpus":
			if scale >= 4 {
				values[s.Name+".max_bytes"] = 0
			}
		case "tokenizer":
			if scale >= 4 {
				values[s.Name+".vocabulary"] = 2 * defaults["vocabulary"].Int()
			}
		}
	}
	return values
}

// textOf estimates the bytes of text that pretraining reads, 0 if nothing is known.
func (r *Recipe) textOf(from *Step) int64 {
	for _, ref := range from.Inputs["corpus"] {
		if ref.Step == nil {
			return FactsOf(ref.Path).Bytes
		}
		if p, err := r.plan("", 0, Selection{}, nil); err == nil {
			for _, s := range p.Stages {
				if s.Name == ref.Step.Name {
					return s.Leaves[ref.Output.Part].Bytes
				}
			}
		}
	}
	return 0
}

// twoDigits rounds to two digits, so that a speed measured a little otherwise gives
// the same.
func twoDigits(x float64) int {
	if x < 1 {
		return 0
	}
	digits := math.Pow(10, math.Floor(math.Log10(x))-1)
	return int(math.Round(x/digits) * digits)
}

// threeDigits keeps three digits, so that a rate can be read and copied.
func threeDigits(rate float64) float64 {
	digits := math.Pow(10, 2-math.Floor(math.Log10(rate)))
	return math.Round(rate*digits) / digits
}
