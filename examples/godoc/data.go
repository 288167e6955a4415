package godoc

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/corpus"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
)

// CorpusConfig configures the corpus.
type CorpusConfig struct {
	GOROOT     string  `yaml:"goroot" json:"goroot" doc:"Go installation to read; empty: the one that go env GOROOT names"`
	MaxBytes   int64   `yaml:"max_bytes" json:"max_bytes" doc:"keep the files richest in comments up to so many bytes; 0: all" min:"0"`
	Validation float64 `yaml:"validation" json:"validation" doc:"share of the packages that settings are chosen on" min:"0" max:"0.5"`
	Test       float64 `yaml:"test" json:"test" doc:"share of the packages that only the evaluation reads" min:"0" max:"0.5"`
}

func (c CorpusConfig) shares() corpus.Shares {
	return corpus.Shares{Validation: c.Validation, Test: c.Test}
}

// Validate checks what no single value can say.
func (c CorpusConfig) Validate() error { return c.shares().Check() }

// DefaultCorpus is a corpus that two cores learn in minutes.
func DefaultCorpus() CorpusConfig {
	return CorpusConfig{MaxBytes: 16 << 20, Validation: .03, Test: .05}
}

// CorpusStage writes the Go tree's text, split by package.
var CorpusStage = stage.Define(stage.Definition[CorpusConfig]{
	Kind: "godoc-corpus", Title: "Corpus",
	Does:     "Reads the Go files of a Go installation without tests, testdata and generated files, drops exact duplicates, keeps the files richest in comments, and holds packages out by a hash of their import path.",
	Defaults: DefaultCorpus,
	Outputs:  []stage.Output{{Kind: stage.Corpus, Doc: "the files of each split"}},
	NoEngine: true,
	Also:     goReads,
	Run: func(ctx context.Context, w *stage.Work, c CorpusConfig) error {
		source, err := NewSource(Options{Root: c.GOROOT, MaxBytes: c.MaxBytes})
		if err != nil {
			return err
		}
		shares := c.shares()
		if err := corpus.WriteStage(ctx, w, []corpus.Source{source}, corpus.Options{Shares: &shares}); err != nil {
			return err
		}
		root, err := FindRoot(c.GOROOT)
		if err != nil {
			return err
		}
		w.Manifest.Extra = map[string]string{"go": Version(root)}
		return nil
	},
	Estimate: func(c CorpusConfig, _ stage.Known) (stage.Estimate, error) {
		bytes := c.MaxBytes
		if bytes == 0 {
			bytes = assumedTree
		}
		return stage.Estimate{Seconds: secondsOfTree, Leaves: map[string]stage.Facts{"": {Bytes: int64((1 - c.Validation - c.Test) * float64(bytes))}}}, nil
	},
	Describe: func(d stage.Done, _ CorpusConfig) (stage.Description, error) {
		out, err := corpus.Describe(d.Folder)
		out.Notes = append(out.Notes, "The text is that of "+d.Manifest.Extra["go"]+".")
		return out, err
	},
	Verb: &stage.Verb{
		Name:  "corpus godoc",
		Short: "Make a corpus of the source text of a Go installation",
		Long: `Read the source tree of a Go installation as a corpus: no tests, testdata,
vendored or generated files, richest in comments first. The split of a file is
decided by a hash of its import path.`,
		Examples: []string{"alma corpus godoc --set max_bytes=20000000 --out corpus"},
	},
})

// What is assumed of Go 1.26's tree before it is read.
const (
	assumedTree      = 60 << 20 // bytes that are taken of it
	secondsOfTree    = 3.0
	assumedPrompt    = 48.0  // tokens of a prompt
	assumedAnswer    = 26.0  // tokens of an answer, its end included
	assumedFunctions = 13300 // training dialogues
	assumedHeldOut   = 450   // functions of the test packages
	assumedDemos     = 280   // validation dialogues
	assumedPrompts   = 27000 // with and without comment
)

// goReads is what is recorded of the Go installation that a stage reads: the
// file that says which version it is, if it has one.
func goReads(c CorpusConfig) map[string]string {
	reads := map[string]string{}
	if root, err := FindRoot(c.GOROOT); err == nil { // else the stage itself says so
		path := filepath.Join(root, "VERSION")
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			reads["go"] = path
		}
	}
	return reads
}

