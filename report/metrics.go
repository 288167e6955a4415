package report

import (
	"math"

	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train"
)

// Charts draws the metrics of a stage against its steps. A curve without points,
// such as that of a loss which the configuration turned off, is left out.
func Charts(specs []stage.Chart, lines []train.MetricsLine) []Chart {
	var out []Chart
	for _, spec := range specs {
		chart := Chart{Title: spec.Title, XLabel: "step", YLabel: spec.Unit, LogY: spec.LogY}
		for _, curve := range spec.Curves {
			s := Series{Name: curve[1]}
			for _, line := range lines {
				y, ok := line.Value(curve[0])
				if !ok {
					continue
				}
				if spec.LogY && y <= 0 {
					y = math.NaN() // a logarithm has no place for it: a gap
				}
				s.X, s.Y = append(s.X, float64(line.Step)), append(s.Y, y)
			}
			if len(s.X) > 0 {
				chart.Series = append(chart.Series, s)
			}
		}
		if len(chart.Series) > 0 {
			out = append(out, chart)
		}
	}
	return out
}
