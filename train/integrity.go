package train

import (
	"errors"
	"fmt"
	"time"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/model"
)

// What was written to memory is compared with what is there (docs/reliability.md):
// weights and moments by the optimizer, at each update; copies of them when they are
// made; all that is written to a file, as it is written; and what is not trained by
// a patrol that goes on between the steps.

// damaged makes a [compute.ErrChanged] an [artifact.ErrCorrupt] that says what to
// do; other errors stay as they are.
func damaged(err error) error {
	if !errors.Is(err, compute.ErrChanged) {
		return err
	}
	return artifact.Mark(artifact.ErrCorrupt, fmt.Errorf("%w; run the same command again to go on from the last checkpoint, on another machine if it happens again", err))
}

// intact compares an array with what was last written there.
func intact(s compute.Store, array string) error { return damaged(compute.Verify(s, array)) }

// Frozen is what of a model has no optimizer, for [Loop.Frozen]; of names it in
// errors.
func Frozen(of string, m *model.Model) compute.Post {
	post := compute.Post{Of: of, Store: m.Store}
	for _, p := range m.Parameters() {
		if _, trained := m.Store.Shape(momentName(1, p.Name)); !trained {
			post.Names = append(post.Names, p.Name)
		}
	}
	return post
}

const (
	// patrolShare is the share of the time that is given to models that are not
	// trained.
	patrolShare = .002
	// patrolPart is how much of them is looked at in one go, in elements.
	patrolPart = 1 << 18
)

// patrol looks at the next parts after a step that took so long: one at least.
func (r *loopRun) patrol(step time.Duration) error {
	budget, started := time.Duration(patrolShare*float64(step)), time.Now()
	for left := r.frozen.Elements(); left > 0; {
		walked, err := r.frozen.Walk(patrolPart)
		if err != nil {
			return fmt.Errorf("%s after step %d: %w", r.Stage, r.state.Step, damaged(err))
		}
		left -= walked
		if time.Since(started) >= budget {
			break
		}
	}
	return nil
}
