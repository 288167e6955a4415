package sft

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/train"
)

// countdown is a context that ends when it was asked so many times whether it has.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return c.Context.Err()
}

func TestAStepGivesUpBetweenMicroBatches(t *testing.T) {
	s := newSchool(t)
	c := tinySFT()
	straight := filepath.Join(t.TempDir(), "straight")
	if _, err := s.run(t.Context(), c, straight, 0); err != nil {
		t.Fatal(err)
	}
	within := 0 // interruptions after which a step was done again
	for asked := 1; asked <= 25; asked++ {
		out := filepath.Join(t.TempDir(), "out")
		_, err := s.run(&countdown{t.Context(), asked}, c, out, 0)
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("asked %d times: %v", asked, err)
		}
		checkpoint, _, err := artifact.LatestCheckpoint(filepath.Join(out, train.CheckpointFolder))
		if err != nil {
			t.Fatal(err)
		}
		if checkpoint != nil && asked > 3 {
			within++
		}
		if _, err := s.run(t.Context(), c, out, 0); err != nil {
			t.Fatal(err)
		}
		if weightsOf(t, out) != weightsOf(t, straight) {
			t.Fatalf("asked %d times: other weights", asked)
		}
		if got, want := readMetrics(t, out), readMetrics(t, straight); len(got) != len(want) {
			t.Fatalf("asked %d times: %d lines of metrics, want %d", asked, len(got), len(want))
		}
	}
	if within == 0 {
		t.Error("no step was interrupted")
	}
}
