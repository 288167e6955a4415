package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/recipe"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train"
)

// newVerbs lists the verbs: what makes models, of which most are stages, what uses
// them, and what checks.
func newVerbs(c *call) []*cobra.Command {
	make := append([]*cobra.Command{newRunCommand(c), newNewCommand(c), newRecipeCommand(c)}, stageVerbs(c)...)
	return append(make,
		newSampleCommand(c),
		newChatCommand(c),
		newEmbedCommand(c),
		newEvalCommand(c),
		newReportCommand(c),
		newLineageCommand(c),
		newExportCommand(c),

		newVerifyCommand(c),
		newDataCommand(c),
		newReplayCommand(c),
		newBenchCommand(c),
		newDoctorCommand(c),
		newVersionCommand(c),
		newRenderTemplateCommand(),
	)
}

// stageVerbs are the verbs of the stages. One whose name has two words stands below
// a family with other verbs; a family that only stages have is made here.
func stageVerbs(c *call) []*cobra.Command {
	families := map[string]*cobra.Command{
		"corpus": newCorpusCommand(c), "tokenizer": newTokenizerCommand(c), "classify": newClassifyCommand(c),
	}
	var list []*cobra.Command
	for _, s := range recipe.Stages {
		if s.Verb == nil {
			continue
		}
		cmd := newStageCommand(c, s)
		first, _, two := strings.Cut(s.Verb.Name, " ")
		if !two {
			list = append(list, cmd)
			continue
		}
		parent := families[first]
		if parent == nil {
			parent = family(&cobra.Command{Use: first, GroupID: groupMake, Short: s.Verb.Short, Long: s.Does})
			families[first] = parent
		}
		if !slices.Contains(list, parent) {
			list = append(list, parent)
		}
		parent.AddCommand(cmd)
	}
	for _, cmd := range list {
		if cmd.Name() == "reward" {
			cmd.AddCommand(newRewardScoreCommand(c))
		}
	}
	return list
}

// Groups of verbs in the help text.
const (
	groupMake  = "make"
	groupUse   = "use"
	groupCheck = "check"
)

const overview = `alma takes a language model through its whole life, on the cores of one machine:
raw text, a cleaned corpus, a tokenizer, pretraining, fine-tuning on dialogues,
a reward model from rankings, reinforcement learning, measurements, and a chat.

To begin:

  alma doctor                      checks this machine, in some seconds
  alma run recipes/godoc.yaml      the whole life of a small model, in minutes
  alma new                         recipes to begin your own with

Every stage is also a verb of its own. Stages meet through folders on disk, in
the layouts of Hugging Face, so any of them can be given your own data:

  alma corpus build texts/ --out corpus
  alma tokenizer train corpus --vocab 2048 --out tokenizer
  alma pretrain --corpus corpus --tokenizer tokenizer --out base
  alma sft --base base --dialogues dialogues.jsonl --out model
  alma reward --base model --rankings rankings.jsonl --out reward
  alma ppo --policy model --reward reward --prompts prompts.jsonl \
      --text base/shards/train --out aligned
  alma chat aligned

A verb that is interrupted (Ctrl-C, a power cut) goes on where it stopped when
the same command is given again. Exit codes: 0 done, 1 failed, 3 done but some
inputs rejected, 4 usage or configuration, 5 a check not met, 10 not found,
11 folder in use, 12 corrupt file, 13 no space, 20 training diverged,
130 and 143 interrupted.`