// DialoguesConfig configures the dialogues.
type DialoguesConfig struct {
	MaxAnswer int `yaml:"max_answer" json:"max_answer" doc:"longest answer in tokens; a comment is cut after its last whole sentence that fits" min:"1"`
	MaxPrompt int `yaml:"max_prompt" json:"max_prompt" doc:"longest prompt in tokens; longer ones are left out and counted" min:"1"`
}

// Functions is the kind of the dialogues' folder itself: functions of held-out
// packages, and the words that the rule knows.
const FunctionsKind stage.Kind = "Go functions"

// DialoguesStage turns functions into dialogues and prompts.
var DialoguesStage = stage.Define(stage.Definition[DialoguesConfig]{
	Kind: "godoc-dialogues", Title: "Dialogues",
	Does:     "Turns the documented functions of the training packages into dialogues: a declaration, and as many whole sentences of its comment's first paragraph as fit.",
	Defaults: func() DialoguesConfig { return DialoguesConfig{MaxAnswer: 60, MaxPrompt: 120} },
	Inputs: []stage.Input{
		{Name: "corpus", Kinds: stage.Of(stage.Corpus), Required: true, Doc: "what godoc-corpus made: which Go installation, and which packages are held out"},
		{Name: "tokenizer", Kinds: stage.Of(stage.Tokenizer, stage.Model), Required: true, Doc: "what counts the tokens of prompts and answers"},
	},
	Outputs: []stage.Output{
		{Part: "train", Path: trainFile, Kind: stage.Dialogues, Doc: "dialogues of the training packages"},
		{Part: "validation", Path: validationFile, Kind: stage.Dialogues, Doc: "dialogues of the validation packages"},
		{Part: "prompts", Path: promptsFile, Kind: stage.Prompts, Doc: "prompts of the training packages, with and without comment"},
		{Part: "functions", Kind: FunctionsKind, Doc: "functions of held-out packages, and the rule's vocabulary"},
	},
	NoEngine: true,
	Run:      makeDialogues,
	Estimate: func(c DialoguesConfig, _ stage.Known) (stage.Estimate, error) {
		facts := func(rows int64) stage.Facts { return stage.Facts{Rows: rows, RowTokens: assumedPrompt + assumedAnswer} }
		return stage.Estimate{Seconds: 5, Leaves: map[string]stage.Facts{
			"train": facts(assumedFunctions), "validation": facts(assumedDemos), "prompts": facts(assumedPrompts), "functions": facts(assumedHeldOut),
		}}, nil
	},
	Describe: func(d stage.Done, c DialoguesConfig) (stage.Description, error) {
		count := func(name string) string { return progress.Count(int64(d.Metric(name))) }
		return stage.Description{Notes: []string{
			fmt.Sprintf("%s documented functions for training, %s for validation, %s held out for the test; %s undocumented ones serve as prompts too.",
				count("train/documented"), count("validation/documented"), count("test/documented"), count("train/undocumented")),
			fmt.Sprintf("Left out of training: %s prompts of documented functions and %s of undocumented ones that are longer than %d tokens, %s answers without a whole sentence in %d tokens.",
				count("train/documented_prompts_too_long"), count("train/undocumented_prompts_too_long"), c.MaxPrompt, count("train/answers_too_long"), c.MaxAnswer),
		}}, nil
	},
})

