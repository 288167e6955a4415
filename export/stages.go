package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/embed"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train"
)

// Import is the stage that takes a model of others' in: it checks it once, and
// keeps a copy.
var Import = stage.Define(stage.Definition[struct{}]{
	Kind: "import", Title: "Import",
	Does:   "Checks a Hugging Face folder or a GGUF file and keeps a copy of the model.",
	Inputs: []stage.Input{{Name: "source", Kinds: stage.AnyModel, Required: true, Doc: "a Hugging Face folder or a GGUF file"}},
	Verb: &stage.Verb{
		Name:  "import",
		Short: "Make a model of others one of alma's",
		Long: `Check a Hugging Face folder or a GGUF file, and write it as a model folder of
alma's: float32 weights in one model.safetensors, config.json, the tokenizer, the
chat template, and an artifact.json with the hash of what was read, from which
the stages that follow trace their line.

Every verb that takes a model also takes the folder or the file directly; an
import does the checking once, dequantises once, and keeps a copy.`,
		Examples: []string{
			"alma import SmolLM2-135M-Instruct.Q4_1.gguf --out smollm2",
			"alma import Qwen3-0.6B/ --out qwen3"},
		Positional: "source",
	},
	Outputs: []stage.Output{{Kind: stage.Model, Doc: "the model"}},
	Run: func(_ context.Context, w *stage.Work, _ struct{}) error {
		source := w.In.Path("source")
		m, tok, err := train.LoadModel(w.Engine, source)
		if err != nil {
			return err
		}
		train.WarnAssumed(w, source, tok)
		template, err := chat.For(tok)
		if err != nil {
			return fmt.Errorf("%s: %w", source, err)
		}
		if err := train.SaveModel(w.Dir(), source, m, tok, 1, chat.Ends(tok, template, m.EndTokens()...)); err != nil {
			return err
		}
		if err := embed.CopySettings(source, w.Dir()); err != nil {
			return err
		}
		w.Manifest.Metrics = artifact.Metrics{
			"parameters": float64(m.ParameterCount()), "vocabulary": float64(m.Vocabulary), "context": float64(m.Context), "layers": float64(m.Layers), "width": float64(m.Width),
		}
		w.Manifest.Extra = map[string]string{"family": string(m.Family), "head": string(m.Head), "format": "hf"}
		maps.Copy(w.Manifest.Extra, About(source).Card())
		if file.IsGGUF(source) {
			w.Manifest.Extra["format"] = "gguf"
		}
		return nil
	},
	Estimate: func(_ struct{}, in stage.Known) (stage.Estimate, error) {
		f := in["source"]
		f.Published = true
		return stage.Estimate{Leaves: map[string]stage.Facts{"": f}}, nil
	},
	Describe: func(d stage.Done, _ struct{}) (stage.Description, error) {
		return stage.Description{Notes: []string{fmt.Sprintf("%s parameters, family %s, context %s, vocabulary %s.",
			progress.Count(int64(d.Metric("parameters"))), d.Manifest.Extra["family"], progress.Count(int64(d.Metric("context"))), progress.Count(int64(d.Metric("vocabulary"))))}}, nil
	},
})

// FileConfig configures what is exported.
type FileConfig struct {
	Format string `yaml:"format" json:"format" doc:"hf: a folder for transformers; gguf: a file for llama.cpp and ollama" enum:"hf,gguf"`
	Type   string `yaml:"dtype" json:"dtype" doc:"type of the weights: f32, f16, bf16, and of GGUF also those of fewer bits" enum:"f32,f16,bf16,q8_0,q6_k,q5_k_m,q4_1,q4_k_m,q4_0"`
	// MaxTokens is left out where it is the default: what was exported before it was
	// there is not exported again.
	MaxTokens int `yaml:"max_tokens" json:"max_tokens,omitempty" doc:"tokens of the text, from its beginning, that perplexity is measured on; 0: 10,240" min:"0"`
}

