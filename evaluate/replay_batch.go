package evaluate

import (
	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/model"
)

// goldenBatch is the batch of a golden folder, B rows of T tokens, and the loss
// that transformers computes of it for the model's head.
type goldenBatch struct {
	b, t                               int
	tokens, positions, segments, types []int32 // [B·T]; types nil: all 0
	targets                            []int32 // of each position [B·T], or each row's class [B]; negative: none
	values                             []float32
	readAt                             []int32 // where each row is read as a whole, [B]
	count                              int     // of what the loss is the mean
}

// wholeTexts tells whether the head reads a row as a whole.
func wholeTexts(m *model.Model) bool { return m.Head == model.Classes || m.Head == model.Scalar }

// outputs is the number of logits of a row that is read as a whole.
func outputs(m *model.Model) int { return max(1, len(m.Labels)) }

// readGoldenBatch reads forward.safetensors at path.
func readGoldenBatch(m *model.Model, path string, b, t int) (*goldenBatch, error) {
	file, err := artifact.ReadSafetensors(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	g := &goldenBatch{b: b, t: t}
	if g.tokens, err = file.Int32("input_ids"); err != nil {
		return nil, err
	}
	var mask []int32
	for _, optional := range []struct {
		name   string
		values *[]int32
	}{{"attention_mask", &mask}, {"token_type_ids", &g.types}} {
		if _, ok := file.Info(optional.name); ok {
			if *optional.values, err = file.Int32(optional.name); err != nil {
				return nil, err
			}
		}
	}
	if len(g.tokens) != b*t || mask != nil && len(mask) != b*t || g.types != nil && len(g.types) != b*t {
		return nil, artifact.Errorf(artifact.ErrCorrupt, "reading %s: input_ids, attention_mask and token_type_ids must have %d×%d elements", path, b, t)
	}
	if g.types != nil && m.Types == 0 {
		return nil, artifact.Errorf(artifact.ErrCorrupt, "reading %s: token_type_ids for a model without token types", path)
	}
	g.positions, g.segments = make([]int32, b*t), make([]int32, b*t)
	for i := range g.tokens {
		g.positions[i] = int32(i % t)
		if mask != nil && mask[i] == 0 {
			g.segments[i] = -1
		}
	}
	if mask != nil && wholeTexts(m) && m.Family.Encoder() {
		// transformers reads an encoder's row at its first column, padding or not,
		// and there a padding token attends; alma's never do.
		for row := range b {
			if mask[row*t] == 0 {
				return nil, artifact.Errorf(artifact.ErrUsage, "reading %s: attention_mask begins row %d with padding, where transformers reads the row; alma reads a text at its own first token: pad on the right", path, row)
			}
		}
	}
	if g.readAt = m.ReadAt(g.segments, t); wholeTexts(m) && len(g.readAt) != b {
		return nil, artifact.Errorf(artifact.ErrCorrupt, "reading %s: attention_mask leaves %d texts for %d rows", path, len(g.readAt), b)
	}
	return g, g.readLabels(m, file, path)
}

// readLabels reads what the loss compares with. Labels that are real numbers
// make it a regression, or several yes-or-no questions, as in transformers.
func (g *goldenBatch) readLabels(m *model.Model, file *artifact.SafetensorsFile, path string) (err error) {
	wanted := g.b * g.t
	if info, _ := file.Info("labels"); wholeTexts(m) && info.DType == "F32" {
		wanted = g.b * outputs(m)
		if g.values, err = file.Float32("labels"); err != nil {
			return err
		}
		g.count = len(g.values)
	} else {
		if g.targets, err = file.Int32("labels"); err != nil {
			return err
		}
		if wholeTexts(m) {
			wanted = g.b
		}
	}
	if found := max(len(g.values), len(g.targets)); found != wanted {
		return artifact.Errorf(artifact.ErrCorrupt, "reading %s: labels has %d elements, want %d", path, found, wanted)
	}
	if m.Head == model.LanguageModel { // a position's target is the next one's label
		for i := range g.targets {
			if (i+1)%g.t == 0 {
				g.targets[i] = compute.IgnoreTarget
			} else {
				g.targets[i] = g.targets[i+1]
			}
		}
	}
	for _, target := range g.targets {
		if target >= 0 {
			g.count++
		}
	}
	if g.count == 0 {
		return artifact.Errorf(artifact.ErrCorrupt, "reading %s: no label is a target", path)
	}
	return nil
}

// logits builds the logits: [B·T, V], or of rows that are read as a whole [B, C].
func (g *goldenBatch) logits(m *model.Model, p *compute.Program, hidden *compute.Tensor) *compute.Tensor {
	switch m.Head {
	case model.Classes:
		return m.ClassLogits(p, hidden, p.Input("rows", compute.Int32, g.b))
	case model.Scalar:
		return compute.Reshape(m.Score(p, compute.GatherRows(hidden, p.Input("rows", compute.Int32, g.b))), g.b, 1)
	default:
		return m.Logits(p, hidden)
	}
}

// loss builds the mean loss.
func (g *goldenBatch) loss(m *model.Model, p *compute.Program, hidden *compute.Tensor) *compute.Tensor {
	var losses *compute.Tensor
	switch {
	case g.values != nil:
		x, y := g.logits(m, p, hidden), p.Input("values", compute.Float32, g.b, outputs(m))
		if outputs(m) == 1 {
			losses = compute.Square(compute.Sub(x, y))
		} else { // −y·log σ(x) − (1−y)·log σ(−x)
			no := compute.Sub(compute.Constant(p, 1), y)
			losses = compute.Neg(compute.Add(compute.Mul(y, compute.LogSigmoid(x)), compute.Mul(no, compute.LogSigmoid(compute.Neg(x)))))
		}
	case wholeTexts(m):
		losses = m.ClassLosses(p, hidden, p.Input("rows", compute.Int32, g.b), p.Input("targets", compute.Int32, g.b))
	default:
		losses = m.Losses(p, hidden, p.Input("targets", compute.Int32, g.b, g.t))
	}
	return compute.Scale(compute.Sum(losses), 1/float32(g.count))
}

// fill copies the batch to the inputs of a Program.
func (g *goldenBatch) fill(m *model.Model, x compute.Executable) {
	copy(x.Ints("tokens"), g.tokens)
	copy(x.Ints("positions"), g.positions)
	copy(x.Ints("segments"), g.segments)
	if g.types != nil {
		copy(x.Ints("types"), g.types)
	}
	if wholeTexts(m) {
		copy(x.Ints("rows"), g.readAt)
	}
}

// fillLabels copies what the loss compares with.
func (g *goldenBatch) fillLabels(x compute.Executable) {
	if g.values != nil {
		copy(x.Floats("values"), g.values)
	} else {
		copy(x.Ints("targets"), g.targets)
	}
}