// ofStage reads the configuration with which a stage of this package made a
// folder.
func ofStage[C any](folder, kind string) (c C, err error) {
	m, err := artifact.Open(folder, false)
	if err != nil {
		return c, err
	}
	if m.Kind != kind {
		return c, artifact.Errorf(artifact.ErrUsage, "reading %s: it was made by a stage %s; give what %s made", folder, m.Kind, kind)
	}
	if err := json.Unmarshal(m.Config, &c); err != nil {
		return c, artifact.Mark(artifact.ErrCorrupt, fmt.Errorf("reading the configuration of %s: %w", folder, err))
	}
	return c, nil
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
func makeDialogues(ctx context.Context, w *stage.Work, c DialoguesConfig) error {
	read, err := ofStage[CorpusConfig](w.In.Path("corpus"), CorpusStage.Kind)
	if err != nil {
		return err
	}
	t, err := file.LoadTokenizer(w.In.Path("tokenizer"))
	if err != nil {
		return err
	}
	template, err := chat.For(t)
	if err != nil {
		return err
	}
	set, err := Functions(ctx, Options{Root: read.GOROOT})
	if err != nil {
		return err
	}
	fits := func(name string) func(string) bool {
		return func(text string) bool {
			return len(t.Encode(strings.TrimPrefix(text, name))) < c.MaxAnswer // and the end token
		}
	}
	metrics := artifact.Metrics{}
	// usable cuts the comments and drops what does not fit.
	usable := func(split corpus.Split, fns []Function, documented bool) ([]Function, error) {
		var kept []Function
		var longPrompts, longAnswers float64
		for _, f := range fns {
			ids, err := dataset.UserPrompt(f.Prompt(), f.Prefill()).Render(template)
			if err != nil {
				return nil, fmt.Errorf("making dialogues: %s: %w", f.File, err)
			}
			if len(ids) > c.MaxPrompt {
				longPrompts++
				continue
			}
			if documented {
				if f.Doc = Fitting(f.Doc, fits(f.Name)); f.Doc == "" || f.Answer() == "" {
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
	var training []Function
	for _, split := range corpus.Splits {
		part := set.In(split, read.shares())
		documented, err := usable(split, part.Documented, true)
		if err != nil {
			return err
		}
		switch split {
		case corpus.Train:
			training = documented
			undocumented, err := usable(split, part.Undocumented, false)
			if err != nil {
				return err
			}
			if err := dataset.WriteDialogues(w.Path(trainFile), dialogues(documented)); err != nil {
				return err
			}
			if err := dataset.WritePrompts(w.Path(promptsFile), prompts(append(documented[:len(documented):len(documented)], undocumented...))); err != nil {
				return err
			}
		case corpus.Validation:
			if err := dataset.WriteDialogues(w.Path(validationFile), dialogues(documented)); err != nil {
				return err
			}
			fallthrough
		default:
			if err := dataset.WriteLines(w.Path(heldOutFile(split)), documented); err != nil {
				return err
			}
		}
	}
	vocabulary, err := json.Marshal(NewRule(Comments(training)).Vocabulary())
	if err != nil {
		return fmt.Errorf("encoding the rule's vocabulary: %w", err)
	}
	if err := artifact.WriteFile(w.Path(vocabularyFile), vocabulary); err != nil {
		return err
	}
	w.Log.Printf("dialogues: %s for training, %s for validation, %s held out for the test; %s more prompts without a comment",
		count(metrics["train/documented"]), count(metrics["validation/documented"]), count(metrics["test/documented"]), count(metrics["train/undocumented"]))
	w.Manifest.Metrics = metrics
	return nil
}

func count(n float64) string { return progress.Count(int64(n)) }

func dialogues(fns []Function) []chat.Dialogue {
	chats := make([]chat.Dialogue, len(fns))
	for i, f := range fns {
		// The whole comment is learned, its first words too: they are given
		// when answers are sampled to be ranked, but not in a chat.
		chats[i] = chat.Dialogue{Messages: []chat.Message{
			{Role: chat.User, Content: f.Prompt()},
			{Role: chat.Assistant, Content: f.Prefill() + f.Answer()},
		}}
	}
	return chats
}

func prompts(fns []Function) []dataset.Prompt {
	out := make([]dataset.Prompt, len(fns))
	for i, f := range fns {
		out[i] = prompt(f)
	}
	return out
}

func prompt(f Function) dataset.Prompt { return dataset.UserPrompt(f.Prompt(), f.Prefill()) }

// loadRule restores the rule from the dialogues stage.
func loadRule(folder string) (*Rule, error) {
	path := filepath.Join(folder, vocabularyFile)
	var words []string
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &words)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the rule's vocabulary %s: %w", path, err)
	}
	return RuleFromVocabulary(words), nil
}
