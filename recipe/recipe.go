package recipe

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/stage"
)

// Head is what stands at the top of a recipe beside its stages.
type Head struct {
	Name  string `yaml:"name" json:"name" doc:"name of the run, its folder under runs/"`
	Title string `yaml:"title" json:"title,omitempty" doc:"of the report"`
	About string `yaml:"about" json:"about,omitempty" doc:"what the recipe does, in a sentence or two"`

	Seed      uint64        `yaml:"seed" json:"seed" doc:"of everything random; a stage's own seed is added to it"`
	Precision string        `yaml:"precision" json:"precision" doc:"of matrix products and attention: fp32, or bf16 beside weights of 32 bits" enum:"fp32,bf16"`
	Budget    time.Duration `yaml:"budget" json:"budget,omitempty" doc:"time that the run may take: layers, width, rates, tokens and steps of pretraining follow from it, the machine's speed and the corpus; 0: they are as written" min:"0"`

	Thresholds []Threshold `yaml:"thresholds" json:"thresholds,omitempty" doc:"what the run must reach; a run that misses one ends with exit code 5"`
}

// Recipe is a list of stages with their configuration, read and checked.
type Recipe struct {
	Head
	File     string
	Steps    []*Step // each after those that it reads from
	Resolved *Resolved

	root  *field
	lines []string // of the file
}

// Step is a stage of a recipe.
type Step struct {
	Name   string
	Stage  *stage.Stage
	Config any // a pointer to the stage's type of configuration
	Inputs map[string][]Ref

	section *field
	at      *token.Token             // of the name
	before  map[*field]reflect.Value // what Derive replaced
}

// Ref is what an input names: a stage of the recipe, or a path.
type Ref struct {
	Text   string        // as written
	Step   *Step         // nil for a path
	Output *stage.Output // of Step
	Path   string        // where Step is nil
}

// Options say how a recipe is resolved.
type Options struct {
	// Set holds overrides, `stage.key=value`, in the order of the command line; a
	// later one of the same key wins. The value of a string or duration is taken as
	// it stands, others are read as YAML (`[1, 2]`).
	Set []string
	// Derive, if set, is asked for values of keys that nobody set when the resolved
	// budget is above 0: by dotted key, with the reason to be shown.
	Derive func(r *Recipe) (values map[string]any, reason string, err error)
	// Kinds of stages, nil for all ([Stages]).
	Kinds []*stage.Stage
}

// Load reads the recipe at a path.
func Load(path string, o Options) (*Recipe, error) {
	data, err := readRecipe(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data, o)
}

func readRecipe(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, Errors{unreadable(path, err)}
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, MaxBytes+1))
	if err != nil {
		return nil, Errors{unreadable(path, err)}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, Errors{{File: path, Problem: "the file is empty; a recipe lists stages, see alma new"}}
	}
	return data, nil
}

// Parse is [Load] on the contents of a recipe; name stands for the file in errors
// and origins. Errors in the recipe or in the overrides are of type [Errors].
func Parse(name string, data []byte, o Options) (*Recipe, error) {
	recipe := &Recipe{File: name, Head: Head{Name: defaultName(name), Seed: 1, Precision: "fp32"}}
	root := &field{value: reflect.ValueOf(&recipe.Head).Elem(), section: true}
	if err := root.buildSection(); err != nil {
		return nil, err
	}
	stages := &field{name: "stages", key: "stages", stages: true}
	// The thresholds come last in a recipe.
	root.children = slices.Insert(root.children, len(root.children)-1, stages)
	r := newReader(name, data, root)
	if r.kinds = o.Kinds; r.kinds == nil {
		r.kinds = Stages
	}
	r.read(data, o.Set)
	recipe.root, recipe.lines, recipe.Steps = root, r.lines, r.steps
	if len(r.errs) == 0 && len(r.steps) == 0 {
		r.fail(nil, "stages", "a recipe lists its stages: NAME: {use: KIND, …}; alma new has some to begin with")
	}
	if len(r.errs) == 0 {
		r.link(recipe)
	}
	if len(r.errs) == 0 {
		if err := recipe.checkThresholds(); err != nil {
			r.errs = append(r.errs, &Error{File: name, Key: "thresholds", Err: err})
		}
	}
	// A derivation should not have to cope with values that are wrong.
	if len(r.errs) == 0 && o.Derive != nil && recipe.Budget > 0 {
		values, reason, err := o.Derive(recipe)
		if err == nil {
			err = derive(root, values, reason)
		}
		if err != nil {
			return nil, fmt.Errorf("resolving recipe %s: %w", name, err)
		}
	}
	if len(r.errs) == 0 {
		r.validate()
	}
	if len(r.errs) > 0 {
		return nil, r.errs
	}
	recipe.resolve()
	return recipe, nil
}

