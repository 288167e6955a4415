package godoc

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"path/filepath"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/corpus"
	"github.com/seed-b72bdb6c/alma/corpus/godoc"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// buildCorpus writes the Go tree's text, split by package.
func buildCorpus(ctx context.Context, env stage.Environment, c CorpusConfig, out string) (*artifact.Manifest, error) {
	stage, err := artifact.Begin(out, "corpus", c)
	if err != nil {
		return nil, err
	}
	if err := addInputs(stage, goReads(c)); err != nil {
		return nil, err
	}
	source, err := godoc.NewSource(godoc.Options{Root: c.GOROOT, MaxBytes: c.MaxBytes})
	if err != nil {
		return nil, err
	}
	shares := c.shares()
	report, err := corpus.Build(ctx, []corpus.Source{source}, corpus.Options{Out: out, Shares: &shares})
	if err != nil {
		return nil, err
	}
	stage.Manifest.Metrics = artifact.Metrics{}
	for _, s := range report.Splits {
		env.Log.Printf("corpus: %s: %s files, %s, %s packages", s.Split, progress.Count(int64(s.Documents)), progress.Bytes(s.Bytes), progress.Count(int64(s.Groups)))
		stage.Manifest.Metrics[string(s.Split)+"/documents"] = float64(s.Documents)
		stage.Manifest.Metrics[string(s.Split)+"/bytes"] = float64(s.Bytes)
	}
	root, err := godoc.FindRoot(c.GOROOT)
	if err != nil {
		return nil, err
	}
	stage.Manifest.Extra = map[string]string{"go": godoc.Version(root)}
	return stage.Finish()
}

// addInputs records what a stage reads, by role.
func addInputs(stage *artifact.Stage, paths map[string]string) error {
	for role, path := range paths {
		if err := stage.AddInput(role, path); err != nil {
			return err
		}
	}
	return nil
}

// trainTokenizer learns the vocabulary from the training split.
func trainTokenizer(ctx context.Context, env stage.Environment, c TokenizerConfig, from, out string) (*artifact.Manifest, error) {
	stage, err := artifact.Begin(out, "tokenizer", c)
	if err != nil {
		return nil, err
	}
	if err := stage.AddInput("corpus", from); err != nil {
		return nil, err
	}
	report, err := corpus.ReadReport(from)
	if err != nil {
		return nil, err
	}
	t, stats, err := tokenizer.Train(ctx, texts(filepath.Join(from, report.Of(corpus.Train).File)), tokenizer.Options{
		VocabSize: c.Vocabulary,
		Progress: func(done, total int) {
			env.Log.Progress.Show(progress.Line{Label: "tokenizer merges", Done: int64(done), Total: int64(total)})
		},
	})
	env.Log.Progress.Done()
	if err != nil {
		return nil, err
	}
	files, err := t.Files()
	if err != nil {
		return nil, err
	}
	for name, data := range files {
		if err := artifact.WriteFile(stage.Path(name), data); err != nil {
			return nil, err
		}
	}
	env.Log.Printf("tokenizer: %s tokens from %s of text", progress.Count(int64(t.VocabSize())), progress.Bytes(stats.Bytes))
	stage.Manifest.Metrics = artifact.Metrics{"vocabulary": float64(t.VocabSize()), "bytes": float64(stats.Bytes)}
	return stage.Finish()
}

func texts(path string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for doc, err := range corpus.Documents(path) {
			if !yield(doc.Text, err) {
				return
			}
		}
	}
}

// Files of the dialogues stage.
const (
	trainFile      = "train.jsonl"
	validationFile = "validation.jsonl"
	promptsFile    = "prompts.jsonl"   // training prompts for rankings and PPO
	vocabularyFile = "vocabulary.json" // words that the rule knows
)

// heldOutFile holds the functions that a split is evaluated on.
func heldOutFile(split corpus.Split) string { return "functions-" + string(split) + ".jsonl" }

