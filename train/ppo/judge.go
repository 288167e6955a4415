package ppo

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/train/preference"
)

// judged tells what is known of a reward model's worth, for the manifest; "" where it is
// shown to be better than chance. Without force, one whose interval holds ½ is refused:
// the policy would be moved towards noise, and the score rise all the same (Gao et al.
// 2022). One that was measured on nothing, or elsewhere, is told of.
func judged(folder string, force bool) (string, error) {
	m, err := artifact.Open(folder, false)
	if err != nil {
		if errors.Is(err, artifact.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			return fmt.Sprintf("Nothing is known of how well the reward model %s orders answers: no stage of alma's made it.", folder), nil
		}
		return "", err
	}
	low, measured := m.Metrics[preference.AccuracyLow]
	if !measured {
		return fmt.Sprintf("Nothing is known of how well the reward model %s orders answers that it did not learn from.", folder), nil
	}
	if low > .5 {
		return "", nil
	}
	found := fmt.Sprintf("the reward model %s orders %.3f of its held-out pairs as they are ranked, and the 95 %% interval %.3f to %.3f holds chance, .500",
		folder, m.Metrics[preference.Accuracy], low, m.Metrics[preference.AccuracyHigh])
	if !force {
		return "", artifact.Errorf(artifact.ErrCheckNotMet, "configuring ppo: %s; train it on more rankings, or hold out more to measure on; to train against it all the same, give --force (force: true in a recipe)", found)
	}
	return "By force: " + found + ".", nil
}
