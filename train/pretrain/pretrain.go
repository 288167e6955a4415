// Package pretrain trains a model from random weights on the text of a corpus:
// rows of T tokens cut from documents with <|endoftext|> between them.
//
// Terms:
//
//   - causal: a decoder foretells the next token of each.
//   - mlm: an encoder guesses tokens that were hidden from it, from the text on
//     both sides (Devlin et al. 2019, section 3.1; see [dataset.Masking]). The
//     documents of a row are segments of their own, each of which begins with
//     <|endoftext|>: that token then stands for the text.
package pretrain

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/corpus"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train"
)

// Config configures the stage.
type Config struct {
	Objective string  `yaml:"objective" json:"objective" doc:"causal: a decoder foretells the next token; mlm: an encoder (family bert) guesses hidden ones" enum:"causal,mlm"`
	MaskShare float64 `yaml:"mask_share" json:"mask_share" doc:"share of the text's tokens that mlm chooses to be guessed" above:"0" max:"1"`

	Family      string  `yaml:"family" json:"family" doc:"kind of the blocks" enum:"gpt2,llama,mistral,qwen2,qwen3,gemma3_text,bert"`
	Layers      int     `yaml:"layers" json:"layers" doc:"Transformer blocks" min:"1"`
	Width       int     `yaml:"width" json:"width" doc:"size of a hidden state" min:"1"`
	Heads       int     `yaml:"heads" json:"heads" doc:"attention heads" min:"1"`
	KVHeads     int     `yaml:"kv_heads" json:"kv_heads" doc:"key and value heads; 0: as many as heads" min:"0"`
	FeedForward int     `yaml:"feed_forward" json:"feed_forward" doc:"size of the feed-forward layer; 0: 4 × width, and 8/3 of it with SwiGLU" min:"0"`
	Context     int     `yaml:"context" json:"context" doc:"T: tokens of a row, and positions of the model" min:"2"`
	InitRange   float64 `yaml:"init_range" json:"init_range" doc:"standard deviation of the initial weights" above:"0"`

	Steps       int `yaml:"steps" json:"steps" doc:"optimizer steps" min:"1"`
	BatchTokens int `yaml:"batch_tokens" json:"batch_tokens" doc:"tokens of a step, accumulated over micro-batches" min:"1"`
	MicroRows   int `yaml:"micro_rows" json:"micro_rows" doc:"B: rows of a micro-batch" min:"1"`

	train.OptimizerConfig `yaml:",inline"`

	EvalEvery int    `yaml:"eval_every" json:"eval_every" doc:"steps between two measurements on the validation text" min:"1"`
	EvalRows  int    `yaml:"eval_rows" json:"eval_rows" doc:"rows of a measurement; the last takes all" min:"1"`
	Seed      uint64 `yaml:"seed" json:"seed" doc:"of the initial weights and the order of the text"`
}

// The objectives.
const (
	Causal = "causal"
	MLM    = "mlm"
)

// Defaults is a small model that two cores train in minutes.
func Defaults() Config {
	return Config{
		Objective: Causal, MaskShare: .15,
		Family: "llama", Layers: 4, Width: 192, Heads: 6, Context: 256, InitRange: .02,
		Steps: 1800, BatchTokens: 2048, MicroRows: 8,
		OptimizerConfig: train.DefaultOptimizer(4e-3),
		EvalEvery:       200, EvalRows: 64,
	}
}

// Validate checks what no single value can say.
func (c Config) Validate() error {
	if _, err := c.rowsPerStep(); err != nil {
		return err
	}
	_, err := c.architecture(1)
	return err
}

// Model returns the architecture for a tokenizer.
func (c Config) Model(t *tokenizer.Tokenizer) (model.Config, error) {
	m, err := c.architecture(t.VocabSize())
	if id, ok := t.EOS(); ok {
		m.EOS = int(id)
	}
	if id, ok := t.Pad(); ok {
		m.Pad = int(id)
	}
	return m, err
}

