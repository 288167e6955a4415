package train

import (
	"fmt"
	"math"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// Schedule gives the learning rate of each step: a linear warm-up from 0 to
// Peak, then a decay to Final·Peak at the last step.
type Schedule struct {
	Peak   float64
	Warmup int     // steps of linear warm-up
	Steps  int     // steps in all
	Decay  string  // "cosine", "linear", "linear-tail" (constant, then linear over the last half), "constant"
	Final  float64 // share of Peak that remains at the end
}

// Decays lists the accepted values of Schedule.Decay.
var Decays = []string{"cosine", "linear", "linear-tail", "constant"}

// Validate checks the schedule's values.
func (s Schedule) Validate() error {
	for _, d := range Decays {
		if s.Decay == d {
			if !(s.Peak > 0) || math.IsInf(s.Peak, 1) || !(s.Final >= 0 && s.Final <= 1) || s.Warmup < 0 {
				return artifact.Errorf(artifact.ErrUsage, "checking schedule: peak learning rate %g must be positive, final share %g within [0, 1], warm-up %d not negative", s.Peak, s.Final, s.Warmup)
			}
			return nil
		}
	}
	return artifact.Errorf(artifact.ErrUsage, "checking schedule: decay %q is not one of %q", s.Decay, Decays)
}

// At returns the learning rate of step 0 ≤ step < Steps. The first step has a
// rate above 0, and with Final 0 the rate reaches 0 just after the last.
func (s Schedule) At(step int) float64 {
	if step < s.Warmup {
		return s.Peak * float64(step+1) / float64(s.Warmup)
	}
	// done runs from 0 at the end of the warm-up to 1 after the last step.
	done := float64(step-s.Warmup) / float64(max(1, s.Steps-s.Warmup))
	var left float64
	switch s.Decay {
	case "cosine":
		left = 0.5 * (1 + math.Cos(math.Pi*done))
	case "linear":
		left = 1 - done
	case "linear-tail":
		left = min(1, 2*(1-done))
	case "constant":
		return s.Peak
	default:
		panic(fmt.Sprintf("train: schedule with decay %q was not validated", s.Decay))
	}
	return s.Peak * (s.Final + (1-s.Final)*left)
}
