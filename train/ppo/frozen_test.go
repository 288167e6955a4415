package ppo

import (
	"path/filepath"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train"
)

func TestPPO31ReferenceStaysAsItIs(t *testing.T) {
	c := tinyPPO()
	l := newLab(t, newEngine(t), c, 16, nil)
	policy, reference, critic := digest(t, l.policy), digest(t, l.reference), digest(t, l.critic)
	for step := range 2 * c.minibatches() {
		l.take(step, 1e-2)
	}
	if digest(t, l.reference) != reference {
		t.Error("the reference changed")
	}
	if digest(t, l.policy) == policy || digest(t, l.critic) == critic {
		t.Error("policy or critic did not change")
	}
}

func TestPPO31WhatTheRunReadsStaysAsItIs(t *testing.T) {
	w := newWorkshop(t)
	var before []string
	paths := []string{w.inputs.Policy, w.inputs.Critic, w.inputs.Prompts, w.inputs.Text}
	for _, path := range paths {
		sum, err := artifact.HashInput(path)
		if err != nil {
			t.Fatal(err)
		}
		before = append(before, sum)
	}
	out := filepath.Join(t.TempDir(), "out")
	manifest, err := w.run(t.Context(), w.config(), out, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, path := range paths {
		if sum, err := artifact.HashInput(path); err != nil || sum != before[i] {
			t.Errorf("%s changed (%v)", path, err)
		}
	}
	for i, role := range []string{"policy", "critic", "prompts", "text"} {
		if manifest.Inputs[role].SHA256 != before[i] {
			t.Errorf("the manifest has another hash of the %s", role)
		}
	}
	if weightsOf(t, out) == weightsOf(t, w.inputs.Policy) {
		t.Error("the policy did not change")
	}
	m, tok, err := train.LoadModel(w.engine, out)
	if err != nil || m.Head != model.LanguageModel || tok.VocabSize() != 276 {
		t.Errorf("the result does not open as a model: %v", err)
	}
}
