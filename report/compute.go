package report

import "math"

// Pretraining is expected to take between these multiples of the compute of
// every other stage.
const (
	expectedLow  = 10
	expectedHigh = 100
)

// computeRow is a line of the compute table, computed and formatted.
type computeRow struct {
	Stage                  string
	FLOPs, FLOPShare       string
	Seconds, SecondShare   string
	Speed                  string // FLOPs per second
	Tokens                 string
	FLOPRatio, SecondRatio string // pretraining over this stage
	Against                string // the expectation
	flopShare, secondShare float64
}

// computeTable returns a row per stage and one of totals. Shares are of the
// whole; ratios are pretraining's figure over the stage's, "–" for pretraining
// itself, without pretraining, or where a stage spends nothing.
func computeTable(stages []StageCompute) []computeRow {
	if len(stages) == 0 {
		return nil
	}
	var total, pretraining StageCompute
	for _, s := range stages {
		total.FLOPs += s.FLOPs
		total.Seconds += s.Seconds
		total.Tokens += s.Tokens
		if s.Pretraining {
			pretraining.FLOPs += s.FLOPs
			pretraining.Seconds += s.Seconds
		}
	}
	total.Stage = "all"
	rows := make([]computeRow, 0, len(stages)+1)
	for i, s := range append(append([]StageCompute{}, stages...), total) {
		r := computeRow{
			Stage: s.Stage, FLOPs: count(s.FLOPs), Seconds: span(s.Seconds), Tokens: grouped(s.Tokens),
			flopShare: share(s.FLOPs, total.FLOPs), secondShare: share(s.Seconds, total.Seconds),
			Speed: count(s.FLOPs/s.Seconds) + "FLOP/s", FLOPRatio: "–", SecondRatio: "–",
		}
		if s.FLOPs == 0 {
			r.FLOPs = "0"
		}
		if s.Tokens == 0 {
			r.Tokens = "–"
		}
		if s.FLOPs == 0 || s.Seconds == 0 {
			r.Speed = "–"
		}
		r.FLOPShare, r.SecondShare = percent(r.flopShare), percent(r.secondShare)
		if !s.Pretraining && i < len(stages) {
			r.FLOPRatio = ratio(pretraining.FLOPs, s.FLOPs)
			r.SecondRatio = ratio(pretraining.Seconds, s.Seconds)
			r.Against = against(pretraining.FLOPs, s.FLOPs)
		}
		rows = append(rows, r)
	}
	return rows
}

func share(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return part / whole
}

func ratio(pretraining, stage float64) string {
	if pretraining == 0 || stage == 0 {
		return "–"
	}
	return threeDigits(pretraining/stage) + " ×"
}

// against places pretraining's multiple of a stage in FLOPs beside the
// expectation.
func against(pretraining, stage float64) string {
	r := pretraining / stage
	switch {
	case pretraining == 0 || stage == 0 || math.IsNaN(r):
		return ""
	case r < expectedLow:
		return "below"
	case r > expectedHigh:
		return "above"
	}
	return "within"
}
