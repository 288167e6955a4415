package reward

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/train/preference"
)

func TestReward12EveryPromptIsSeenOnceByDefault(t *testing.T) {
	rankings := randomRankings(200, slices.Repeat([][]int{{2, 1, 3}}, 23)...)
	c := Defaults()
	if c.Epochs != 1 {
		t.Fatalf("%g epochs by default, want 1", c.Epochs)
	}
	for _, test := range []struct {
		epochs float64
		steps  int
		seen   int
	}{{1, 2, 23}, {2, 4, 46}, {1.5, 3, 34}} {
		c.Epochs = test.epochs
		steps, err := plan(rankings, c, 64)
		if err != nil {
			t.Fatal(err)
		}
		seen, total := make([]int, len(rankings)), 0
		for _, s := range steps {
			for _, m := range s.Micros {
				if len(m.Rows) > c.MicroRows {
					t.Errorf("a micro-batch of %d rows, want at most %d", len(m.Rows), c.MicroRows)
				}
				for _, x := range m.Prompts {
					seen[x]++
					total++
				}
			}
		}
		if len(steps) != test.steps || total != test.seen || slices.Min(seen) < int(test.epochs) {
			t.Errorf("%g epochs: %d steps, %d prompts, each at least %d times", test.epochs, len(steps), total, slices.Min(seen))
		}
	}
}

func TestPromptsThatCannotBeUsedAreCounted(t *testing.T) {
	template := newTemplate(t, newTokenizer(t))
	path := filepath.Join(t.TempDir(), "rankings.jsonl")
	prompt := dataset.UserPrompt("say it", "")
	long := strings.Repeat(" up", 60)
	if err := dataset.WriteRankings(path, []dataset.Ranking{
		{Prompt: prompt, Completions: []string{"up", "down"}, Ranks: []int{1, 1}},
		{Prompt: prompt, Completions: []string{"up", long}, Ranks: []int{1, 2}},
		{Prompt: prompt, Completions: []string{"up", "down"}, Ranks: []int{2, 1}},
		{Prompt: prompt, Completions: slices.Repeat([]string{"up up", "down"}, 10), Ranks: slices.Repeat([]int{1, 2}, 10)},
	}); err != nil {
		t.Fatal(err)
	}
	f, err := preference.Load(template, path, dataset.Reading{}, 4, 64)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Rankings) != 1 || f.Rankings[0].Line != 3 || f.Long != 2 || f.Tied != 1 {
		t.Errorf("%d used, %d too long, %d tied; want the third alone, 2 and 1", len(f.Rankings), f.Long, f.Tied)
	}
	if _, err := preference.Load(template, path, dataset.Reading{}, 4, 8); !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), path) {
		t.Errorf("a context that nothing fits into: %v", err)
	}
}
