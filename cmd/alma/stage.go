package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/corpus"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/recipe"
	"github.com/seed-b72bdb6c/alma/report"
	"github.com/seed-b72bdb6c/alma/stage"
)

// newStageCommand is the verb of a stage, made of what the stage says of itself.
func newStageCommand(c *call, s *stage.Stage) *cobra.Command {
	config := s.Config()
	fields, err := recipe.Describe(config)
	if err != nil {
		panic(err) // a tag in the program is wrong
	}
	words := strings.Fields(s.Verb.Name)
	use := words[len(words)-1:]
	var positional *stage.Input
	if s.Verb.Positional == "" {
		use = append(use, "[RECIPE]")
	}
	for _, in := range s.Inputs {
		switch {
		case in.Name == s.Verb.Positional:
			positional = &in
			name := strings.ToUpper(in.Name)
			if in.Many {
				name = strings.TrimSuffix(name, "S") + "..."
			}
			use = append(use, name)
		case in.Required:
			use = append(use, "--"+in.Name+" "+inputWord(in))
		}
	}
	long := s.Verb.Long
	if len(fields) > 0 {
		where := "The configuration, with --set for single keys:"
		if positional == nil {
			where = fmt.Sprintf("The configuration is that of the stage with use: %s in a recipe, or the defaults,\nwith --set for single keys:", s.Kind)
		}
		long += "\n\n" + where + "\n\n" + describeFields(fields)
	}
	if s.Verb.After != "" {
		long = strings.TrimSuffix(long, "\n") + "\n\n" + s.Verb.After
	}
	var out string
	var check bool
	given := map[string]*[]string{}
	cmd := &cobra.Command{
		Use: strings.Join(append(use, "--out DIR"), " "), Short: s.Verb.Short, Long: strings.TrimSuffix(long, "\n"), Example: examples(s.Verb.Examples...),
		Args: arguments(0, 1),
	}
	if len(words) == 1 {
		cmd.GroupID = groupMake
	}
	switch {
	case positional != nil && positional.Many:
		cmd.Args = arguments(1, -1)
	case positional != nil:
		cmd.Args = arguments(1, 1)
	}
	for _, in := range s.Inputs {
		if in.Name == s.Verb.Positional {
			continue
		}
		given[in.Name] = new([]string)
		usage := in.Doc
		if in.Many {
			usage += "; may be repeated"
		}
		cmd.Flags().Var(&inputFlag{given[in.Name], inputWord(in), in.Many}, in.Name, usage)
	}
	seeded := false
	for _, f := range fields {
		seeded = seeded || f.Key == "seed"
		for flag, key := range s.Verb.Flags {
			if key != f.Key {
				continue
			}
			cmd.Flags().String(flag, f.Default, f.Doc+", as --set "+key+"=VALUE")
			if f.Allowed == "true or false" {
				cmd.Flags().Lookup(flag).NoOptDefVal = "true"
			}
		}
	}
	for _, f := range fields {
		if flag, ok := readingKeys[f.Key]; ok {
			cmd.Flags().String(flag, strings.Trim(f.Default, `"`), f.Doc+", as --set "+f.Key+"=VALUE")
		}
	}
	cmd.Flags().StringVar(&out, "out", "", "`DIR` to fill")
	if len(s.Charts) > 0 {
		c.checkpointFlag(cmd)
	}
	if len(fields) > 0 {
		c.setFlag(cmd)
	}
	if seeded {
		c.seedFlag(cmd, "seed of the stage, as --set seed=N")
	}
	if slices.ContainsFunc(s.Inputs, func(in stage.Input) bool { return slices.ContainsFunc(in.Kinds, isModel) }) {
		acceptFlag(cmd)
	}
	if !s.NoEngine {
		c.engineFlags(cmd)
	}
	c.jsonFlag(cmd)
	if s.HasCheck() {
		cmd.Flags().BoolVar(&check, "check", false, "read all files of rows, report what they hold and what is wrong, and do nothing else")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		in := stage.Inputs{}
		path := ""
		if positional != nil {
			in[positional.Name] = args
		} else if len(args) > 0 {
			path = args[0]
		}
		set := slices.Clone(c.set)
		for flag, key := range s.Verb.Flags {
			if f := cmd.Flags().Lookup(flag); f.Changed {
				set = append(set, key+"="+f.Value.String())
			}
		}
		for key, flag := range readingKeys {
			if f := cmd.Flags().Lookup(flag); f != nil && f.Changed {
				set = append(set, key+"="+f.Value.String())
			}
		}
		if cmd.Flags().Changed("seed") {
			set = append(set, fmt.Sprintf("seed=%d", c.seed))
		}
		if cmd.Flags().Changed("precision") {
			set = append(set, "precision="+c.precision)
		}
		step, precision, err := recipe.Single(s, path, set)
		if err != nil {
			return err
		}
		c.precision = precision
		for _, i := range s.Inputs {
			if paths := given[i.Name]; paths != nil {
				if len(*paths) > 0 {
					in[i.Name] = *paths
				} else if more := step.Paths(i.Name); len(more) > 0 {
					in[i.Name] = more
				}
			}
			if i.Required && len(in[i.Name]) == 0 {
				return artifact.Errorf(artifact.ErrUsage, "reading the command line: --%s is missing: %s (see %s --help)", i.Name, i.Doc, cmd.CommandPath())
			}
		}
		job := &stage.Job{Name: s.Kind, Stage: s, Config: step.Config, In: in, Out: out}
		if check {
			if err := job.CheckInputs(); err != nil {
				return err
			}
			var bad []error
			err := job.Check(cmd.Context(), func(found fmt.Stringer) {
				if a, ok := found.(*dataset.Account); ok {
					bad = append(bad, told(a))
				}
			})
			if err != nil {
				return err
			}
			c.printf("%s: the inputs can be read\n", s.Kind)
			return errors.Join(bad...)
		}
		if err := required(cmd, "out"); err != nil {
			return err
		}
		return c.runStage(cmd, job, step)
	}
	return cmd
}

