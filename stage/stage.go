package stage

import (
	"context"
	"fmt"
	"slices"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/progress"
)

// Environment is what a stage runs in: the machine, not the mathematics. Of it,
// Precision alone changes results.
type Environment struct {
	Engine          compute.Engine
	Log             *progress.Log
	CheckpointSteps int   // also write a checkpoint after every so many steps; 0: by time alone
	KeepCheckpoints bool  // those of a finished stage stay; else they are removed
	Memory          int64 // bytes that the process may take; 0: unknown
	// Record is what is written into every artifact about the environment:
	// engine, kernels, precision, threads.
	Record map[string]string
}

// Input is something that a stage reads.
type Input struct {
	Name     string // its key in a recipe, its flag, its role in artifact.json
	Doc      string // for help and schema
	Kinds    []Kind // that it may be
	Required bool
	Many     bool // a list
}

// Accepts tells whether an artifact of a kind may be this input.
func (i Input) Accepts(k Kind) bool { return slices.Contains(i.Kinds, k) }

// Output is what a stage leaves, or a part of it.
type Output struct {
	Part string // name in recipes, `STAGE.PART`; "" for the folder itself
	Path string // inside the folder, with slashes; "" for the folder itself
	Kind Kind
	Doc  string
	// Of, if set, is an input, and FromKind its kind without which the part is not left:
	// what is made of one kind of input alone.
	Of       string
	FromKind Kind
}

// Inputs are paths by the names of inputs.
type Inputs map[string][]string

// Path returns the only path of an input, "" if it was not given.
func (in Inputs) Path(name string) string {
	if paths := in[name]; len(paths) > 0 {
		return paths[0]
	}
	return ""
}

// Roles lists the inputs by the name under which a manifest records each: its
// own, with a number behind it where an input has many.
func (in Inputs) Roles() map[string]string {
	roles := map[string]string{}
	for name, paths := range in {
		for i, path := range paths {
			switch {
			case path == "":
			case len(paths) == 1:
				roles[name] = path
			default:
				roles[fmt.Sprintf("%s %d", name, i)] = path
			}
		}
	}
	return roles
}

// Tell is told what a file was found to hold.
type Tell func(found fmt.Stringer)

// Work is a job under way. The algorithm writes into the folder (Path), fills in
// the Manifest's figures, and returns; the manifest is written for it.
type Work struct {
	Environment
	*artifact.Stage
	In Inputs
}

// Definition declares a stage whose configuration is a C.
type Definition[C any] struct {
	Kind  string // in recipes after use:, of the manifest
	Title string // for people: "Supervised fine-tuning"
	Does  string // a sentence for people

	// Version of the code: it is raised when the same configuration and inputs
	// give another result, and then the stage is run again. 0 and 1 are the first.
	Version int

	Defaults func() C // nil: the zero value
	Inputs   []Input
	Outputs  []Output // the first is what the stage's name stands for in recipes
	// OutputsOf, if set, says what a configuration leaves in place of Outputs.
	OutputsOf func(C) []Output

	// NoEngine marks a stage that computes nothing on the engine.
	NoEngine bool
	// Complete, if set, fills in inputs that were left out.
	Complete func(c C, in Inputs) (Inputs, error)
	// Also, if set, names more that the stage reads, by role, for the
	// fingerprint: what the configuration points to.
	Also func(c C) map[string]string
	// Check, if set, is asked before anything runs: it reads what the user
	// brought as far as it takes seconds, tells what it is, and refuses what could
	// not be used.
	Check func(ctx context.Context, c C, in Inputs, tell Tell) error
	Run   func(ctx context.Context, w *Work, c C) error
	// Derive, if set, chooses values that nobody set by what the stage reads, and
	// says why. The same inputs give the same values.
	Derive func(c C, b Basis) ([]Chosen, error)
	// Estimate, if set, says what the stage will take and leave, without weights.
	Estimate func(c C, in Known) (Estimate, error)

	Charts []Chart // of metrics.jsonl, for the report
	// Describe, if set, adds tables and notes to the report.
	Describe func(d Done, c C) (Description, error)

	Verb *Verb // nil: none of its own
}

// Verb is how a stage is called by itself.
type Verb struct {
	Name       string // "sft", "classify train"
	Short      string // in lists of verbs
	Long       string // what Does does not say: formats, an example
	After      string // below the configuration: what the folder receives
	Examples   []string
	Positional string            // the input that arguments give in place of a flag
	Flags      map[string]string // configuration keys that have a flag of their own: flag → key
}

// Stage is a [Definition] whose type of configuration is no longer known.
type Stage struct {
	Kind, Title, Does string
	Version           int
	NoEngine          bool
	Inputs            []Input
	Charts            []Chart
	Verb              *Verb

	defaults func() any
	outputs  func(config any) []Output
	complete func(config any, in Inputs) (Inputs, error)
	also     func(config any) map[string]string
	check    func(ctx context.Context, config any, in Inputs, tell Tell) error
	run      func(ctx context.Context, w *Work, config any) error
	derive   func(config any, b Basis) ([]Chosen, error)
	estimate func(config any, in Known) (Estimate, error)
	describe func(d Done, config any) (Description, error)
}

// Define makes a stage of its definition.
func Define[C any](d Definition[C]) *Stage {
	of := func(config any) C { return *config.(*C) }
	s := &Stage{
		Kind: d.Kind, Title: d.Title, Does: d.Does, Version: max(1, d.Version), NoEngine: d.NoEngine, Inputs: d.Inputs, Charts: d.Charts, Verb: d.Verb,
		defaults: func() any {
			c := new(C)
			if d.Defaults != nil {
				*c = d.Defaults()
			}
			return c
		},
		outputs: func(config any) []Output {
			if d.OutputsOf != nil {
				return d.OutputsOf(of(config))
			}
			return d.Outputs
		},
		run: func(ctx context.Context, w *Work, config any) error { return d.Run(ctx, w, of(config)) },
	}
	if d.Complete != nil {
		s.complete = func(config any, in Inputs) (Inputs, error) { return d.Complete(of(config), in) }
	}
	if d.Also != nil {
		s.also = func(config any) map[string]string { return d.Also(of(config)) }
	}
	if d.Check != nil {
		s.check = func(ctx context.Context, config any, in Inputs, tell Tell) error {
			return d.Check(ctx, of(config), in, tell)
		}
	}
	if d.Derive != nil {
		s.derive = func(config any, b Basis) ([]Chosen, error) { return d.Derive(of(config), b) }
	}
	if d.Estimate != nil {
		s.estimate = func(config any, in Known) (Estimate, error) { return d.Estimate(of(config), in) }
	}
	if d.Describe != nil {
		s.describe = func(done Done, config any) (Description, error) { return d.Describe(done, of(config)) }
	}
	return s
}

// Config returns a new configuration with the defaults, a pointer to a struct.
func (s *Stage) Config() any { return s.defaults() }

// Outputs lists what the stage leaves with a configuration.
func (s *Stage) Outputs(config any) []Output { return s.outputs(config) }

// Input returns the input of a name.
func (s *Stage) Input(name string) (Input, bool) {
	for _, i := range s.Inputs {
		if i.Name == name {
			return i, true
		}
	}
	return Input{}, false
}

// precise is a configuration whose results depend on the engine's precision.
type precise interface{ InPrecision(string) }

// InPrecision records a precision with a configuration that depends on it.
func InPrecision(config any, precision string) {
	if c, ok := config.(precise); ok && precision != "fp32" {
		c.InPrecision(precision)
	}
}
