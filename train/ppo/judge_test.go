package ppo

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/train/preference"
)

func TestARewardModelAtChanceIsRefusedUnlessForced(t *testing.T) {
	dir := t.TempDir()
	folder := func(name string, metrics artifact.Metrics) string {
		path := filepath.Join(dir, name)
		s, err := artifact.Begin(path, "reward", struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		s.Manifest.Metrics = metrics
		if _, err := s.Finish(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	chance := folder("chance", artifact.Metrics{preference.Accuracy: .533, preference.AccuracyLow: .409, preference.AccuracyHigh: .654})
	_, err := judged(chance, false)
	if artifact.ExitCode(err) != 5 || !strings.Contains(err.Error(), "0.533") || !strings.Contains(err.Error(), "--force") {
		t.Errorf("at chance: %v", err)
	}
	if note, err := judged(chance, true); err != nil || !strings.HasPrefix(note, "By force: ") {
		t.Errorf("at chance by force: %q, %v", note, err)
	}
	if note, err := judged(folder("good", artifact.Metrics{preference.Accuracy: .7, preference.AccuracyLow: .6, preference.AccuracyHigh: .8}), false); err != nil || note != "" {
		t.Errorf("a good one: %q, %v", note, err)
	}
	for name, path := range map[string]string{"one that was measured on nothing": folder("unmeasured", nil), "one from elsewhere": filepath.Join(dir, "none")} {
		if note, err := judged(path, false); err != nil || !strings.HasPrefix(note, "Nothing is known") {
			t.Errorf("%s: %q, %v", name, note, err)
		}
	}
}
