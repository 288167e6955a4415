package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// Stages that are killed at durable steps, again and again, end with the bits
// of a run that was never killed (RELIABILITY, row 1).
func TestAKilledStageGoesOnAndEndsWithTheSameBits(t *testing.T) {
	needSignals(t)
	f := fixtures(t)
	texts := filepath.Join(t.TempDir(), "texts.jsonl")
	jsonl, _ := labelled(40)
	write(t, texts, jsonl)
	for _, stage := range []struct {
		name string
		args func(out string) []string
	}{
		{"pretrain", func(out string) []string {
			return f.pretrain(out, "--set", "steps=9", "--checkpoint-steps", "2")
		}},
		{"sft", func(out string) []string {
			return []string{"sft", "--base", f.base, "--dialogues", f.dialogues, "--out", out, "--checkpoint-steps", "2",
				"--set", "epochs=9", "--set", "batch_rows=1", "--set", "micro_rows=1"}
		}},
		{"classify", func(out string) []string {
			return []string{"classify", "train", "--base", f.base, "--texts", texts, "--out", out, "--checkpoint-steps", "2",
				"--set", "epochs=3", "--set", "batch_texts=8", "--set", "eval_every=2", "--set", "patience=9"}
		}},
	} {
		t.Run(stage.name, func(t *testing.T) {
			dir := t.TempDir()
			straight, out := filepath.Join(dir, "straight"), filepath.Join(dir, "out")
			succeed(t, stage.args(straight)...)
			kills := 0
			// Each time the process gets further before it is killed.
			for _, failpoint := range []string{
				"any:1", "train.after_step:1", "train.after_step:3",
				"checkpoint.write-file.after:2", "checkpoint.write-manifest.before:1", "checkpoint.rename.before:1", "checkpoint.rename.after:1",
				"checkpoint.prune.before:1", "any:23", "any:61", "file.rename.before:1", "file.rename.after:3",
				"stage.sync-files.before:1", "stage.finish.before:1",
			} {
				cmd := command(stage.args(out)...)
				cmd.Env = append(cmd.Env, "ALMA_FAILPOINT="+failpoint)
				switch o := finish(t, cmd); o.code {
				case -1:
					kills++
				case 0: // done before the failpoint was reached that often
				default:
					t.Fatalf("%s: exit code %d\n%s", failpoint, o.code, o.stderr)
				}
			}
			if kills < 5 {
				t.Errorf("killed %d times, want 5 or more", kills)
			}
			succeed(t, stage.args(out)...)
			if weightsOf(t, out) != weightsOf(t, straight) {
				t.Error("the weights differ from those of the run that was never killed")
			}
			if _, err := artifact.Open(out, true); err != nil {
				t.Error(err)
			}
			if left, err := artifact.CleanTemporaries(out); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v (%v)", left, err)
			}
		})
	}
}

func TestAFullDiskExits13AndTheStageGoesOn(t *testing.T) {
	f := fixtures(t)
	out := filepath.Join(t.TempDir(), "out")
	args := f.pretrain(out, "--set", "steps=4")
	for _, failpoint := range []string{"file.write.before:1", "checkpoint.write-file.before:1", "stage.finish.before:1"} {
		cmd := command(args...)
		cmd.Env = append(cmd.Env, fmt.Sprintf("ALMA_FAILPOINT=%s:nospace", failpoint))
		if o := finish(t, cmd); o.code != 13 || !strings.Contains(o.stderr, "space") {
			t.Errorf("%s: exit code %d, want 13\n%s", failpoint, o.code, o.stderr)
		}
	}
	succeed(t, args...)
	if weightsOf(t, out) != weightsOf(t, f.base) {
		t.Error("the weights differ from those of the run that always had room")
	}
}