// architecture returns the model for a vocabulary, without special tokens.
func (c Config) architecture(vocabulary int) (model.Config, error) {
	m := model.Config{
		Family: model.Family(c.Family), Head: model.LanguageModel, Vocabulary: vocabulary, Context: c.Context,
		Width: c.Width, Layers: c.Layers, Heads: c.Heads, KVHeads: c.KVHeads, FeedForward: c.FeedForward,
		Epsilon: 1e-5, Tied: true, InitRange: c.InitRange, BOS: -1, EOS: -1, Pad: -1,
	}
	if c.Objective == MLM {
		m.Head = model.MaskedLanguageModel
	}
	if encoder := m.Family.Encoder(); encoder != (c.Objective == MLM) {
		return m, artifact.Errorf(artifact.ErrUsage, "configuring the model: objective %s does not go with family %s; mlm wants the encoder %s, %s one of the decoders %v", c.Objective, c.Family, model.BERT, Causal, model.Decoders)
	}
	if c.Width%c.Heads != 0 {
		return m, artifact.Errorf(artifact.ErrUsage, "configuring the model: width %d is not a multiple of %d heads", c.Width, c.Heads)
	}
	m = m.Complete()
	if m.FeedForward == 0 {
		m.FeedForward = 4 * c.Width
		if m.Family != model.GPT2 && m.Family != model.BERT {
			// As many weights in three matrices as GPT-2 has in two, in steps of 64.
			m.FeedForward = (8*c.Width/3 + 63) / 64 * 64
		}
	}
	return m, m.Validate()
}

// rowsPerStep is the number of rows of a step.
func (c Config) rowsPerStep() (int, error) {
	if c.BatchTokens%c.Context != 0 {
		return 0, artifact.Errorf(artifact.ErrUsage, "configuring pretraining: batch_tokens %d is not a multiple of context %d", c.BatchTokens, c.Context)
	}
	rows := c.BatchTokens / c.Context
	if rows%c.MicroRows != 0 {
		return 0, artifact.Errorf(artifact.ErrUsage, "configuring pretraining: %d rows a step (batch_tokens/context) are not a multiple of micro_rows %d", rows, c.MicroRows)
	}
	return rows, nil
}

// Inputs are the artifacts that the stage reads.
type Inputs struct {
	Corpus    string // folder of corpus.Build, or of token shards made of one
	Tokenizer string // folder with tokenizer.json
}

// Run runs the stage in the folder out, continuing where an earlier run stopped.
// The caller holds the folder's lock.
func Run(ctx context.Context, env stage.Environment, c Config, in Inputs, out string) (*artifact.Manifest, error) {
	return stage.Run(ctx, env, Stage, c, in.paths(), out)
}

// pretraining is a run of the stage.
type pretraining struct {
	*train.Trainer
	Config
	in         Inputs
	rows       int // of a step
	reader     *reader
	batch      *dataset.Packed // a micro-batch
	lengths    []int32         // bytes of each token
	lm         *train.LanguageModel
	evaluation *Evaluation
}

// run trains a model, continuing where an earlier run stopped.
func run(ctx context.Context, w *stage.Work, c Config, in Inputs) error {
	rows, err := c.rowsPerStep()
	if err != nil {
		return err
	}
	tok, err := file.LoadTokenizer(in.Tokenizer)
	if err != nil {
		return err
	}
	config, err := c.Model(tok)
	if err != nil {
		return err
	}
	if c.Objective == MLM { // asked before the corpus is tokenised
		if _, err := dataset.NewMasking(tok, c.MaskShare, c.Seed, ""); err != nil {
			return err
		}
	}
	training, err := train.SplitShards(ctx, w, in.Corpus, w.Path("shards"), corpus.Train, tok)
	if err != nil {
		return err
	}
	defer training.Close()
	validation, err := train.SplitShards(ctx, w, in.Corpus, w.Path("shards"), corpus.Validation, tok)
	if err != nil {
		return err
	}
	defer validation.Close()

	p := &pretraining{Config: c, in: in, rows: rows, batch: train.NewTextRows(c.MicroRows, c.Context), lengths: tok.ByteLengths()}
	if p.reader, err = c.newReader(training, tok, true); err != nil {
		return err
	}
	held, err := c.newReader(validation, tok, false)
	if err != nil {
		return err
	}
	if p.Trainer, err = train.Begin(w, "pretrain", config, tok, c.Seed); err != nil {
		return err
	}
	if err := p.Adapt(c.OptimizerConfig, train.LoRAConfig{}, c.Seed); err != nil {
		return err
	}
	if p.lm, err = train.NewLanguageModel(p.Trainer.Model, c.MicroRows, c.Context); err != nil {
		return err
	}
	if err := p.Optimize(c.OptimizerConfig, c.Steps); err != nil {
		return err
	}
	p.evaluation = newEvaluation(p.lm, held, tok)
	w.Log.Printf("pretrain: %s parameters, %s tokens of training text, %s of validation text, %s a step × %s steps",
		progress.Count(config.ParameterCount()), progress.Count(training.Tokens()), progress.Count(validation.Tokens()),
		progress.Count(int64(c.BatchTokens)), progress.Count(int64(c.Steps)))
	if err := p.Run(ctx, c, train.Loop{Steps: c.Steps, Step: p.step, Evaluate: p.evaluate, EvaluateEvery: c.EvalEvery, Held: "validation/loss"}); err != nil {
		return err
	}
	w.Manifest.Metrics["parameters"] = float64(config.ParameterCount())
	return p.Save(1)
}

