package train

import (
	"fmt"
	"math"
	"slices"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// BadUpdate says what to do with an update that must not be applied.
type BadUpdate string

const (
	SkipBad     BadUpdate = "skip"     // leave the update out and go on
	RollBackBad BadUpdate = "rollback" // return to the last checkpoint and leave the step out
	StopBad     BadUpdate = "stop"     // end the run with exit code 20
)

// BadUpdates lists the accepted policies.
var BadUpdates = []BadUpdate{SkipBad, RollBackBad, StopBad}

// Guard stands between the gradients and the optimizer: an update whose loss
// or gradient norm is not finite, or whose norm is far outside what the last
// steps had, is not applied.
type Guard struct {
	Policy BadUpdate
	// Spike is the multiple of the median norm of the last Window applied
	// updates beyond which a norm is bad. 0 switches the comparison off.
	Spike  float64
	Window int
	// Least is what the median counts as at the least. Where the norm falls to
	// nearly nothing in a healthy run and comes back, it keeps that from looking
	// like a leap.
	Least float64

	norms []float64 // of the last applied updates, oldest first
}

// DefaultGuard stops at a norm 20 times the median of the last 50.
func DefaultGuard() *Guard { return &Guard{Policy: StopBad, Spike: 20, Window: 50} }

// minimumWindow is the number of norms that a comparison needs: the first
// steps of a run change too much to judge by.
const minimumWindow = 10

// badUpdateError is an update that was not applied.
type badUpdateError struct {
	policy BadUpdate
	err    error
}

func (e *badUpdateError) Error() string { return e.err.Error() }
func (e *badUpdateError) Unwrap() error { return e.err }

// Check looks at the loss and the norm of the accumulated gradients. When they
// are bad the gradients are cleared and the error tells what was found in
// which batch; batch names it, and is called only then.
func (g *Guard) Check(o *Optimizer, loss float64, batch func() string) (norm float64, err error) {
	if norm, err = o.Norm(); err != nil {
		return 0, err
	}
	var reason string
	switch {
	case math.IsNaN(loss) || math.IsInf(loss, 0):
		reason = fmt.Sprintf("loss is %v", loss)
	case math.IsNaN(norm) || math.IsInf(norm, 0):
		reason = fmt.Sprintf("gradient norm is %v", norm)
	case g.Spike > 0 && len(g.norms) >= minimumWindow:
		// A median of 0 says nothing of what a norm should be.
		if usual := max(median(g.norms), g.Least); usual > 0 && norm > g.Spike*usual {
			reason = fmt.Sprintf("gradient norm %.3g is more than %g times %.3g, which is usual after the last %d updates", norm, g.Spike, usual, len(g.norms))
		}
	}
	if reason == "" {
		return norm, nil
	}
	if err := o.Zero(); err != nil {
		return norm, err
	}
	return norm, &badUpdateError{g.Policy, artifact.Errorf(artifact.ErrDiverged, "%s in %s; the update was not applied", reason, batch())}
}

// Step lets the optimizer update with gradients whose norm Check approved.
func (g *Guard) Step(o *Optimizer, lr, norm float64) error {
	if g.norms = append(g.norms, norm); len(g.norms) > g.Window {
		g.norms = slices.Delete(g.norms, 0, len(g.norms)-g.Window)
	}
	return o.Step(lr, norm)
}

// Apply is Check, and Step if that approves.
func (g *Guard) Apply(o *Optimizer, lr, loss float64, batch func() string) (norm float64, err error) {
	if norm, err = g.Check(o, loss, batch); err != nil {
		return norm, err
	}
	return norm, g.Step(o, lr, norm)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
