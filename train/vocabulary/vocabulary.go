// Package vocabulary is the stage that learns a tokenizer's vocabulary from the
// training text of a corpus. The mathematics is package tokenizer's.
package vocabulary

import (
	"context"
	"iter"
	"path/filepath"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/corpus"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// Config configures the stage.
type Config struct {
	Vocabulary   int   `yaml:"vocabulary" json:"vocabulary" doc:"number of tokens, the special ones and the 256 bytes included" min:"1"`
	MinFrequency int64 `yaml:"min_frequency" json:"min_frequency" doc:"how often a pair must occur to be merged" min:"1"`
	Encoder      bool  `yaml:"encoder" json:"encoder,omitempty" doc:"for an encoder: with <|mask|>, and <|endoftext|> before a text"`
}

// Defaults suit a model of a few million parameters.
func Defaults() Config { return Config{Vocabulary: 2048, MinFrequency: 2} }

func (c Config) options() tokenizer.Options {
	o := tokenizer.Options{VocabSize: c.Vocabulary, MinFrequency: c.MinFrequency, ChatTemplate: chat.ChatML}
	if c.Encoder {
		o.SpecialTokens = tokenizer.EncoderSpecialTokens()
	}
	return o
}

// Validate checks what no single value can say.
func (c Config) Validate() error {
	if err := c.options().Check(); err != nil {
		return artifact.Errorf(artifact.ErrUsage, "training a tokenizer: %w", err)
	}
	return nil
}

// Stage is the training of a tokenizer as a stage.
var Stage = stage.Define(stage.Definition[Config]{
	Kind: "tokenizer", Title: "Tokenizer",
	Does:     "Learns a byte-level BPE vocabulary from the training text, with GPT-2's pre-tokenisation.",
	Defaults: Defaults,
	Inputs:   []stage.Input{{Name: "corpus", Kinds: stage.Of(stage.Corpus), Required: true, Doc: "the corpus whose training text is read"}},
	Outputs:  []stage.Output{{Kind: stage.Tokenizer, Doc: "tokenizer.json and tokenizer_config.json"}},
	NoEngine: true,
	Run:      run,
	Estimate: func(c Config, in stage.Known) (stage.Estimate, error) {
		const bytesPerSecond = 4e6
		return stage.Estimate{
			Seconds: 1 + float64(in["corpus"].Bytes)/bytesPerSecond,
			Leaves:  map[string]stage.Facts{"": {Vocabulary: c.Vocabulary}},
		}, nil
	},
	Verb: &stage.Verb{
		Name:  "tokenizer train",
		Short: "Learn a vocabulary from the training text of a corpus",
		Long: `Learn a byte-level BPE vocabulary of N tokens from the training split of a
corpus: <|endoftext|>, <|im_start|>, <|im_end|> and <|pad|> are 0 to 3, then come
the 256 bytes, then one token for each merge of the most frequent pair.

With --encoder, for pretraining with objective mlm, <|mask|> is 4, and a text that
is encoded for a model begins with <|endoftext|>.

The result depends on the corpus alone.`,
		Examples: []string{
			"alma tokenizer train corpus --vocab 2048 --out tokenizer",
			"alma tokenizer train corpus --vocab 4096 --encoder --out tokenizer",
		},
		Positional: "corpus",
		Flags:      map[string]string{"vocab": "vocabulary", "min-frequency": "min_frequency", "encoder": "encoder"},
	},
})

func run(ctx context.Context, w *stage.Work, c Config) error {
	from := w.In.Path("corpus")
	report, err := corpus.ReadReport(from)
	if err != nil {
		return err
	}
	o := c.options()
	o.Progress = func(done, total int) {
		w.Log.Progress.Show(progress.Line{Label: "tokenizer merges", Done: int64(done), Total: int64(total)})
	}
	t, stats, err := tokenizer.Train(ctx, texts(ctx, filepath.Join(from, filepath.FromSlash(report.Of(corpus.Train).File))), o)
	w.Log.Progress.Done()
	if err != nil {
		return err
	}
	if err := write(w, t); err != nil {
		return err
	}
	w.Log.Printf("tokenizer: %s tokens from %s of text", progress.Count(int64(t.VocabSize())), progress.Bytes(stats.Bytes))
	w.Manifest.Metrics = artifact.Metrics{
		"documents": float64(stats.Docs), "bytes": float64(stats.Bytes), "merges": float64(stats.Merges), "vocabulary": float64(t.VocabSize()),
	}
	return nil
}

// texts are the texts of a file of documents.
func texts(ctx context.Context, path string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for doc, err := range corpus.Documents(path) {
			if err == nil && ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			if !yield(doc.Text, err) || err != nil {
				return
			}
		}
	}
}

// Convert is the stage that writes a tokenizer of any kind as Hugging Face's files.
var Convert = stage.Define(stage.Definition[struct{}]{
	Kind: "convert", Title: "Tokenizer, converted",
	Does:     "Writes a tokenizer of any kind as Hugging Face's files.",
	NoEngine: true,
	Inputs:   []stage.Input{{Name: "tokenizer", Kinds: append(stage.Of(stage.Tokenizer), stage.AnyModel...), Required: true, Doc: "the tokenizer: a folder or file"}},
	Outputs:  []stage.Output{{Kind: stage.Tokenizer, Doc: "tokenizer.json with its neighbours"}},
	Run: func(_ context.Context, w *stage.Work, _ struct{}) error {
		t, err := file.LoadTokenizer(w.In.Path("tokenizer"))
		if err != nil {
			return err
		}
		return write(w, t)
	},
	Verb: &stage.Verb{
		Name:  "tokenizer convert",
		Short: "Write a tokenizer of any kind as Hugging Face's files",
		Long: `Read a tokenizer of any kind and write it as tokenizer.json with its
neighbours, which Hugging Face's tokenizers and transformers open.`,
		Examples:   []string{"alma tokenizer convert tokenizer.model --out tokenizer", "alma tokenizer convert cl100k_base.tiktoken --out cl100k"},
		Positional: "tokenizer",
	},
})

// write writes a tokenizer's files into the folder of a stage.
func write(w *stage.Work, t *tokenizer.Tokenizer) error {
	files, err := t.Files()
	if err != nil {
		return err
	}
	for name, data := range files {
		if err := artifact.WriteFile(w.Path(name), data); err != nil {
			return err
		}
	}
	w.Manifest.Metrics = artifact.Metrics{"vocabulary": float64(t.VocabSize())}
	return nil
}