// step is the mean loss over the targets of the step's rows.
func (p *pretraining) step(ctx context.Context, step int) (train.StepReport, error) {
	first := uint64(step) * uint64(p.rows)
	report := train.StepReport{Tokens: int64(p.BatchTokens), FLOPs: p.Optimizer.FLOPs()}
	targets, err := p.reader.targets(first, p.rows, p.batch)
	if err != nil {
		return report, err
	}
	var loss float64
	var bytes int64
	for micro := 0; micro < p.rows; micro += p.MicroRows {
		if ctx.Err() != nil {
			return report, context.Cause(ctx)
		}
		p.Within(step, micro/p.MicroRows, p.rows/p.MicroRows)
		if _, err := p.reader.fill(first+uint64(micro), p.batch); err != nil {
			return report, err
		}
		part, err := p.lm.Accumulate(ctx, p.batch, 1/float64(max(1, targets)))
		if err != nil {
			return report, err
		}
		loss += part
		bytes += dataset.CountBytes(p.batch.Targets, p.lengths)
		report.FLOPs += p.lm.FLOPsOf(p.batch)
	}
	update, err := p.Update(step, loss, func() string { return p.name(first) })
	report.Metrics = []train.Metric{{Name: "loss", Value: loss}}
	if p.Objective == MLM {
		report.Metrics = append(report.Metrics, train.Metric{Name: "masked_tokens", Value: float64(targets)})
	} else {
		report.Metrics = append(report.Metrics, train.Metric{Name: "bits_per_byte", Value: loss * float64(targets) / math.Ln2 / float64(max(1, bytes))})
	}
	report.Metrics = append(report.Metrics, update.Metrics()...)
	return report, err
}

// evaluate measures on some of the validation text, and at the end on all of it.
func (p *pretraining) evaluate(ctx context.Context, step int) ([]train.Metric, error) {
	limit := p.EvalRows
	if step == p.Steps {
		limit = 0
	}
	loss, bpb, err := p.evaluation.Run(ctx, limit)
	metrics := []train.Metric{{Name: "validation/loss", Value: loss}}
	if p.Objective == Causal {
		metrics = append(metrics, train.Metric{Name: "validation/bits_per_byte", Value: bpb})
	}
	return metrics, err
}

// name names the rows of a step, from number first on.
func (p *pretraining) name(first uint64) string {
	return fmt.Sprintf("rows %d to %d of the training text (epoch %d), cut from %s",
		first, first+uint64(p.rows)-1, first/uint64(p.reader.stream.RowsPerEpoch()), documentNames(p.in.Corpus, p.reader.stream, first, p.rows))
}

// maxNamed is how many documents of a batch are named.
const maxNamed = 20

// documentNames names the documents that rows are cut from, for an error.
func documentNames(from string, stream *dataset.Stream, first uint64, rows int) string {
	wanted := make(map[int]bool)
	for row := range rows {
		for _, d := range stream.Documents(first + uint64(row)) {
			wanted[d] = true
		}
	}
	report, err := corpus.ReadReport(from)
	if err != nil {
		return fmt.Sprintf("%d documents, whose names cannot be read: %v", len(wanted), err)
	}
	var names []string
	n := 0
	for doc, err := range corpus.Documents(filepath.Join(from, report.Of(corpus.Train).File)) {
		if err != nil {
			return fmt.Sprintf("%d documents, whose names cannot be read: %v", len(wanted), err)
		}
		if wanted[n] && len(names) < maxNamed {
			names = append(names, doc.ID)
		}
		n++
	}
	if more := len(wanted) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}