// options are those of [Write] for a stage's folder.
func (c FileConfig) options(source, text, folder string) Options {
	return Options{Source: source, Format: c.Format, Type: c.Type, Out: folder, Text: text, MaxTokens: c.MaxTokens}
}

// Validate checks what no single value can say.
func (c FileConfig) Validate() error { return c.options("model", "", "out").Check() }

// Stage exports a model for others' tools into a folder of a run.
var Stage = stage.Define(stage.Definition[FileConfig]{
	Kind: "export", Title: "Export",
	Does:     "Writes a model for others' tools, with a card and a Modelfile, opens it again and compares.",
	Defaults: func() FileConfig { return FileConfig{Format: GGUF, Type: "f32"} },
	Inputs: []stage.Input{
		{Name: "model", Kinds: stage.AnyModel, Required: true, Doc: "the model"},
		{Name: "text", Kinds: stage.Of(stage.Shards, stage.PlainText), Doc: "text on which perplexity before and after is measured: a file, or token shards of the model's vocabulary"},
	},
	Outputs: []stage.Output{{Kind: stage.Export, Doc: "the file or folder, README.md, Modelfile"}},
	Run: func(ctx context.Context, w *stage.Work, c FileConfig) error {
		source := w.In.Path("model")
		m, tok, err := train.LoadModel(w.Engine, source)
		if err != nil {
			return err
		}
		train.WarnAssumed(w, source, tok)
		o := c.options(source, w.In.Path("text"), w.Dir())
		o.Progress = func(done, all int) {
			w.Log.Progress.Show(progress.Line{Label: "export: perplexity windows", Done: int64(done), Total: int64(all)})
		}
		r, err := Write(ctx, m, tok, o)
		w.Log.Progress.Done()
		if r == nil || err != nil {
			return err
		}
		w.Log.Printf("export: %s (%s, %s): weights %s", filepath.Base(r.Path), r.Type, progress.Bytes(r.Bytes), r.Check.Weights)
		w.Manifest.Metrics = artifact.Metrics{"bytes": float64(r.Bytes), "conversations_equal": float64(r.Check.Conversations)}
		if r.Check.Logits > 0 {
			w.Manifest.Metrics["top_token_equal"], w.Manifest.Metrics["divergence"] = r.Check.TopEqual, r.Check.KL
			w.Manifest.Metrics["greedy_equal"] = float64(r.Check.GreedyEqual) / float64(max(1, r.Check.Greedy))
		}
		if cost := r.Check.Cost; cost != nil {
			w.Log.Printf("export: %s", r.Check.CostText())
			w.Manifest.Metrics["perplexity"], w.Manifest.Metrics["model_perplexity"] = cost.After.Perplexity, cost.Before.Perplexity
			w.Manifest.Metrics["perplexity_increase"] = cost.Increase.Value
			if e := cost.Increase; !math.IsInf(e.Low, 0) { // JSON has no infinities
				w.Manifest.Metrics["perplexity_increase/low"], w.Manifest.Metrics["perplexity_increase/high"] = e.Low, e.High
			}
		}
		w.Manifest.Notes = r.Notes
		data, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return fmt.Errorf("encoding the report of the export: %w", err)
		}
		return artifact.WriteFile(w.Path("export.json"), append(data, '\n'))
	},
	Estimate: func(_ FileConfig, in stage.Known) (stage.Estimate, error) { return stage.Estimate{}, nil },
})

