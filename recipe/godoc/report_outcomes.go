package godoc

import (
	"fmt"
	"math"

	"github.com/seed-b72bdb6c/alma/corpus/godoc"
	"github.com/seed-b72bdb6c/alma/report"
	"github.com/seed-b72bdb6c/alma/stats"
)

// What a run must reach. The report holds each against what was measured; a
// run that misses one is shown as it is and fails nothing.
const (
	mostBitsPerByte    = 1.95
	leastEnded         = .90
	leastAccuracy      = .70
	leastAccuracyWide  = .85
	leastGainHot       = .10 // of the rule at temperature 1
	leastWinsHot       = .65
	leastGainCool      = .03 // at temperature 0.7
	leastWinsCool      = .55
	mostKL             = 6.0 // nats a response
	leastWords         = 10.0
	mostItemFall       = .08 // of the rule, whose items sum to 1
	mostBitsPerByteTax = .05
)

// outcomes holds the run against its thresholds.
func (r *records) outcomes() []report.Outcome {
	e := r.evaluation
	sft, ppo := e.Systems[sftHot], e.Systems[ppoHot]
	n := len(sft.Scores)
	bits := r.metric("pretrain", "validation/bits_per_byte")
	ended := stats.ProportionInterval(math.Round(sft.Ended*float64(n)), n)
	words := min(ppo.Words, e.Systems[ppoCool].Words)
	tax := e.BitsPerBytePPO/e.BitsPerByteSFT - 1
	on := fmt.Sprintf("%d functions of held-out packages (%s)", e.Functions, e.Split)

	list := []report.Outcome{
		{Name: "Bits per byte after pretraining", Measured: fmt.Sprintf("%.3f", bits), Threshold: fmt.Sprintf("≤ %.2f", mostBitsPerByte),
			Status: report.StatusOf(bits <= mostBitsPerByte), Note: "the whole validation text"},
		{Name: "SFT answers that end by themselves", Measured: ended.String(), Threshold: fmt.Sprintf("≥ %.2f", leastEnded),
			Status: report.StatusOf(ended.Value >= leastEnded), Note: "temperature 1, " + on},
		{Name: "Reward model against the rule without noise", Measured: fmt.Sprintf("%.3f", e.RewardAccuracy), Threshold: fmt.Sprintf("≥ %.2f", leastAccuracy),
			Status: report.StatusOf(e.RewardAccuracy >= leastAccuracy), Note: fmt.Sprintf("share of %d pairs of answers to validation functions that it orders as the rule does", e.RewardPairs)},
		{Name: "The same where the rule's gap is wide", Measured: fmt.Sprintf("%.3f", e.RewardAccuracyWide), Threshold: fmt.Sprintf("≥ %.2f", leastAccuracyWide),
			Status: report.StatusOf(e.RewardAccuracyWide >= leastAccuracyWide), Note: fmt.Sprintf("%d of those pairs, at least %g of the rule apart", e.RewardPairsWide, wideGap)},
	}
	for i, least := range [][2]float64{{leastGainHot, leastWinsHot}, {leastGainCool, leastWinsCool}} {
		c := e.Comparisons[i]
		at := fmt.Sprintf("temperature %g", c.Temperature)
		fair := ""
		if i == 1 {
			fair = "; the fairer test, which sharpening alone cannot pass"
		}
		list = append(list,
			report.Outcome{Name: "PPO over SFT, " + at, Measured: signed(c.Difference), Threshold: fmt.Sprintf("≥ %.2f, interval above 0", least[0]),
				Status: report.StatusOf(c.Difference.Value >= least[0] && c.Difference.Above(0)), Note: "mean of the rule, paired by function, 95 % bootstrap interval; " + on + fair},
			report.Outcome{Name: "Head-to-head wins of PPO, " + at, Measured: c.Wins.Rate.String(), Threshold: fmt.Sprintf("≥ %.2f", least[1]),
				Status: report.StatusOf(c.Wins.Rate.Value >= least[1]), Note: fmt.Sprintf("%d wins, %d ties, %d losses by the rule; a tie counts half", c.Wins.Wins, c.Wins.Ties, c.Wins.Losses)})
	}
	fall, ofItem := r.largestFall(), r.largestShareFall()
	list = append(list,
		report.Outcome{Name: "KL of PPO from SFT", Measured: e.KL.String() + " nats", Threshold: fmt.Sprintf("≤ %g", mostKL),
			Status: report.StatusOf(e.KL.Value <= mostKL), Note: "mean of log π_PPO/π_SFT over PPO's answers at temperature 1"},
		report.Outcome{Name: "Mean length of PPO's comments", Measured: fmt.Sprintf("%.1f words", words), Threshold: fmt.Sprintf("≥ %g", leastWords),
			Status: report.StatusOf(words >= leastWords), Note: "the shorter of the two temperatures; the function's name counts as a word"},
		report.Outcome{Name: "Largest fall of an item of the rule", Measured: fall.String(), Threshold: fmt.Sprintf("≤ %.2f", mostItemFall),
			Status: report.StatusOf(fall.fall <= mostItemFall), Note: "from SFT to PPO over all items and both temperatures, in points of the rule, whose items sum to 1"},
		report.Outcome{Name: "The same as a share of the item's own points", Measured: ofItem.String(),
			Note: "a stricter reading, without threshold: how much less often the item was earned"},
		report.Outcome{Name: "Rise of the bits per byte from SFT to PPO", Measured: fmt.Sprintf("%+.2f %% (%.4f → %.4f)", 100*tax, e.BitsPerByteSFT, e.BitsPerBytePPO), Threshold: fmt.Sprintf("< %g %%", 100*mostBitsPerByteTax),
			Status: report.StatusOf(tax < mostBitsPerByteTax), Note: "the alignment tax, on the validation text"},
		report.Outcome{Name: "Bits per byte after pretraining, SFT and PPO", Measured: fmt.Sprintf("%.3f → %.3f → %.3f", bits, e.BitsPerByteSFT, e.BitsPerBytePPO),
			Note: "what the whole of it cost on the validation text; PPO's pretraining mix can bring back what fine-tuning forgot"},
		report.Outcome{Name: fmt.Sprintf("Best of %d by the reward model", r.config.Evaluate.BestOf), Measured: e.Systems[bestOf].Rule.String(), Note: "mean of the rule, samples of SFT at temperature 1"},
		report.Outcome{Name: "PPO at temperature 1 against SFT at 0.7", Measured: fmt.Sprintf("%+.3f", ppo.Rule.Value-e.Systems[sftCool].Rule.Value), Note: "difference of the means of the rule: what is left of the gain where SFT alone is sharpened"},
		report.Outcome{Name: "Distinct openings, SFT → PPO", Measured: fmt.Sprintf("%.2f → %.2f", sft.Openings, ppo.Openings), Note: "different first three words after the name by comments, temperature 1; what PPO cost in variety"},
		report.Outcome{Name: "The comments that people wrote", Measured: e.Systems[people].Rule.String(), Note: "mean of the rule"},
	)
	return list
}