func newRootCommand(c *call) *cobra.Command {
	root := &cobra.Command{
		Use:           "alma VERB",
		Short:         "A language model's whole life in one program",
		Long:          overview,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetOut(c.out)
	root.SetErr(os.Stderr)
	root.AddGroup(
		&cobra.Group{ID: groupMake, Title: "Make a model:"},
		&cobra.Group{ID: groupUse, Title: "Use and measure it:"},
		&cobra.Group{ID: groupCheck, Title: "Check the program and the machine:"},
	)
	root.AddCommand(newVerbs(c)...)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		var unknown *pflag.NotExistError
		if errors.As(err, &unknown) {
			var names []string
			cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
			if name := nearest(unknown.GetSpecifiedName(), names); name != "" {
				err = fmt.Errorf("%w; did you mean --%s?", err, name)
			}
		}
		return artifact.Errorf(artifact.ErrUsage, "reading the command line: %w (see %s --help)", err, cmd.CommandPath())
	})
	family(root)
	return root
}

// family makes a command that only has subcommands: without one it shows its
// help, and an unknown one is an error that names the nearest.
func family(cmd *cobra.Command) *cobra.Command {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return unknownVerb(cmd, args[0])
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

// unknownVerb is the error of a word that is no verb below cmd.
func unknownVerb(cmd *cobra.Command, word string) error {
	hint := ""
	if name := nearest(word, verbNames(cmd)); name != "" {
		hint = fmt.Sprintf("; did you mean %s %s?", cmd.CommandPath(), name)
	}
	return artifact.Errorf(artifact.ErrUsage, "reading the command line: unknown verb %q%s (see %s --help)", word, hint, cmd.CommandPath())
}

func verbNames(cmd *cobra.Command) (names []string) {
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	return names
}

// checkVerbs refuses a mistyped verb where cobra would show help or take it for an
// argument: with --help, behind the verb help, and below a verb that does something by
// itself as well (alma reward, alma reward score).
func checkVerbs(root *cobra.Command, args []string) error {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd(args...)
	switch {
	case len(args) > 0 && args[0] == "help":
		args = args[1:]
	case len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd): // what a shell asks, on each key
		return nil
	}
	cmd, rest, err := root.Find(args)
	if err != nil || !cmd.HasSubCommands() {
		return nil // what is wrong is told when it is executed
	}
	if cmd.HasLocalFlags() { // whose values are no verbs
		if len(rest) == 0 || nearest(rest[0], verbNames(cmd)) == "" {
			return nil
		}
		if _, err := os.Stat(rest[0]); err == nil {
			return nil
		}
		return unknownVerb(cmd, rest[0])
	}
	if i := slices.IndexFunc(rest, func(word string) bool { return !strings.HasPrefix(word, "-") }); i >= 0 {
		return unknownVerb(cmd, rest[i])
	}
	return nil
}

// arguments checks the number of arguments; most < 0 is no limit. The usage
// line says what they are.
func arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && (most < 0 || len(args) <= most) {
			return nil
		}
		return artifact.Errorf(artifact.ErrUsage, "reading the command line: %d arguments given; usage: %s", len(args), cmd.UseLine())
	}
}

// required checks that flags are given.
func required(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		f := cmd.Flags().Lookup(name)
		if f.Value.String() == "" || !f.Changed {
			return artifact.Errorf(artifact.ErrUsage, "reading the command line: --%s is missing: %s (see %s --help)", name, f.Usage, cmd.CommandPath())
		}
	}
	return nil
}