// readingKeys are the keys that say how files of rows are read, and the flags that
// every verb has for them.
var readingKeys = map[string]string{"bad_rows": "bad-rows", "format": "format", "map": "map"}

func isModel(k stage.Kind) bool { return slices.Contains(stage.AnyModel, k) }

// inputWord is the placeholder of an input in help: what it may be.
func inputWord(in stage.Input) string {
	for _, k := range in.Kinds {
		switch k {
		case stage.Dialogues, stage.Prompts, stage.Rankings, stage.Answers, stage.LabelledText, stage.PlainText:
			return "FILE"
		}
	}
	return "DIR"
}

// inputFlag gives the paths of an input.
type inputFlag struct {
	paths *[]string
	word  string
	many  bool
}

// String implements pflag.Value.
func (f *inputFlag) String() string {
	if f.paths == nil {
		return ""
	}
	return strings.Join(*f.paths, ", ")
}

// Set implements pflag.Value.
func (f *inputFlag) Set(path string) error {
	if f.many {
		*f.paths = append(*f.paths, path)
	} else {
		*f.paths = []string{path}
	}
	return nil
}

// Type implements pflag.Value: what help shows after the flag.
func (f *inputFlag) Type() string { return f.word }

// runStage runs a stage by itself. A folder that holds just this work already is
// left as it is, and one that holds other finished work is refused, so that no
// finished stage is lost to a mistyped name. The step, whose configuration is the job's,
// chooses what nobody set.
func (c *call) runStage(cmd *cobra.Command, job *stage.Job, step *recipe.Step) error {
	if err := c.checkFlags(!job.Stage.NoEngine); err != nil {
		return err
	}
	if err := job.CheckPaths(); err != nil {
		return err
	}
	var m *artifact.Manifest
	err := c.folder(job.Out, func() error {
		// What a person brought is read before weights are hashed and loaded: that takes
		// longer.
		if err := job.Check(cmd.Context(), nil); err != nil {
			return err
		}
		env, stop, err := c.environment(!job.Stage.NoEngine)
		if err != nil {
			return err
		}
		defer stop()
		if err := job.CheckInputs(); err != nil {
			return err
		}
		known := recipe.Known(job.In, job.Config)
		chosen, err := step.Derive(known, env.Memory)
		if err != nil {
			return err
		}
		standing, err := job.Standing()
		switch {
		case errors.Is(err, artifact.ErrCorrupt):
			fmt.Fprintf(os.Stderr, "warning: %v; doing the stage again\n", err)
		case err != nil:
			return err
		case standing.Unchanged():
			fmt.Fprintf(os.Stderr, "%s: unchanged: %s is complete\n", job.Name, job.Out)
			m = standing.Manifest
			if _, err := artifact.CleanTemporaries(job.Out); err != nil {
				return err
			}
			job.Tidy(m, env)
			return nil
		case standing.Complete():
			return artifact.Errorf(artifact.ErrUsage, "choosing --out %s: it holds a finished %s made otherwise: %s; give another folder, or delete this one to begin again", job.Out, standing.Manifest.Kind, strings.Join(standing.Changed, "; "))
		}
		for _, line := range chosen {
			env.Log.Printf("%s: %s", job.Name, line)
		}
		if text := recipe.Foretell(job.Stage, job.Config, known, env.Log.PeakFLOPS); text != "" {
			env.Log.Printf("%s: %s", job.Name, text)
		}
		m, err = job.RunLocked(cmd.Context(), env)
		if err == nil && len(job.Stage.Charts) > 0 {
			_, err = recipe.WriteReport(job.Out, job.Out)
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.finish(job, m)
}

// folder has work write into the folder out, which is made if missing, while
// this process holds its lock. Work that fails before it wrote anything leaves no
// trace.
func (c *call) folder(out string, work func() error) (err error) {
	c.resumable = true
	// A stage's folder in that of a run is the run's as well.
	folders := []string{out}
	if parent := filepath.Dir(filepath.Clean(out)); recipe.IsRun(parent) {
		folders = []string{parent, out}
	}
	for _, folder := range folders {
		claim, failed := artifact.MakeAndLock(folder)
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, claim.End(err)) }()
	}
	return work()
}

// finish prints what a stage left.
func (c *call) finish(job *stage.Job, m *artifact.Manifest) error {
	out := job.Out
	if report, err := corpus.ReadReport(out); err == nil && slices.ContainsFunc(job.Stage.Outputs(job.Config), func(o stage.Output) bool { return o.Kind == stage.Corpus }) {
		if err := c.printReport(out, report); err != nil {
			return err
		}
		return report.Rejected()
	}
	if c.json {
		return errors.Join(c.printJSON(struct {
			Folder string `json:"folder"`
			*artifact.Manifest
		}{out, m}), leftOut(m.Rejected))
	}
	c.printf("%s: wrote %s\n", m.Kind, out)
	for _, name := range slices.Sorted(maps.Keys(m.Metrics)) {
		c.printf("  %-28s %.6g\n", name, m.Metrics[name])
	}
	for _, note := range m.Notes {
		c.printf("  %s\n", note)
	}
	if len(job.Stage.Charts) > 0 {
		c.printf("report  %s\n", filepath.Join(out, report.HTMLFile))
	}
	return leftOut(m.Rejected)
}

// describeFields lists the keys of a configuration with their defaults.
func describeFields(fields []recipe.Field) string {
	key, value := 13, 11
	for _, f := range fields {
		key, value = max(key, len(f.Key)), max(value, len(f.Default))
	}
	indent := 4 + key + value
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, "  %-*s %-*s", key, f.Key, value, f.Default)
		column := indent - 1
		for _, word := range strings.Fields(f.Doc) {
			if n := len([]rune(word)); column+1+n > helpColumns {
				fmt.Fprintf(&b, "\n%*s%s", indent, "", word)
				column = indent + n
			} else {
				b.WriteString(" " + word)
				column += 1 + n
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// helpColumns is the width of help texts.
const helpColumns = 100