// resolve lists the values as they are now.
func (r *Recipe) resolve() {
	r.Resolved = newResolved(r.root)
	// What is told of the run elsewhere is no setting.
	r.Resolved.Values = slices.DeleteFunc(r.Resolved.Values, func(v Value) bool {
		return v.Key == "title" || v.Key == "about" || strings.HasPrefix(v.Key, "thresholds")
	})
}

// defaultName is a file's name without its ending.
func defaultName(file string) string {
	return strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
}

// stages reads the map of stages.
func (r *reader) stages(node ast.Node) {
	for _, entry := range r.entries(node, "stages", "a map of stages, NAME: {use: KIND, …}") {
		at := entry.Key.GetToken()
		name, ok := stringOf(entry.Key)
		if !ok {
			name = tokenText(entry.Key)
		}
		if why := badName(name); why != "" {
			r.fail(at, "stages."+name, why)
			continue
		}
		if other := r.root.child(name); other != nil {
			problem := "is a key of the recipe itself; give the stage another name"
			if other.stage != nil {
				problem = fmt.Sprintf("set twice; the first time in line %d", other.stage.at.Position.Line)
			}
			r.fail(at, "stages."+name, problem)
			continue
		}
		r.stage(name, at, entry.Value)
	}
}

// badName says why a stage may not have a name: it is a folder, and stands before
// a dot in overrides and inputs.
func badName(name string) string {
	plain := func(c rune) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' }
	if name == "" || strings.ContainsFunc(name, func(c rune) bool { return !plain(c) }) || name[0] == '-' || name[0] == '_' {
		return "a stage's name is made of the letters a to z, digits, - and _"
	}
	return ""
}

// stage reads one stage.
func (r *reader) stage(name string, at *token.Token, node ast.Node) {
	var use ast.Node
	entries := r.entries(node, name, "a section with use: KIND")
	if entries == nil {
		return
	}
	for _, entry := range entries {
		if key, _ := stringOf(entry.Key); key == "use" {
			use = entry.Value
		}
	}
	var names []string
	for _, s := range r.kinds {
		names = append(names, s.Kind)
	}
	if use == nil {
		r.fail(at, name, "says not which kind of stage it is; add use: one of "+strings.Join(names, ", "))
		return
	}
	kind, ok := stringOf(use)
	i := slices.Index(names, kind)
	if !ok || i < 0 {
		problem := fmt.Sprintf("found %s, needs one of %s", describe(use), strings.Join(names, ", "))
		near := nearest(kind, names)
		if near != "" {
			problem = fmt.Sprintf("unknown kind of stage %q; did you mean %s? there are %s", kind, near, strings.Join(names, ", "))
		}
		r.fail(place(use, at), name+".use", problem).Nearest = near
		return
	}
	section, err := newSection(name, r.kinds[i])
	if err != nil {
		r.fail(at, name, "").Err = err
		return
	}
	section.stage.at = at
	if err := r.root.add(section); err != nil {
		r.fail(at, name, "").Err = err
		return
	}
	r.steps = append(r.steps, section.stage)
	r.section(node, section)
}

// entries are those of a mapping, nil with a fault recorded for anything else.
func (r *reader) entries(node ast.Node, key, needs string) []*ast.MappingValueNode {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	r.fail(node.GetToken(), key, fmt.Sprintf("found %s, needs %s", describe(node), needs))
	return nil
}

// newSection is the section of a stage: what it uses, its inputs, its
// configuration.
func newSection(name string, s *stage.Stage) (*field, error) {
	step := &Step{Name: name, Stage: s, Config: s.Config(), Inputs: map[string][]Ref{}}
	f := &field{name: name, key: name, section: true, stage: step, value: reflect.ValueOf(step.Config).Elem()}
	step.section = f
	use := reflect.New(reflect.TypeFor[string]()).Elem()
	use.SetString(s.Kind)
	if err := f.add(&field{name: "use", key: join(name, "use"), doc: s.Does, value: use}); err != nil {
		return nil, err
	}
	for _, in := range s.Inputs {
		t := reflect.TypeFor[string]()
		if in.Many {
			t = reflect.TypeFor[[]string]()
		}
		if err := f.add(&field{name: in.Name, key: join(name, in.Name), doc: in.Doc, value: reflect.New(t).Elem(), input: true}); err != nil {
			return nil, err
		}
	}
	return f, f.buildSection()
}

