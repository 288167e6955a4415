package evaluate

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/generate"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/train"
)

// Comparison is one line of a replay: what alma computed against what the
// golden folder holds.
type Comparison struct {
	Name      string  `json:"name"`
	Error     float64 `json:"error"` // relative, see Replay
	Tolerance float64 `json:"tolerance"`
	Detail    string  `json:"detail,omitempty"`
}

// OK reports whether the error is within the tolerance.
func (c Comparison) OK() bool { return c.Error <= c.Tolerance }

// Tolerances of a replay. The error of an array is ‖a−b‖/‖b‖, of a number
// |a−b|/|b|; the loss tolerance grows geometrically from the first step to
// the last.
const (
	arrayTolerance     = 1e-4
	firstLossTolerance = 1e-5
	lastLossTolerance  = 1e-3
	normTolerance      = 1e-3
)

type golden struct {
	Kind   string  `json:"kind"`
	B      int     `json:"B"`
	T      int     `json:"T"`
	Greedy []int32 `json:"greedy"`
	AdamW  struct {
		LR    float64    `json:"lr"`
		Betas [2]float64 `json:"betas"`
		Eps   float64    `json:"eps"`
		Clip  float64    `json:"clip_grad_norm"`
	} `json:"adamw"`
	Steps []struct {
		Loss     float64 `json:"loss"`
		GradNorm float64 `json:"grad_norm"`
	} `json:"steps"`
}

// goldenDecay is the weight decay of the golden runs' ten steps, on matrices.
const goldenDecay = 0.1

// greedyPrompt is how many tokens of row 0 the golden continuation starts
// from.
const greedyPrompt = 8

// Replay loads a golden folder through the ordinary import path and compares
// logits, loss, every gradient tensor, ten AdamW steps and a greedy
// continuation with what PyTorch computed. each is called for every
// comparison in order. The result is false if any is beyond its tolerance.
//
// The folder holds config.json, model.safetensors, forward.safetensors
// (input_ids, labels, optionally attention_mask, logits, loss),
// gradients.safetensors and golden.json.
func Replay(ctx context.Context, engine compute.Engine, folder string, each func(Comparison)) (ok bool, err error) {
	r := replay{folder: folder, each: each, ok: true}
	if err := r.read(); err != nil {
		return false, err
	}
	if r.model, err = model.Load(engine, folder); err != nil {
		return false, err
	}
	if r.golden.Kind != "causal" || r.model.Head != model.LanguageModel {
		return false, artifact.Errorf(artifact.ErrUsage, "replaying %s: kind %q is not one that alma computes; it computes %q", folder, r.golden.Kind, "causal")
	}
	for _, stage := range []func(context.Context) error{r.logits, r.gradients, r.steps, r.greedy} {
		if err := stage(ctx); err != nil {
			return false, fmt.Errorf("replaying %s: %w", folder, err)
		}
	}
	return r.ok, nil
}

type replay struct {
	folder string
	each   func(Comparison)
	ok     bool
	golden golden
	model  *model.Model
	rows   *dataset.Packed
	labels []int32
	lm     *train.LanguageModel
}

func (r *replay) compare(c Comparison) {
	r.ok = r.ok && c.OK()
	r.each(c)
}

func (r *replay) read() error {
	path := filepath.Join(r.folder, "golden.json")
	data, err := os.ReadFile(path)
	if err != nil {
		return artifact.Mark(artifact.ErrNotFound, fmt.Errorf("opening golden folder %s: %w; it needs golden.json, forward.safetensors and gradients.safetensors beside the model", r.folder, err))
	}
	if err := json.Unmarshal(data, &r.golden); err != nil {
		return artifact.Mark(artifact.ErrCorrupt, fmt.Errorf("reading %s: %w", path, err))
	}
	g := r.golden
	if g.B < 1 || g.T < 2 || g.B*g.T > 1<<20 {
		return artifact.Errorf(artifact.ErrCorrupt, "reading %s: B %d and T %d are not a batch", path, g.B, g.T)
	}
	path = filepath.Join(r.folder, "forward.safetensors")
	file, err := artifact.ReadSafetensors(path)
	if err != nil {
		return err
	}
	defer file.Close()
	tokens, err := file.Int32("input_ids")
	if err != nil {
		return err
	}
	labels, err := file.Int32("labels")
	if err != nil {
		return err
	}
	var mask []int32
	if slices.Contains(file.Names(), "attention_mask") {
		if mask, err = file.Int32("attention_mask"); err != nil {
			return err
		}
	}
	if len(tokens) != g.B*g.T || len(labels) != len(tokens) || mask != nil && len(mask) != len(tokens) {
		return artifact.Errorf(artifact.ErrCorrupt, "reading %s: input_ids, labels and attention_mask must have %d×%d elements", path, g.B, g.T)
	}
	r.labels = labels
	r.rows = dataset.NewPacked(g.B, g.T)
	if err := r.rows.Fill(nil, nil, 0); err != nil { // all padding
		return err
	}
	copy(r.rows.Tokens, tokens)
	for i := range tokens {
		at := i % g.T
		r.rows.Positions[i] = int32(at)
		if mask == nil || mask[i] != 0 {
			r.rows.Segments[i] = 0
		}
		// A causal model predicts the next token's label.
		if at+1 < g.T {
			r.rows.Targets[i] = labels[i+1]
			if labels[i+1] >= 0 {
				r.rows.Learned++
			}
		}
	}
	return nil
}