// makeDialogues turns functions into dialogues: the first paragraph of the
// comment, as many whole sentences as fit, is what the assistant answers; it
// is given the first words, "// Name".
func makeDialogues(ctx context.Context, env stage.Environment, c Config, tok, out string) (*artifact.Manifest, error) {
	config := map[string]any{"dialogues": c.Dialogues, "corpus": c.Corpus}
	stage, err := artifact.Begin(out, "dialogues", config)
	if err != nil {
		return nil, err
	}
	reads := goReads(c.Corpus)
	reads["tokenizer"] = tok
	if err := addInputs(stage, reads); err != nil {
		return nil, err
	}
	t, err := tokenizer.Load(tok)
	if err != nil {
		return nil, err
	}
	set, err := godoc.Functions(ctx, godoc.Options{Root: c.Corpus.GOROOT})
	if err != nil {
		return nil, err
	}
	fits := func(name string) func(string) bool {
		return func(text string) bool {
			return len(t.Encode(strings.TrimPrefix(text, name))) < c.Dialogues.MaxAnswer // and the end token
		}
	}
	metrics := artifact.Metrics{}
	// usable cuts the comments and drops what does not fit.
	usable := func(split corpus.Split, fns []godoc.Function, documented bool) ([]godoc.Function, error) {
		var kept []godoc.Function
		var longPrompts, longAnswers float64
		for _, f := range fns {
			ids, err := t.RenderPrompt(dataset.UserPrompt(f.Prompt(), "").Messages, f.Prefill())
			if err != nil {
				return nil, fmt.Errorf("making dialogues: %s: %w", f.File, err)
			}
			if len(ids) > c.Dialogues.MaxPrompt {
				longPrompts++
				continue
			}
			if documented {
				if f.Doc = godoc.Fitting(f.Doc, fits(f.Name)); f.Doc == "" || f.Answer() == "" {
					longAnswers++
					continue
				}
			}
			kept = append(kept, f)
		}
		kind := string(split) + "/undocumented"
		if documented {
			kind = string(split) + "/documented"
			metrics[string(split)+"/answers_too_long"] = longAnswers
		}
		metrics[kind] = float64(len(kept))
		metrics[kind+"_prompts_too_long"] = longPrompts
		return kept, nil
	}
	var training []godoc.Function
	for _, split := range corpus.Splits {
		part := set.In(split, c.Corpus.shares())
		documented, err := usable(split, part.Documented, true)
		if err != nil {
			return nil, err
		}
		switch split {
		case corpus.Train:
			training = documented
			undocumented, err := usable(split, part.Undocumented, false)
			if err != nil {
				return nil, err
			}
			if err := dataset.WriteDialogues(stage.Path(trainFile), dialogues(documented)); err != nil {
				return nil, err
			}
			if err := dataset.WritePrompts(stage.Path(promptsFile), prompts(append(documented[:len(documented):len(documented)], undocumented...))); err != nil {
				return nil, err
			}
		case corpus.Validation:
			if err := dataset.WriteDialogues(stage.Path(validationFile), dialogues(documented)); err != nil {
				return nil, err
			}
			fallthrough
		default:
			if err := artifact.WriteJSONL(stage.Path(heldOutFile(split)), sliceOf(documented)); err != nil {
				return nil, err
			}
		}
	}
	vocabulary, err := json.Marshal(godoc.NewRule(godoc.Comments(training)).Vocabulary())
	if err != nil {
		return nil, fmt.Errorf("encoding the rule's vocabulary: %w", err)
	}
	if err := artifact.WriteFile(stage.Path(vocabularyFile), vocabulary); err != nil {
		return nil, err
	}
	env.Log.Printf("dialogues: %s for training, %s for validation, %s held out for the test; %s more prompts without a comment",
		count(metrics["train/documented"]), count(metrics["validation/documented"]), count(metrics["test/documented"]), count(metrics["train/undocumented"]))
	stage.Manifest.Metrics = metrics
	return stage.Finish()
}

func count(n float64) string { return progress.Count(int64(n)) }

func dialogues(fns []godoc.Function) []tokenizer.Chat {
	chats := make([]tokenizer.Chat, len(fns))
	for i, f := range fns {
		// The whole comment is learned, its first words too: they are given
		// when answers are sampled to be ranked, but not in a chat.
		chats[i] = tokenizer.Chat{Messages: []tokenizer.Message{
			{Role: tokenizer.User, Content: f.Prompt()},
			{Role: tokenizer.Assistant, Content: f.Prefill() + f.Answer()},
		}}
	}
	return chats
}

func prompts(fns []godoc.Function) []dataset.Prompt {
	out := make([]dataset.Prompt, len(fns))
	for i, f := range fns {
		out[i] = prompt(f)
	}
	return out
}

func prompt(f godoc.Function) dataset.Prompt { return dataset.UserPrompt(f.Prompt(), f.Prefill()) }

func sliceOf[T any](values []T) iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, v := range values {
			if !yield(v) {
				return
			}
		}
	}
}

// loadRule restores the rule from the dialogues stage.
func loadRule(folder string) (*godoc.Rule, error) {
	path := filepath.Join(folder, vocabularyFile)
	var words []string
	data, err := readFile(path)
	if err == nil {
		err = json.Unmarshal(data, &words)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the rule's vocabulary %s: %w", path, err)
	}
	return godoc.RuleFromVocabulary(words), nil
}