// derive fills values that nobody set.
func derive(root *field, values map[string]any, reason string) error {
	byKey := map[string]*field{}
	root.leaves(func(f *field) { byKey[f.key] = f })
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		f := byKey[key]
		if f == nil {
			return fmt.Errorf("deriving from the %s: the recipe has no value %s", reason, key)
		}
		if f.origin.Kind != Default {
			continue
		}
		if err := convertAny(values[key], f.value, f.limits); err != nil {
			return fmt.Errorf("deriving from the %s: %s: %w", reason, key, err)
		}
		f.origin = Origin{Kind: Derived, Reason: reason}
	}
	return nil
}

// Step returns the stage of a name, nil if there is none.
func (r *Recipe) Step(name string) *Step {
	for _, s := range r.Steps {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// names lists the stages.
func (r *Recipe) names() []string {
	names := make([]string, len(r.Steps))
	for i, s := range r.Steps {
		names[i] = s.Name
	}
	return names
}

// Jobs are the stages ready to run in a folder of a run, in the order of Steps:
// with the run's seed added to their own and its precision recorded.
func (r *Recipe) Jobs(folder string) []*stage.Job {
	jobs := make([]*stage.Job, len(r.Steps))
	for i, s := range r.Steps {
		config := reflect.New(reflect.TypeOf(s.Config).Elem())
		config.Elem().Set(reflect.ValueOf(s.Config).Elem())
		addSeed(config, r.Seed)
		stage.InPrecision(config.Interface(), r.Precision)
		in := stage.Inputs{}
		for name, refs := range s.Inputs {
			for _, ref := range refs {
				in[name] = append(in[name], ref.in(folder))
			}
		}
		jobs[i] = &stage.Job{Name: s.Name, Stage: s.Stage, Config: config.Interface(), In: in, Out: filepath.Join(folder, s.Name)}
	}
	return jobs
}

// in is the path of a reference in the folder of a run.
func (ref Ref) in(folder string) string {
	if ref.Step == nil {
		return ref.Path
	}
	return filepath.Join(folder, ref.Step.Name, filepath.FromSlash(ref.Output.Path))
}

// addSeed adds the seed of the run to the value "seed" of a configuration, if it
// has one.
func addSeed(config reflect.Value, seed uint64) {
	f := &field{value: config.Elem(), section: true}
	if err := f.buildSection(); err != nil {
		panic(err) // the type was described without fault when reading began
	}
	if s := f.child("seed"); s != nil && s.value.CanUint() {
		s.value.SetUint(s.value.Uint() + seed)
	}
}

// Single resolves one stage alone, for the verb of its own: its defaults, what the
// recipe at a path (which may be "") says of the only stage of that kind, and the
// overrides, whose keys may leave the stage's name out. Its inputs may be missing; the
// run's seed is not added to its own, and nothing follows from a budget. The precision
// is the recipe's, and recorded with the configuration.
func Single(s *stage.Stage, path string, set []string) (step *Step, precision string, err error) {
	name := s.Kind
	file, text := "defaults", []byte("stages: {"+name+": {use: "+s.Kind+"}}")
	if path != "" {
		if text, err = readRecipe(path); err != nil {
			return nil, "", err
		}
		file = path
		whole, err := parseLoosely(file, text, Options{})
		if err != nil {
			return nil, "", err
		}
		var found []string
		for _, step := range whole.Steps {
			if step.Stage.Kind == s.Kind {
				found = append(found, step.Name)
			}
		}
		if len(found) != 1 {
			return nil, "", artifact.Errorf(artifact.ErrUsage, "reading recipe %s: it has %d stages with use: %s, and the verb runs one; give a recipe with one, or run the recipe", path, len(found), s.Kind)
		}
		name = found[0]
	}
	var o Options
	for _, one := range set {
		if key, _, _ := strings.Cut(one, "="); !strings.HasPrefix(key, name+".") && key != "precision" {
			one = name + "." + one
		}
		o.Set = append(o.Set, one)
	}
	r, err := parseLoosely(file, text, o)
	if err != nil {
		return nil, "", err
	}
	step = r.Step(name)
	stage.InPrecision(step.Config, r.Precision)
	return step, r.Precision, nil
}

// Paths are the paths that an input names; a stage of the recipe has none here.
func (s *Step) Paths(input string) []string {
	var paths []string
	for _, ref := range s.Inputs[input] {
		if ref.Step == nil {
			paths = append(paths, ref.Path)
		}
	}
	return paths
}

// parseLoosely is Parse for a stage whose inputs come from elsewhere.
func parseLoosely(name string, data []byte, o Options) (*Recipe, error) {
	kinds := make([]*stage.Stage, len(Stages))
	for i, s := range Stages {
		free := *s
		free.Inputs = slices.Clone(s.Inputs)
		for j := range free.Inputs {
			free.Inputs[j].Required = false
		}
		kinds[i] = &free
	}
	o.Kinds = kinds
	return Parse(name, data, o)
}