// signed writes an estimate of a difference.
func signed(e stats.Estimate) string {
	return fmt.Sprintf("%+.3f [%+.3f, %+.3f]", e.Value, e.Low, e.High)
}

// itemFall is how far an item fell from SFT to PPO; below 0 it rose.
type itemFall struct {
	item        string
	temperature float64
	fall        float64
}

// String writes `0.012 (about, temperature 1)`, and that none fell where none
// did.
func (f itemFall) String() string {
	if f.fall <= 0 {
		return "none fell"
	}
	return fmt.Sprintf("%.3f (%s, temperature %g)", f.fall, f.item, f.temperature)
}

// largestFall is in points of the rule.
func (r *records) largestFall() itemFall {
	return r.worst(func(float64) float64 { return 1 })
}

// largestShareFall is in shares of what the item can give at most.
func (r *records) largestShareFall() itemFall {
	return r.worst(func(most float64) float64 { return most })
}

func (r *records) worst(unit func(most float64) float64) itemFall {
	worst := itemFall{fall: math.Inf(-1)}
	for i, pair := range [][2]int{{sftHot, ppoHot}, {sftCool, ppoCool}} {
		before, after := r.evaluation.Systems[pair[0]].Items, r.evaluation.Systems[pair[1]].Items
		for j, item := range godoc.ItemNames {
			fall := (before[item] - after[item]) / unit(godoc.Weights.Items()[j])
			if fall > worst.fall {
				worst = itemFall{item, r.evaluation.Comparisons[i].Temperature, fall}
			}
		}
	}
	return worst
}
