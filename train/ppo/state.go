package ppo

import (
	"encoding/json"
	"fmt"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/train"
)

// iteration is the part of the state that lives between the optimizer steps of
// an iteration (detail 34).
type iteration struct {
	Iteration  int         `json:"iteration"` // −1 before the first
	Controller controller  `json:"controller"`
	Sequences  []*sequence `json:"sequences"`
	// First are the scores of the first rollout, what the policy began with.
	First []float64 `json:"first_scores,omitempty"`
	// Untold is what the next step is to tell of the rollout; nil once it did.
	Untold *told `json:"untold,omitempty"`
}

// told is what the step after a rollout tells of it.
type told struct {
	Metrics []train.Metric `json:"metrics"`
	Tokens  int64          `json:"tokens"` // that were sampled
	FLOPs   int64          `json:"flops"`
}

// Save implements train.State.
func (r *run) Save() (artifact.Contents, error) {
	data, err := json.Marshal(r.rollout)
	if err != nil {
		return nil, fmt.Errorf("encoding rollout: %w", err)
	}
	return artifact.Contents{"rollout.json": artifact.Bytes(data)}, nil
}

// Snapshot implements train.State: Save encodes at once.
func (r *run) Snapshot() (artifact.Contents, error) { return r.Save() }

// Room implements train.State.
func (r *run) Room() train.Room { return train.Room{} } // little beside the models'

// Load implements train.State.
func (r *run) Load(c *artifact.Checkpoint) error {
	data, err := c.ReadFile("rollout.json")
	if err != nil {
		return err
	}
	var loaded iteration
	if err := json.Unmarshal(data, &loaded); err != nil {
		return artifact.Mark(artifact.ErrCorrupt, fmt.Errorf("reading rollout.json: %w", err))
	}
	loaded.Controller.target, loaded.Controller.horizon = r.rollout.Controller.target, r.rollout.Controller.horizon
	r.rollout = loaded
	return nil
}
