package evaluate

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/generate"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
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
	// noise is the share of all gradients' norm that stands for the norm of a
	// gradient of zeros.
	noise = 1e-3
)

type golden struct {
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
// (input_ids, labels, optionally attention_mask and token_type_ids, logits,
// loss), gradients.safetensors and golden.json. The loss is that of the model's
// head: of the next token, of masked tokens, or of each row as a whole, for which
// labels holds the class of each, or real numbers for each output.
func Replay(ctx context.Context, engine compute.Engine, folder string, each func(Comparison)) (ok bool, err error) {
	r := replay{folder: folder, each: each, ok: true}
	if r.model, err = file.Load(engine, folder); err != nil {
		return false, err
	}
	if err := r.read(); err != nil {
		return false, err
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
	batch  *goldenBatch
	loss   compute.Executable
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
	const most = 1 << 20
	if g.B < 1 || g.T < 1 || g.B > most || g.T > most || g.B*g.T > most {
		return artifact.Errorf(artifact.ErrCorrupt, "reading %s: B %d and T %d are not a batch", path, g.B, g.T)
	}
	r.batch, err = readGoldenBatch(r.model, filepath.Join(r.folder, "forward.safetensors"), g.B, g.T)
	return err
}

func (r *replay) logits(context.Context) error {
	m := r.model
	p := compute.NewProgram("replay logits")
	logits := r.batch.logits(m, p, m.Hidden(p, m.NewBatch(p, r.batch.b, r.batch.t)))
	p.Output("logits", logits)
	x, err := m.Engine.Compile(p, m.Store)
	if err != nil {
		return err
	}
	r.batch.fill(m, x)
	if err := x.Run(); err != nil {
		return err
	}
	want, err := r.tensor("forward.safetensors", "logits")
	if err != nil {
		return err
	}
	got, width := x.Floats("logits"), logits.Shape.Last()
	if len(got) != len(want) {
		return artifact.Errorf(artifact.ErrCorrupt, "forward.safetensors: logits have %d elements, the model gives %d", len(want), len(got))
	}
	a, b := got, want
	if !wholeTexts(m) { // what stands at padding means nothing
		a, b = nil, nil
		for i, segment := range r.batch.segments {
			if segment >= 0 {
				a, b = append(a, got[i*width:(i+1)*width]...), append(b, want[i*width:(i+1)*width]...)
			}
		}
	}
	r.compare(Comparison{Name: "logits", Error: relative(a, b), Tolerance: arrayTolerance})
	return nil
}

// accumulate adds the gradients of the mean loss to those in the Store and
// returns it.
func (r *replay) accumulate() (float64, error) {
	m := r.model
	if r.loss == nil {
		m.Freeze(func(p model.Parameter) bool { return p.Name == model.ScoreBias }) // which transformers does not have
		p := compute.NewProgram("replay loss")
		loss := r.batch.loss(m, p, m.Hidden(p, m.NewBatch(p, r.batch.b, r.batch.t)))
		p.Output("loss", loss)
		if err := train.Backward(p, m, loss); err != nil {
			return 0, err
		}
		var err error
		if r.loss, err = m.Engine.Compile(p, m.Store); err != nil {
			return 0, err
		}
		r.batch.fill(m, r.loss)
		r.batch.fillLabels(r.loss)
	}
	if err := r.loss.Run(); err != nil {
		return 0, err
	}
	return float64(r.loss.Floats("loss")[0]), nil
}

func (r *replay) gradients(context.Context) error {
	loss, err := r.accumulate()
	if err != nil {
		return err
	}
	want, err := r.tensor("forward.safetensors", "loss")
	if err != nil {
		return err
	}
	if len(want) != 1 {
		return artifact.Errorf(artifact.ErrCorrupt, "forward.safetensors: loss has %d elements, want 1", len(want))
	}
	r.compare(Comparison{Name: "loss", Error: relativeNumber(loss, float64(want[0])), Tolerance: firstLossTolerance, Detail: fmt.Sprintf("%.7f", loss)})
	for _, p := range r.model.Trained() {
		want, err := r.tensor("gradients.safetensors", p.Name)
		if err != nil {
			return err
		}
		size := norm(want)
		// A bias of attention's keys adds the same to all scores of a softmax:
		// its gradient is zero, and both sides hold rounding noise. How much is
		// too much, the gradient of the keys' matrix tells.
		if keys, ok := strings.CutSuffix(p.Name, ".self.key.bias"); ok {
			matrix, err := r.tensor("gradients.safetensors", keys+".self.key.weight")
			if err != nil {
				return err
			}
			size = norm(matrix)
		}
		// Where nothing depends on a tensor (queries and keys of rows of one
		// token), rounding noise may stand against zeros. All gradients together
		// tell how much is too much.
		if size == 0 && len(r.golden.Steps) > 0 {
			size = noise * r.golden.Steps[0].GradNorm
		}
		got, err := train.Gradient(r.model, p)
		if err != nil {
			return err
		}
		if len(got) != len(want) {
			return artifact.Errorf(artifact.ErrCorrupt, "gradients.safetensors: %q has %d elements, the model %d", p.Name, len(want), len(got))
		}
		r.compare(Comparison{Name: "gradient " + p.Name, Error: ratio(distance(got, want), size), Tolerance: arrayTolerance})
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
		loss, err := r.accumulate()
		if err != nil {
			return err
		}
		gradNorm, err := optimizer.Norm()
		if err != nil {
			return err
		}
		tolerance := firstLossTolerance
		if n := len(r.golden.Steps); n > 1 {
			tolerance *= math.Pow(lastLossTolerance/firstLossTolerance, float64(i)/float64(n-1))
		}
		r.compare(Comparison{Name: fmt.Sprintf("step %d loss", i), Error: relativeNumber(loss, want.Loss), Tolerance: tolerance, Detail: fmt.Sprintf("%.7f", loss)})
		r.compare(Comparison{Name: fmt.Sprintf("step %d gradient norm", i), Error: relativeNumber(gradNorm, want.GradNorm), Tolerance: normTolerance, Detail: fmt.Sprintf("%.7f", gradNorm)})
		if err := optimizer.Step(a.LR, gradNorm); err != nil {
			return err
		}
	}
	return nil
}

// greedy continues from the folder's weights, not from those after the steps.
// The golden text begins with the prompt.
func (r *replay) greedy(ctx context.Context) error {
	if r.model.Head != model.LanguageModel || len(r.golden.Greedy) <= greedyPrompt {
		return nil
	}
	if r.batch.t < greedyPrompt {
		return artifact.Errorf(artifact.ErrCorrupt, "golden.json: greedy goes on from %d tokens and the rows have %d", greedyPrompt, r.batch.t)
	}
	golden := r.golden.Greedy[greedyPrompt:]
	m, err := file.Load(r.model.Engine, r.folder)
	if err != nil {
		return err
	}
	g, err := generate.New(m, 1, min(m.Context, greedyPrompt+len(golden)))
	if err != nil {
		return err
	}
	got, err := g.All(ctx, []generate.Request{{Prompt: r.batch.tokens[:greedyPrompt]}}, generate.Sampling{MaxTokens: len(golden)})
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

// relative is ‖a−b‖/‖b‖, and 0 of two arrays of zeros.
func relative(a, b []float32) float64 { return ratio(distance(a, b), norm(b)) }

func ratio(distance, size float64) float64 {
	if distance == 0 {
		return 0
	}
	return distance / size
}

// distance is ‖a−b‖.
func distance(a, b []float32) float64 {
	d := make([]float32, len(a))
	for i := range a {
		d[i] = a[i] - b[i]
	}
	return norm(d)
}

func norm(v []float32) float64 {
	var n float64
	for _, x := range v {
		n += float64(x) * float64(x)
	}
	return math.Sqrt(n)
}

func relativeNumber(a, b float64) float64 { return math.Abs(a-b) / math.Abs(b) }
