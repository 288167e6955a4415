package train

import (
	"fmt"
	"math"
	"slices"

	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// Derivation chooses values of a stage's configuration that nobody set, by the model
// that is trained and by the data. The defaults of the code suit a model of a few
// million parameters that alma pretrained; on a published one they would undo what it
// knows.
type Derivation struct {
	*Sketch
	stage.Basis
	Chosen []stage.Chosen
	adapt  bool
}

// Derive begins with the model of an input; nil where its configuration is not known
// yet, as of one that an earlier stage of the recipe will make. A configuration that is
// no model's is told of when it is opened.
func Derive(b stage.Basis, input string, head model.Head, lora LoRAConfig) *Derivation {
	s, err := NewSketch(b.In[input], head, lora)
	if err != nil {
		return nil
	}
	return &Derivation{Sketch: s, Basis: b, adapt: lora.Rank > 0}
}

// Choose sets a key that nobody set.
func (d *Derivation) Choose(key string, value any, why string, args ...any) {
	if d.Free(key) {
		d.Chosen = append(d.Chosen, stage.Chosen{Key: key, Value: value, Why: fmt.Sprintf(why, args...)})
	}
}

const (
	// defaultWidth is that of the models that the defaults of rates suit.
	defaultWidth = 192
	// publishedSize is that of the published models at which the rates for whole ones
	// were measured (docs/log.md).
	publishedSize = 135e6
)

// Rates are learning rates of a stage for three cases.
type Rates struct {
	Here    float64 // the code's default: for a model of width 192 that was trained here
	Whole   float64 // for a published one of 135 M parameters
	Adapter float64 // for an adapter on a published one
}

// Rate chooses a learning rate. It falls as the width of a model grows that was
// trained here (Yang et al. 2022, for Adam), and with the root of a published one's
// size, about as the rates that were published with fine-tuned models do: 2e-5 for 7
// billion parameters (Touvron et al. 2023 b, section 3.1), 5e-5 for 110 million
// (Devlin et al. 2019, appendix A.3).
func (d *Derivation) Rate(key string, r Rates) {
	n := d.ParameterCount()
	switch {
	case d.Published && d.adapt:
		d.Choose(key, r.Adapter, "an adapter on a published model")
	case d.Published:
		scale := math.Sqrt(publishedSize / float64(n))
		d.Choose(key, step125(r.Whole*min(scale, 4)), "a published model of %s parameters", progress.Count(n))
	case d.Width > defaultWidth:
		d.Choose(key, twoDigits(r.Here*defaultWidth/float64(d.Width)), "a model of width %d", d.Width)
	}
}

// step125 rounds a rate to 1, 2 or 5 times a power of ten, whichever is nearest by its
// ratio.
func step125(x float64) float64 {
	tens := math.Pow(10, -math.Floor(math.Log10(x)))
	switch digit := x * tens; {
	case digit < math.Sqrt(1*2):
		return 1 / tens
	case digit < math.Sqrt(2*5):
		return 2 / tens
	case digit < math.Sqrt(5*10):
		return 5 / tens
	}
	return 10 / tens
}

// twoDigits rounds a rate to two digits.
func twoDigits(x float64) float64 {
	power := math.Floor(math.Log10(x)) - 1
	return math.Round(x/math.Pow(10, power)) / math.Pow(10, -power)
}

const (
	// shortContext is the longest row of a model that is filled as it is: packing makes
	// use of it, and it is cheap.
	shortContext = 512
	// rowStep divides the longer rows.
	rowStep = 128
	// fitting is the share of the texts that must fit into a row.
	fitting = .98
	// sampled is how many texts are looked at.
	sampled = 1000
)

// Rows chooses the tokens of a row by the lengths of some of the texts, sorted: 512 or
// the least multiple of 128 that 98 of 100 fit into, with what else stands in the row
// (an answer that is not written yet). It returns the length that counts: what was set,
// what is chosen, or the model's context.
func (d *Derivation) Rows(key string, set int, lengths []int, more int, what string) int {
	if set > 0 || !d.Free(key) {
		return min(d.Context, max(set, 1))
	}
	if d.Context <= shortContext || len(lengths) == 0 {
		return d.Context
	}
	need := lengths[min(len(lengths)-1, int(math.Ceil(fitting*float64(len(lengths)))))] + more
	length := max(shortContext, (need+rowStep-1)/rowStep*rowStep)
	if length >= d.Context {
		return d.Context
	}
	d.Choose(key, length, "98 of 100 %s need up to %s tokens", what, progress.Count(int64(need)))
	return length
}

// Sample returns the sorted lengths of what encode makes of some of n texts.
func Sample(n int, encode func(i int) (tokens int, err error)) []int {
	lengths := Some(n, encode)
	slices.Sort(lengths)
	return lengths
}

// Some takes at most a thousand of n, evenly, and returns what of gives for each; those
// for which it fails are left out.
func Some[T any](n int, of func(i int) (T, error)) (list []T) {
	step := max(1, (n+sampled-1)/sampled)
	for i := 0; i < n; i += step {
		if x, err := of(i); err == nil {
			list = append(list, x)
		}
	}
	return list
}

// Tell puts the mean length of an input's texts, of which a row holds length tokens,
// where estimates look for it.
func (d *Derivation) Tell(input string, lengths []int, length int) {
	if len(lengths) == 0 {
		return
	}
	total := 0
	for _, n := range lengths {
		total += min(n, length)
	}
	f := d.In[input]
	f.RowTokens = float64(total) / float64(len(lengths))
	d.In[input] = f
}

// Path is the only path of an input, "" where it was not given.
func (d *Derivation) Path(input string) string {
	if paths := d.In[input].Paths; len(paths) > 0 {
		return paths[0]
	}
	return ""
}

// Tokenizer opens the tokenizer of an input's model; nil where it is not there yet, or
// is none.
func (d *Derivation) Tokenizer(input string) *tokenizer.Tokenizer {
	path := d.Path(input)
	if path == "" {
		return nil
	}
	tok, err := file.LoadTokenizerFor(path, d.Vocabulary)
	if err != nil {
		return nil
	}
	return tok
}

// Template opens the template of an input's model; nil where it is not there yet, or is
// none.
func (d *Derivation) Template(input string) *chat.Template {
	tok := d.Tokenizer(input)
	if tok == nil {
		return nil
	}
	template, err := chat.For(tok)
	if err != nil {
		return nil
	}
	return template
}

const (
	// leastSteps is how many steps a fine-tuning should have, so that a rate that
	// suits the model moves it, as far as its data reach.
	leastSteps = 60
	// microTokens are the tokens of a micro-batch of a large model: enough that
	// products run at full speed. More would take memory for nothing.
	microTokens = 1024
)

// Large tells of a model of which a row takes seconds.
func (d *Derivation) Large() bool { return d.ParameterCount() >= LargeModel }

// LargeModel is from how many parameters on a model is large: it wants the rates of
// published ones.
const LargeModel = 50_000_000

// Batch chooses the units of a step, given how many a run has in all: the default, or
// of a published model so few that there are sixty steps.
func (d *Derivation) Batch(key string, set int, all float64, what string) int {
	n := set
	for d.Published && d.Free(key) && n > 1 && all/float64(n) < leastSteps {
		n /= 2
	}
	if n < set {
		d.Choose(key, n, "%s %s in all", progress.Count(int64(all)), what)
	}
	return n
}

// MicroRows chooses the rows of a micro-batch, which change no result: of a large
// model the most that divide the rows of a step and have no more tokens than a
// micro-batch needs; of any so few that what memory tells, the bytes of a stage with so
// many rows, is there. Where one row takes too much, activations are computed again
// (recompute).
func (d *Derivation) MicroRows(key string, set, batch, length int, memory func(rows int, recompute bool) int64) {
	if !d.Free(key) {
		return
	}
	n, why := min(set, batch), fmt.Sprintf("a step of %d rows of %s tokens", batch, progress.Count(int64(length)))
	for n > 1 && (batch%n != 0 || d.Large() && n*length > microTokens) {
		n--
	}
	if need := memory(n, false); d.Memory > 0 && float64(need) > usable*float64(d.Memory) {
		why = fmt.Sprintf("%d rows take %s of %s of memory", n, progress.Bytes(need), progress.Bytes(d.Memory))
		for n > 1 && (batch%n != 0 || float64(memory(n, false)) > usable*float64(d.Memory)) {
			n--
		}
		if need := memory(n, false); float64(need) > usable*float64(d.Memory) && memory(n, true) < need {
			d.Choose("recompute", true, "a row takes %s of %s of memory", progress.Bytes(need), progress.Bytes(d.Memory))
		}
	}
	if n != set {
		d.Choose(key, n, "%s", why)
	}
}

// FewRows chooses the rows of a micro-batch of a large model: no more tokens than it
// needs. Of a small one the default stays.
func (d *Derivation) FewRows(key string, set, length int) {
	if d.Large() && set*length > microTokens {
		d.Choose(key, max(1, microTokens/length), "rows of %d tokens", length)
	}
}

// usable is the share of the memory that a stage's arrays and tensors may take.
const usable = .8

// Epochs chooses how often the data of a published model are seen: few data are seen
// more often.
func (d *Derivation) Epochs(key string, set float64, rows int64, what string) float64 {
	if !d.Published || rows == 0 || !d.Free(key) {
		return set
	}
	epochs := 1.0
	if rows < 2000 {
		epochs = 2
	}
	if epochs != set {
		d.Choose(key, epochs, "%s %s", progress.Count(rows), what)
	}
	return epochs
}

// MeasureEvery chooses how many steps lie between two measurements on what is held out,
// of a published model: a quarter of them, or more where measuring, a third of the work
// of learning for each token, would take more than a quarter of the time.
func (d *Derivation) MeasureEvery(key string, steps int, learned, held float64) {
	if !d.Published || steps < 1 || learned == 0 {
		return
	}
	n := 4.0
	if held > 0 { // before the first step and after the last it is measured in any case
		n = max(1, min(n, math.Floor(.75*learned/held-1)))
	}
	d.Choose(key, max(1, int(math.Ceil(float64(steps)/n))), "%g measurements", n)
}
