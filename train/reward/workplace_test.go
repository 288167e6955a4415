package reward

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/compute/reference"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train"
)

// words draws a text of "up" and "down"; the fewer "up", the better.
func words(seed, index uint64) (text string, ups int) {
	var b strings.Builder
	for i := range uint64(6) {
		if compute.Uniform(seed, index, i) < .5 {
			b.WriteString(" up")
			ups++
		} else {
			b.WriteString(" down")
		}
	}
	return b.String(), ups
}

// workplace is a folder with the inputs of a run.
type workplace struct {
	folder string
	inputs Inputs
}

// newWorkplace writes n rankings, a fifth as many for validation, and
// demonstrations.
func newWorkplace(t testing.TB, n int) workplace {
	t.Helper()
	w := workplace{folder: t.TempDir()}
	w.inputs = Inputs{
		Base: filepath.Join(w.folder, "base"), Rankings: filepath.Join(w.folder, "rankings.jsonl"),
		Validation: filepath.Join(w.folder, "validation.jsonl"), Demonstrations: filepath.Join(w.folder, "demonstrations.jsonl"),
	}
	tok := newTokenizer(t)
	if err := os.Mkdir(w.inputs.Base, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := train.SaveModel(w.inputs.Base, "", newModel(t, reference.New(), tinyConfig(tok)), tok, 1, chat.Ends(tok, nil)); err != nil {
		t.Fatal(err)
	}
	makeRankings := func(n int, seed uint64) []dataset.Ranking {
		var list []dataset.Ranking
		for i := range n {
			r := dataset.Ranking{Prompt: dataset.UserPrompt(fmt.Sprint("say it ", i%10), "say"), Ended: []bool{true, true, false, true}, Annotator: "simulated annotator"}
			var ups []int
			for k := range 4 {
				text, n := words(seed, uint64(4*i+k))
				r.Completions, ups = append(r.Completions, text), append(ups, n)
			}
			for _, n := range ups {
				rank := 1
				for _, other := range ups {
					if other < n {
						rank++
					}
				}
				r.Ranks = append(r.Ranks, rank)
			}
			list = append(list, r)
		}
		return list
	}
	for path, list := range map[string][]dataset.Ranking{w.inputs.Rankings: makeRankings(n, 1), w.inputs.Validation: makeRankings(n/5, 2)} {
		if err := dataset.WriteRankings(path, list); err != nil {
			t.Fatal(err)
		}
	}
	var chats []chat.Dialogue
	for i := range 30 {
		text, _ := words(3, uint64(i))
		chats = append(chats, answered(dataset.UserPrompt("say it", "say"), text))
	}
	if err := dataset.WriteDialogues(w.inputs.Demonstrations, chats); err != nil {
		t.Fatal(err)
	}
	return w
}

func environment(engine compute.Engine) stage.Environment {
	return stage.Environment{Engine: engine, Log: &progress.Log{Progress: progress.NewTo(progress.Options{Out: io.Discard})}}
}

func newCPU(t testing.TB, threads int) *cpu.Engine {
	engine := cpu.New(cpu.Options{Threads: threads})
	t.Cleanup(func() { engine.Close() })
	return engine
}

func small() Config {
	c := Defaults()
	c.BatchPrompts, c.MicroRows, c.Context, c.LR = 4, 4, 48, 3e-3
	return c
}

func runIn(t testing.TB, engine compute.Engine, c Config, w workplace, name string) (*artifact.Manifest, string) {
	t.Helper()
	out := filepath.Join(w.folder, name)
	manifest, err := Run(t.Context(), environment(engine), c, w.inputs, out)
	if err != nil {
		t.Fatal(err)
	}
	return manifest, out
}

func weights(t testing.TB, folder string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// answered is the dialogue of a prompt and an answer to it.
func answered(p dataset.Prompt, answer string) chat.Dialogue {
	last := chat.Message{Role: chat.Assistant, Content: p.Prefill + answer, Prefill: p.Prefill}
	return chat.Dialogue{Messages: append(slices.Clip(p.Messages), last)}
}
