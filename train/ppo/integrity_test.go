package ppo

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
)

// hookedEngine calls a function before the first run of a program of a name, with
// the Stores in which programs of each name run.
type hookedEngine struct {
	compute.Engine
	program string
	hook    func(stores map[string][]compute.Store)
	stores  map[string][]compute.Store
}

type hookedExecutable struct {
	compute.Executable
	engine *hookedEngine
}

func (e *hookedEngine) Compile(p *compute.Program, s compute.Store) (compute.Executable, error) {
	x, err := e.Engine.Compile(p, s)
	if !slices.Contains(e.stores[p.Name], s) {
		e.stores[p.Name] = append(e.stores[p.Name], s)
	}
	if p.Name != e.program {
		return x, err
	}
	return hookedExecutable{x, e}, err
}

func (x hookedExecutable) Run() error {
	if hook := x.engine.hook; hook != nil {
		x.engine.hook = nil
		hook(x.engine.stores)
	}
	return x.Executable.Run()
}

// RELIABILITY, row 9.
func TestPPO31ABitThatChangesInTheReferenceOrTheRewardModelEndsTheRun(t *testing.T) {
	for _, test := range []struct {
		model string
		of    func(stores map[string][]compute.Store) compute.Store
	}{
		{"the reference", func(stores map[string][]compute.Store) compute.Store {
			return stores["log-probabilities"][1] // the policy's comes first
		}},
		{"the reward model", func(stores map[string][]compute.Store) compute.Store { return stores["rewards"][0] }},
	} {
		w := newWorkshop(t)
		w.inputs.Reward, w.inputs.RewardModel = nil, w.inputs.Critic
		w.engine = &hookedEngine{Engine: w.engine, program: "rewards", stores: map[string][]compute.Store{}, hook: func(stores map[string][]compute.Store) {
			values, err := compute.Values(test.of(stores), "model.norm.weight")
			if err != nil {
				t.Fatal(err)
			}
			values[1] = math.Float32frombits(math.Float32bits(values[1]) ^ 1<<3)
		}}
		c := w.config()
		c.Iterations = 12 // a part of an array a step at the least, so 48 parts
		_, err := w.run(t.Context(), c, filepath.Join(t.TempDir(), "out"), 0)
		if artifact.ExitCode(err) != 12 || !strings.Contains(err.Error(), test.model+`: variable "model.norm.weight"`) {
			t.Errorf("%v, want exit code 12 and %s", err, test.model)
		}
	}
}
