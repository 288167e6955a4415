package train

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// Trainer takes a model through a stage: it opens the model or begins a new one,
// adapts it, gives it an optimizer with a guard and a schedule, takes the
// stage's algorithm through its steps, and saves what came out of it. The methods
// are called in this order; what a stage adds to the model itself, a head, it adds
// to the field Model between them.
type Trainer struct {
	*stage.Work
	Name      string // of the stage, in messages
	Base      string // the folder that the model comes from; "" for random weights
	Model     *model.Model
	Tokenizer *tokenizer.Tokenizer
	Template  *chat.Template // of dialogues; nil before Converse
	Ends      []int32        // tokens that end a text

	Optimizer *Optimizer
	Guard     *Guard
	Rates     Schedule

	steps int // of the stage
	slow  struct {
		step int // that is under way, from 1
		from time.Time
	}
}

// slowStep is how long a step may take before it is shown how far it is.
const slowStep = 5 * time.Second

// Within shows how far a step is that takes long: done of its micro-batches.
func (t *Trainer) Within(step, done, all int) {
	if t.slow.step != step+1 {
		t.slow.step, t.slow.from = step+1, time.Now()
	}
	if done == 0 || time.Since(t.slow.from) < slowStep {
		return
	}
	t.Log.Progress.Show(progress.Line{
		Label: t.Name + " step", Done: int64(step), Total: int64(t.steps), Fields: []string{fmt.Sprintf("micro-batch %d of %d", done+1, all)},
	})
}

// Open begins with the model of a folder.
func Open(w *stage.Work, name, base string) (*Trainer, error) {
	m, tok, err := LoadModel(w.Engine, base)
	if err != nil {
		return nil, err
	}
	WarnAssumed(w, base, tok)
	return &Trainer{Work: w, Name: name, Base: base, Model: m, Tokenizer: tok, Ends: chat.Ends(tok, nil, m.EndTokens()...)}, nil
}

// WarnAssumed says in the log what a tokenizer's file leaves open.
func WarnAssumed(w *stage.Work, path string, tok *tokenizer.Tokenizer) {
	if say := tok.Assumed(); say != "" {
		w.Log.Printf("warning: %s: %s", path, say)
	}
}

// Begin begins with a model of random weights.
func Begin(w *stage.Work, name string, c model.Config, tok *tokenizer.Tokenizer, seed uint64) (*Trainer, error) {
	m, err := model.New(w.Engine, c, seed)
	if err != nil {
		return nil, err
	}
	return &Trainer{Work: w, Name: name, Model: m, Tokenizer: tok, Ends: chat.Ends(tok, nil)}, nil
}

// Converse takes the template of the model's dialogues, and with it the tokens
// that end a turn.
func (t *Trainer) Converse() (err error) {
	if t.Template, err = chat.For(t.Tokenizer); err != nil {
		return fmt.Errorf("%s: %w", t.Base, err)
	}
	t.Ends = chat.Ends(t.Tokenizer, t.Template, t.Model.EndTokens()...)
	return nil
}

// Length is the tokens of a row: as configured, or as many as the model has
// positions.
func (t *Trainer) Length(context int) (int, error) {
	if context > t.Model.Context {
		return 0, artifact.Errorf(artifact.ErrUsage, "configuring %s: context %d is longer than the model's, which is %d", t.Name, context, t.Model.Context)
	}
	if context == 0 {
		context = t.Model.Context
	}
	return context, nil
}

// Adapt says how the model is trained: whether activations are computed again,
// and whether an adapter is trained in place of the weights.
func (t *Trainer) Adapt(c OptimizerConfig, lora LoRAConfig, seed uint64) error {
	t.Model.Recompute = c.Recompute
	return lora.AddTo(t.Model, seed)
}

// Optimize prepares the updates of a run of so many steps. The Programs that
// accumulate gradients must have been built before.
func (t *Trainer) Optimize(c OptimizerConfig, steps int) (err error) {
	t.Guard, t.Rates = c.Guard(), c.Schedule(steps)
	if err := t.Rates.Validate(); err != nil {
		return err
	}
	t.Optimizer, err = NewOptimizer(t.Model, c.AdamW())
	return err
}

// Update is what an optimizer step tells.
type Update struct {
	Norm float64 // of the gradients, before clipping
	LR   float64
}

// Metrics are the update's for metrics.jsonl.
func (u Update) Metrics() []Metric {
	return []Metric{{Name: "grad_norm", Value: u.Norm}, {Name: "lr", Value: u.LR}}
}

// Update applies the accumulated gradients of a step, if loss and norm are sane;
// batch names what the step learned from, and is called only if not.
func (t *Trainer) Update(step int, loss float64, batch func() string) (Update, error) {
	u := Update{LR: t.Rates.At(step)}
	var err error
	u.Norm, err = t.Guard.Apply(t.Optimizer, u.LR, loss, batch)
	return u, err
}

// Run takes an algorithm through its steps, going on where an earlier run
// stopped, and fills in the manifest's figures. Of the loop the algorithm gives
// Steps, Step, Evaluate, EvaluateEvery, Done, and States and Frozen beside the model's;
// config is its configuration.
func (t *Trainer) Run(ctx context.Context, config any, loop Loop) error {
	extra, err := t.Tokenizer.Files()
	if err != nil {
		return err
	}
	own := &ModelState{Base: t.Base, Model: t.Model, Optimizer: t.Optimizer, Extra: extra, Ends: t.Ends}
	t.steps = loop.Steps
	loop.Stage, loop.Folder, loop.Config, loop.Guard = t.Name, t.Dir(), Identity(config, t.Work.Stage), t.Guard
	loop.States = append([]State{own}, loop.States...)
	loop.Frozen = append(loop.Frozen, Frozen("the model", t.Model))
	loop.Begin, loop.Result = t.WriteBegun, resultSize(t.Model, extra)
	loop.Log, loop.CheckpointSteps, loop.Memory = t.Log, t.CheckpointSteps, t.Memory
	totals, err := loop.Run(ctx)
	if err != nil {
		return err
	}
	totals.Fill(&t.Manifest)
	return nil
}

// resultSize is how many bytes Save writes, but for the little of the configuration.
func resultSize(m *model.Model, tokenizer map[string][]byte) (bytes int64) {
	bytes = 4 * m.ParameterCount()
	if m.Adapter != nil { // beside the merged model
		for _, p := range m.Trained() {
			shape, _ := m.Store.Shape(p.Name)
			bytes += 4 * int64(shape.Size())
		}
	}
	for _, data := range tokenizer {
		bytes += int64(len(data))
	}
	return bytes
}

// Save writes the model folder. temperature is what texts are sampled at by
// default, as in SaveModel.
func (t *Trainer) Save(temperature float64) error {
	return SaveModel(t.Dir(), t.Base, t.Model, t.Tokenizer, temperature, t.Ends)
}