func (r *replay) logits(context.Context) error {
	p := compute.NewProgram("replay logits")
	p.Output("logits", r.model.Logits(p, r.model.Hidden(p, model.NewBatch(p, r.rows.B, r.rows.T))))
	x, err := r.model.Engine.Compile(p, r.model.Store)
	if err != nil {
		return err
	}
	copy(x.Ints("tokens"), r.rows.Tokens)
	copy(x.Ints("positions"), r.rows.Positions)
	copy(x.Ints("segments"), r.rows.Segments)
	if err := x.Run(); err != nil {
		return err
	}
	want, err := r.tensor("forward.safetensors", "logits")
	if err != nil {
		return err
	}
	got := x.Floats("logits")
	if len(got) != len(want) {
		return artifact.Errorf(artifact.ErrCorrupt, "forward.safetensors: logits have %d elements, the model gives %d", len(want), len(got))
	}
	// What stands at padding means nothing.
	v := r.model.Vocabulary
	var a, b []float32
	for i, segment := range r.rows.Segments {
		if segment >= 0 {
			a, b = append(a, got[i*v:(i+1)*v]...), append(b, want[i*v:(i+1)*v]...)
		}
	}
	r.compare(Comparison{Name: "logits", Error: relative(a, b), Tolerance: arrayTolerance})
	return nil
}

func (r *replay) gradients(context.Context) error {
	var err error
	if r.lm, err = train.NewLanguageModel(r.model, r.rows.B, r.rows.T); err != nil {
		return err
	}
	loss, err := r.lm.Accumulate(r.rows, 1/float64(r.rows.Learned))
	if err != nil {
		return err
	}
	want, err := r.tensor("forward.safetensors", "loss")
	if err != nil {
		return err
	}
	r.compare(Comparison{Name: "loss", Error: relativeNumber(loss, float64(want[0])), Tolerance: firstLossTolerance, Detail: fmt.Sprintf("%.7f", loss)})
	for _, p := range r.model.Parameters() {
		want, err := r.tensor("gradients.safetensors", p.Name)
		if err != nil {
			return err
		}
		got, err := train.Gradient(r.model, p)
		if err != nil {
			return err
		}
		if len(got) != len(want) {
			return artifact.Errorf(artifact.ErrCorrupt, "gradients.safetensors: %q has %d elements, the model %d", p.Name, len(want), len(got))
		}
		r.compare(Comparison{Name: "gradient " + p.Name, Error: relative(got, want), Tolerance: arrayTolerance})
	}
	return nil
}

func (r *replay) steps(ctx context.Context) error {
	a := r.golden.AdamW
	optimizer, err := train.NewOptimizer(r.model, train.AdamW{Beta1: a.Betas[0], Beta2: a.Betas[1], Epsilon: a.Eps, Decay: goldenDecay, MaxNorm: a.Clip})
	if err != nil {
		return err
	}
	if err := optimizer.Zero(); err != nil {
		return err
	}
	for i, want := range r.golden.Steps {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		loss, err := r.lm.Accumulate(r.rows, 1/float64(r.rows.Learned))
		if err != nil {
			return err
		}
		norm, err := optimizer.Norm()
		if err != nil {
			return err
		}
		tolerance := firstLossTolerance
		if n := len(r.golden.Steps); n > 1 {
			tolerance *= math.Pow(lastLossTolerance/firstLossTolerance, float64(i)/float64(n-1))
		}
		r.compare(Comparison{Name: fmt.Sprintf("step %d loss", i), Error: relativeNumber(loss, want.Loss), Tolerance: tolerance, Detail: fmt.Sprintf("%.7f", loss)})
		r.compare(Comparison{Name: fmt.Sprintf("step %d gradient norm", i), Error: relativeNumber(norm, want.GradNorm), Tolerance: normTolerance, Detail: fmt.Sprintf("%.7f", norm)})
		if err := optimizer.Step(a.LR, norm); err != nil {
			return err
		}
	}
	return nil
}

// greedy continues from the folder's weights, not from those after the steps.
// The golden text begins with the prompt.
func (r *replay) greedy(ctx context.Context) error {
	if len(r.golden.Greedy) <= greedyPrompt {
		return nil
	}
	golden := r.golden.Greedy[greedyPrompt:]
	m, err := model.Load(r.model.Engine, r.folder)
	if err != nil {
		return err
	}
	g, err := generate.New(m, 1, min(m.Context, greedyPrompt+len(golden)))
	if err != nil {
		return err
	}
	got, err := g.All(ctx, []generate.Request{{Prompt: r.rows.Tokens[:greedyPrompt]}}, generate.Sampling{MaxTokens: len(golden)})
	if err != nil {
		return err
	}
	wrong := 0
	for i, token := range golden {
		if i >= len(got[0].Tokens) || got[0].Tokens[i] != token {
			wrong++
		}
	}
	r.compare(Comparison{Name: "greedy continuation", Error: float64(wrong) / float64(len(golden)), Detail: fmt.Sprintf("%d of %d tokens equal", len(golden)-wrong, len(golden))})
	return nil
}

func (r *replay) tensor(file, name string) ([]float32, error) {
	f, err := artifact.ReadSafetensors(filepath.Join(r.folder, file))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Float32(name)
}

// relative is ‖a−b‖/‖b‖.
func relative(a, b []float32) float64 {
	var d, n float64
	for i := range a {
		x := float64(a[i]) - float64(b[i])
		d += x * x
		n += float64(b[i]) * float64(b[i])
	}
	return math.Sqrt(d) / math.Max(math.Sqrt(n), math.SmallestNonzeroFloat64)
}

func relativeNumber(a, b float64) float64 { return math.Abs(a-b) / math.Abs(b) }