// nearest returns the candidate that a mistyped name probably means, "" if
// none is near. The measure is the one that cobra has for commands.
func nearest(name string, candidates []string) string {
	if name == "" {
		return ""
	}
	measure := &cobra.Command{}
	for _, candidate := range candidates {
		measure.AddCommand(&cobra.Command{Use: candidate, Run: func(*cobra.Command, []string) {}})
	}
	for distance := 1; distance <= min(3, max(1, len(name)/2)); distance++ {
		measure.SuggestionsMinimumDistance = distance
		if found := measure.SuggestionsFor(name); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// A call is one run of the program: where it writes, and the flags that
// several verbs share.
type call struct {
	out *output

	threads   int
	precision string
	engine    string
	seed      uint64
	json      bool
	set       []string

	checkpointSteps int
	keepCheckpoints bool

	peak float64 // of the machine in FLOP/s, 0 before it was measured

	// interrupts is where SIGINT goes in place of ending the verb, nil: nowhere.
	interrupts atomic.Pointer[chan struct{}]

	// resumable is set by verbs that go on where they were interrupted.
	resumable bool
}

func newCall() *call { return &call{out: &output{w: os.Stdout}} }

// An output remembers the first error in writing results, so that a verb's
// many small prints need not check it.
type output struct {
	w   io.Writer
	err error
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil && o.err == nil {
		o.err = fmt.Errorf("writing to standard output: %w", err)
	}
	return n, err
}

func (c *call) printf(format string, args ...any) { fmt.Fprintf(c.out, format, args...) }

// printJSON writes one value on one line.
func (c *call) printJSON(v any) error {
	encoder := json.NewEncoder(c.out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

func (c *call) jsonFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&c.json, "json", false, "write the result as JSON")
}

func (c *call) seedFlag(cmd *cobra.Command, usage string) {
	cmd.Flags().Uint64Var(&c.seed, "seed", 0, usage)
}

func (c *call) setFlag(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&c.set, "set", nil, "set a value of the configuration, `KEY=VALUE`; may be repeated")
}

func (c *call) checkpointFlag(cmd *cobra.Command) {
	cmd.Flags().IntVar(&c.checkpointSteps, "checkpoint-steps", 0, "also save a checkpoint after every so many steps; 0: once a minute only")
	cmd.Flags().BoolVar(&c.keepCheckpoints, "keep-checkpoints", false, "keep a finished stage's last checkpoints, with the optimizer's state; by default they are removed once the result is written")
}

// acceptFlag lets keys of model files pass, for the verbs that open models.
func acceptFlag(cmd *cobra.Command) {
	cmd.Flags().Var(acceptKeys{}, "accept-keys", "open models with these `KEYS` of config.json or GGUF metadata, with commas between, that alma does not know: they change nothing")
}

// acceptKeys hands the keys of the flag to the door of the model files.
type acceptKeys struct{}

// String implements pflag.Value.
func (acceptKeys) String() string { return "" }

// Set implements pflag.Value.
func (acceptKeys) Set(keys string) error {
	for key := range strings.SplitSeq(keys, ",") {
		if key = strings.TrimSpace(key); key == "" {
			return errors.New("a key is empty")
		}
		file.Accept(key)
	}
	return nil
}

// Type implements pflag.Value.
func (acceptKeys) Type() string { return "KEYS" }

// machineFlags choose an engine for what has no precision of its own.
func (c *call) machineFlags(cmd *cobra.Command) {
	cmd.Flags().IntVar(&c.threads, "threads", 0, "worker threads; 0: as many as processors. They change no result")
	cmd.Flags().StringVar(&c.engine, "engine", "cpu", "what computes: cpu")
}

func (c *call) engineFlags(cmd *cobra.Command) {
	c.machineFlags(cmd)
	cmd.Flags().StringVar(&c.precision, "precision", "fp32", "of matrix products and attention: fp32, or bf16 (operands rounded to bfloat16, sums and weights of 32 bits)")
}

// newEngine starts the engine that the flags ask for. The caller closes it.
func (c *call) newEngine() (*cpu.Engine, error) {
	options, err := c.engineOptions()
	if err != nil {
		return nil, err
	}
	return cpu.New(options), nil
}

// engineOptions are those of the engine that the flags ask for.
func (c *call) engineOptions() (cpu.Options, error) {
	if c.engine != "cpu" {
		return cpu.Options{}, artifact.Errorf(artifact.ErrUsage, "choosing engine %q: this program has one engine, cpu", c.engine)
	}
	if c.threads < 0 {
		return cpu.Options{}, artifact.Errorf(artifact.ErrUsage, "choosing threads: --threads is %d, want 0 (as many as processors) or more", c.threads)
	}
	if err := kernel.SelectError(); err != nil {
		return cpu.Options{}, artifact.Mark(artifact.ErrUsage, err)
	}
	precision, err := cpu.ParsePrecision(c.precision)
	if err != nil {
		return cpu.Options{}, artifact.Mark(artifact.ErrUsage, err)
	}
	return cpu.Options{Threads: c.threads, Precision: precision, Memory: cpu.MemoryBound()}, nil
}

// openModel opens a model folder, or a GGUF file, with its tokenizer. If it is a
// stage's folder, its files must be there and the weights those that the stage
// wrote.
func openModel(engine compute.Engine, folder string) (*model.Model, *tokenizer.Tokenizer, error) {
	if file.IsGGUF(folder) {
		m, tok, err := train.LoadModel(engine, folder)
		if err == nil {
			warnAssumed(folder, tok)
		}
		return m, tok, err
	}
	const weights = "model.safetensors"
	manifest, err := artifact.Open(folder, false)
	switch {
	case errors.Is(err, artifact.ErrNotFound): // made by others, or a checkpoint
	case err != nil:
		return nil, nil, err
	default:
		for _, f := range manifest.Files {
			if f.Name != weights {
				continue
			}
			path := filepath.Join(folder, weights)
			_, sum, err := artifact.HashFile(path)
			if err != nil {
				return nil, nil, err
			}
			if sum != f.SHA256 {
				return nil, nil, &artifact.CorruptError{Path: path, Reason: "its checksum differs from the manifest's; take the newest checkpoint, or make the model again"}
			}
		}
	}
	return train.LoadModel(engine, folder)
}

// warnAssumed says on standard error what a tokenizer's file leaves open.
func warnAssumed(path string, tok *tokenizer.Tokenizer) {
	if say := tok.Assumed(); say != "" {
		fmt.Fprintf(os.Stderr, "warning: %s: %s\n", path, say)
	}
}

// openTokenizer opens a tokenizer of a folder or a file.
func openTokenizer(path string) (*tokenizer.Tokenizer, error) {
	t, err := file.LoadTokenizer(path)
	if err == nil {
		warnAssumed(path, t)
	}
	return t, err
}

// checkFlags refuses flags that stages cannot run with.
func (c *call) checkFlags(computes bool) error {
	if c.checkpointSteps < 0 {
		return artifact.Errorf(artifact.ErrUsage, "choosing checkpoints: --checkpoint-steps is %d, want 0 (once a minute only) or more", c.checkpointSteps)
	}
	if !computes {
		return nil
	}
	_, err := c.engineOptions()
	return err
}

// environment is what stages run in: a log on standard error and, if it is asked
// for, an engine. The machine's peak is then measured, so that progress can tell the
// share of it that a step reaches. The caller calls stop.
func (c *call) environment(computes bool) (env stage.Environment, stop func(), err error) {
	if err := c.checkFlags(computes); err != nil {
		return env, nil, err
	}
	env = stage.Environment{Log: &progress.Log{Progress: progress.New(os.Stderr)}, CheckpointSteps: c.checkpointSteps, KeepCheckpoints: c.keepCheckpoints}
	if !computes {
		return env, func() {}, nil
	}
	engine, err := c.newEngine()
	if err != nil {
		return env, nil, err
	}
	env.Memory = cpu.MemoryBound()
	env.Engine, env.Log.PeakFLOPS = engine, engine.MeasurePeak()*1e9
	env.Record = map[string]string{
		"engine": engine.Name(), "precision": string(engine.Precision()), "threads": strconv.Itoa(engine.Threads()),
		"machine": runtime.GOOS + "/" + runtime.GOARCH,
	}
	if keys := file.Accepted(); len(keys) > 0 {
		env.Record["accepted_keys"] = strings.Join(keys, ",")
	}
	return env, func() { engine.Close() }, nil
}

// examples indents the lines of an example text as cobra shows it.
func examples(lines ...string) string { return "  " + strings.Join(lines, "\n  ") }