// Merge is the stage that adds an adapter to its model.
var Merge = stage.Define(stage.Definition[struct{}]{
	Kind: "merge", Title: "Merge",
	Does: "Adds a low-rank adapter to the model that it was trained on.",
	Inputs: []stage.Input{
		{Name: "base", Kinds: stage.AnyModel, Doc: "the model that the adapter was trained on; by default the one that it names"},
		{Name: "adapter", Kinds: stage.Of(stage.Adapter), Required: true, Doc: "folder of the adapter, in PEFT's layout"},
	},
	Outputs: []stage.Output{{Kind: stage.Model, Doc: "the merged model"}},
	Complete: func(_ struct{}, in stage.Inputs) (stage.Inputs, error) {
		if in.Path("base") != "" {
			return in, nil
		}
		base, err := baseOf(in.Path("adapter"))
		in["base"] = []string{base}
		return in, err
	},
	Verb: &stage.Verb{
		Name:  "merge",
		Short: "Merge a low-rank adapter into its model",
		Long: `Merge a low-rank adapter (LoRA) into the model that it was trained on, giving a
whole model. The adapter is a folder in PEFT's layout: adapter_config.json and
adapter_model.safetensors, as alma leaves it in the folder adapter/ of a stage
that trained one (--set lora_rank=8), and as PEFT saves it. The model is the one
that adapter_config.json names, if --base does not name another. Embeddings and
heads that were adapted or trained whole are merged as well; where they were one
array and no longer agree, the model gets both. A tokenizer that lies beside the
adapter becomes the merged model's (docs/formats/adapter.md).`,
		Examples: []string{
			"alma merge model/adapter --out merged",
			"alma merge peft-adapter --base base --out merged"},
		Positional: "adapter",
	},
	Run: func(_ context.Context, w *stage.Work, _ struct{}) error {
		base := w.In.Path("base")
		m, tok, err := train.LoadModel(w.Engine, base)
		if err != nil {
			return err
		}
		train.WarnAssumed(w, base, tok)
		adapter, before := w.In.Path("adapter"), m.Vocabulary
		if m, err = file.MergeAdapter(m, adapter); err != nil {
			return err
		}
		// Trainers leave the tokenizer that they used, with tokens and a template of its
		// own, beside the adapter.
		switch own, err := file.LoadTokenizer(adapter); {
		case err == nil && own.VocabSize() > m.Vocabulary:
			return artifact.Errorf(artifact.ErrUsage, "opening adapter %s: its tokenizer has %d tokens and the merged model rows for %d; save the embeddings with the adapter (modules_to_save), or take the tokenizer away", adapter, own.VocabSize(), m.Vocabulary)
		case err == nil:
			w.Log.Printf("merge: the tokenizer is the adapter's, with %d tokens", own.VocabSize())
			tok = own
		case !errors.Is(err, fs.ErrNotExist):
			return err
		case m.Vocabulary != before:
			w.Log.Printf("merge: the adapter has rows for %d tokens and its folder no tokenizer; the model's has %d", m.Vocabulary, tok.VocabSize())
		}
		ends := chat.Ends(tok, nil, m.EndTokens()...)
		if m.Head == model.LanguageModel {
			template, err := chat.For(tok)
			if err != nil {
				return fmt.Errorf("%s: %w", base, err)
			}
			ends = chat.Ends(tok, template, m.EndTokens()...)
		}
		return train.SaveModel(w.Dir(), base, m, tok, 1, ends)
	},
	Estimate: func(_ struct{}, in stage.Known) (stage.Estimate, error) {
		return stage.Estimate{Leaves: map[string]stage.Facts{"": in["base"]}}, nil
	},
})

// baseOf returns the model that an adapter's folder names.
func baseOf(adapter string) (string, error) {
	path := filepath.Join(adapter, file.AdapterConfigFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("opening adapter: %w; give the folder that holds it, as adapter/ in that of a stage", err)
	}
	c, err := file.ParseAdapterConfig(path, data)
	if err != nil {
		return "", err
	}
	if c.Base == "" {
		return "", artifact.Errorf(artifact.ErrUsage, "reading %s: it names no model; give --base", path)
	}
	if _, err := os.Stat(c.Base); err != nil {
		return "", fmt.Errorf("opening the model that %s names: %w; give --base", path, err)
	}
	return c.Base, nil
}
