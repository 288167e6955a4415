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
	"github.com/seed-b72bdb6c/alma/recipe"
	"github.com/seed-b72bdb6c/alma/recipe/godoc"
	"github.com/seed-b72bdb6c/alma/stage"
)

// sections are the parts of a recipe, of which a stage run by itself reads its
// own. The type leaves out the checks between sections that the whole recipe
// has.
type sections godoc.Config

// configure resolves the configuration of a stage: its defaults, the section
// of its name in the recipe that may be the only argument, with what the
// recipe's budget derives, --set, --seed and --precision. A key of --set may leave the
// section's name out.
func (c *call) configure(cmd *cobra.Command, section string, args []string) (sections, error) {
	s := sections(godoc.Defaults())
	options := c.stageOptions(cmd, section)
	if cmd.Flags().Changed("precision") {
		options.Set = append(options.Set, "precision="+c.precision)
	}
	var err error
	if len(args) > 0 {
		options.Derive = godoc.Derive
		_, err = recipe.Load(args[0], &s, options)
	} else {
		_, err = recipe.Parse("defaults", nil, &s, options)
	}
	s = sections(godoc.Config(s).InPrecision())
	c.precision = s.Precision
	return s, err
}

// stageOptions are --set and --seed for the section of a stage.
func (c *call) stageOptions(cmd *cobra.Command, section string) recipe.Options {
	var options recipe.Options
	for _, set := range c.set {
		if !strings.HasPrefix(set, section+".") {
			set = section + "." + set
		}
		options.Set = append(options.Set, set)
	}
	if cmd.Flags().Changed("seed") {
		options.Set = append(options.Set, fmt.Sprintf("%s.seed=%d", section, c.seed))
	}
	return options
}

// A stageFolder is where a stage writes, and what decides its content.
type stageFolder struct {
	out    string
	kind   string            // of the manifest
	config any               // as the stage records it
	inputs map[string]string // paths by the role under which the stage records them
}

// reads adds an input that may be left out: a path of "" is none.
func (f stageFolder) reads(role, path string) {
	if path != "" {
		f.inputs[role] = path
	}
}

// trainStage is stage for work that trains, on the engine that the flags ask for,
// and prints what it left.
func (c *call) trainStage(f stageFolder, work func(env stage.Environment) (*artifact.Manifest, error)) error {
	env, engine, err := c.environment()
	if err != nil {
		return err
	}
	defer engine.Close()
	manifest, err := c.stage(f, func() (*artifact.Manifest, error) { return work(env) })
	return c.finish(f.out, manifest, err)
}

// stage has work fill the folder while this process holds its lock. A folder
// that holds just this work already is left as it is, and one that holds
// other finished work is refused, so that no finished stage is lost to a
// mistyped name.
func (c *call) stage(f stageFolder, work func() (*artifact.Manifest, error)) (manifest *artifact.Manifest, err error) {
	err = c.folder(f.out, f.inputs, func() (err error) {
		if manifest, err = f.finished(); err != nil {
			return err
		}
		if manifest != nil {
			fmt.Fprintf(os.Stderr, "%s: unchanged: %s is complete\n", f.kind, f.out)
			return nil
		}
		manifest, err = work()
		return err
	})
	return manifest, err
}

// folder has work write into the folder out, which is made if missing, while
// this process holds its lock. The inputs, by their roles, must exist and lie
// elsewhere. Work that fails before it wrote anything leaves no trace.
func (c *call) folder(out string, inputs map[string]string, work func() error) (err error) {
	c.resumable = true
	for _, role := range slices.Sorted(maps.Keys(inputs)) {
		if err := checkInput(out, role, inputs[role]); err != nil {
			return err
		}
	}
	// A stage's folder in that of a run is the run's as well.
	folders := []string{out}
	if parent := filepath.Dir(filepath.Clean(out)); godoc.IsRun(parent) {
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

func checkInput(out, role, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("opening %s: %w", role, err)
	}
	if target, err := os.Stat(out); err == nil && os.SameFile(info, target) {
		return artifact.Errorf(artifact.ErrUsage, "choosing --out %s: it is also the %s that the stage reads; give another folder", out, role)
	}
	// What a stage wrote is read only if it is what the stage wrote.
	if info.IsDir() {
		if _, err := artifact.Open(path, true); err != nil && !errors.Is(err, artifact.ErrNotFound) {
			return err
		}
	}
	return nil
}

// finished returns the manifest of this very work, nil if the folder holds
// nothing finished.
func (f stageFolder) finished() (*artifact.Manifest, error) {
	old, err := artifact.Open(f.out, true)
	switch {
	case errors.Is(err, artifact.ErrNotFound):
		return nil, nil
	case errors.Is(err, artifact.ErrCorrupt):
		fmt.Fprintf(os.Stderr, "warning: %v; doing the stage again\n", err)
		return nil, nil
	case err != nil:
		return nil, err
	}
	hashes := map[string]string{}
	for role, path := range f.inputs {
		if hashes[role], err = artifact.HashInput(path); err != nil {
			return nil, err
		}
	}
	want, err := artifact.Fingerprint(f.kind, f.config, hashes)
	if err != nil {
		return nil, err
	}
	if old.Fingerprint == want {
		return old, nil
	}
	why := "made with another configuration"
	config, err := artifact.Fingerprint(f.kind, f.config, nil)
	if err != nil {
		return nil, err
	}
	oldConfig, err := artifact.Fingerprint(old.Kind, old.Config, nil)
	if err != nil {
		return nil, err
	}
	if config == oldConfig {
		why = "made from other inputs"
	}
	return nil, artifact.Errorf(artifact.ErrUsage, "choosing --out %s: it holds a finished %s %s; give another folder, or delete this one to begin again", f.out, old.Kind, why)
}

// finish prints what a stage left, unless it failed.
func (c *call) finish(out string, m *artifact.Manifest, err error) error {
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(struct {
			Folder string `json:"folder"`
			*artifact.Manifest
		}{out, m})
	}
	c.printf("%s: wrote %s\n", m.Kind, out)
	for _, name := range slices.Sorted(maps.Keys(m.Metrics)) {
		c.printf("  %-28s %.6g\n", name, m.Metrics[name])
	}
	for _, note := range m.Notes {
		c.printf("  %s\n", note)
	}
	return nil
}

// stageFlags adds the flags of every training stage.
func (c *call) stageFlags(cmd *cobra.Command) {
	c.checkpointFlag(cmd)
	c.setFlag(cmd)
	c.seedFlag(cmd, "seed of the stage, as --set seed=N")
	c.engineFlags(cmd)
	c.jsonFlag(cmd)
}

// describe lists the keys of a stage's configuration with their defaults.
func describe[C any](defaults C) string {
	fields, err := recipe.Describe(&defaults)
	if err != nil {
		panic(err) // a tag in the program is wrong
	}
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
