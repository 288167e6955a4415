package recipe

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// The configuration of the tests: the shapes that stages have.
type config struct {
	Budget   time.Duration `yaml:"budget" doc:"time for the whole run"`
	Name     string        `yaml:"name"`
	Corpus   documents     `yaml:"corpus"`
	Pretrain pretraining   `yaml:"pretrain"`
	PPO      tuning        `yaml:"ppo"`
}

type documents struct {
	Sources []source `yaml:"sources"`
	Cut     []string `yaml:"cut" doc:"path elements to leave out"`
	HeldOut float64  `yaml:"held_out" doc:"share of packages" min:"0" max:"0.5"`
}

type source struct {
	Path   string  `yaml:"path"`
	Weight float64 `yaml:"weight" above:"0"`
}

type optimizer struct {
	LR       float64   `yaml:"lr" doc:"peak learning rate" above:"0"`
	Betas    []float64 `yaml:"betas" min:"0" max:"1"`
	Schedule string    `yaml:"schedule" enum:"cosine,linear,constant"`
}

type pretraining struct {
	optimizer `yaml:",inline"`
	Layers    int    `yaml:"layers" doc:"transformer blocks" min:"1"`
	Tokens    int64  `yaml:"tokens" min:"0"`
	Seed      uint64 `yaml:"seed"`
	Tie       bool   `yaml:"tie"`
}

type tuning struct {
	optimizer
	Beta      float64  `yaml:"beta" min:"0"`
	MaxKL     float32  `yaml:"max_kl"`
	Estimator estimate `yaml:"estimator"`
	Batch     int8     `yaml:"batch"`
	Minibatch int8     `yaml:"minibatch"`
	Ignored   int      `yaml:"-"`
}

func (p *tuning) Validate() error {
	if p.Minibatch > p.Batch {
		return fmt.Errorf("minibatch %d is larger than batch %d", p.Minibatch, p.Batch)
	}
	return nil
}

// estimate reads itself from text.
type estimate int

func (e *estimate) UnmarshalText(text []byte) error {
	if len(text) != 2 || text[0] != 'k' || text[1] < '1' || text[1] > '3' {
		return fmt.Errorf("needs k1, k2 or k3")
	}
	*e = estimate(text[1] - '0')
	return nil
}

func (e estimate) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "k%d", int(e)), nil }

func defaults() config {
	o := optimizer{LR: 3e-3, Betas: []float64{.9, .95}, Schedule: "cosine"}
	return config{
		Name:     "run",
		Corpus:   documents{Cut: []string{"vendor"}, HeldOut: .05},
		Pretrain: pretraining{optimizer: o, Layers: 4, Tokens: 4_096_000, Seed: 1, Tie: true},
		PPO:      tuning{optimizer: o, Beta: .1, MaxKL: 6, Estimator: 1, Batch: 64, Minibatch: 32},
	}
}

// decodeInto reads a recipe's text into the struct that into points to; name stands for
// the file in errors and origins. The struct comes in with the defaults and leaves
// resolved; on error it is unchanged. Errors in the text or in set are of type
// [Errors].
func decodeInto(name string, data []byte, into any, set []string) (*Resolved, error) {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.IsNil() || target.Elem().Kind() != reflect.Struct {
		return nil, fmt.Errorf("resolving recipe %s: the configuration is a %T; a pointer to a struct is needed", name, into)
	}
	work := reflect.New(target.Elem().Type()).Elem()
	work.Set(target.Elem())
	root := &field{value: work, section: true}
	if err := root.buildSection(); err != nil {
		return nil, err
	}
	r := newReader(name, data, root)
	r.read(data, set)
	if len(r.errs) == 0 {
		r.validate()
	}
	if len(r.errs) > 0 {
		return nil, r.errs
	}
	target.Elem().Set(work)
	return newResolved(root), nil
}

func decode(t *testing.T, text string, set ...string) (config, *Resolved, error) {
	t.Helper()
	c := defaults()
	r, err := decodeInto("r.yaml", []byte(text), &c, set)
	return c, r, err
}

// value is the resolved value of a key.
func value(r *Resolved, key string) Value {
	for _, v := range r.Values {
		if v.Key == key {
			return v
		}
	}
	return Value{}
}

// withoutCarets leaves out the lines that show where a fault is.
func withoutCarets(err error) string {
	var lines []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if !strings.Contains(line, " | ") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

func TestEveryKindOfValueIsRead(t *testing.T) {
	c, _, err := decode(t, `
budget: 2h
name: "godoc"            # a comment
corpus:
  sources:
    - path: /src
      weight: 2
    - {path: other, weight: 0.5}
  cut: [vendor, testdata]
pretrain:
  lr: 1e-4
  betas: [0.9, 1]
  schedule: linear
  layers: 6
  tokens: 2e6
  seed: 18446744073709551615
  tie: false
ppo:
  lr: 3.0e-4
  estimator: k3
  max_kl: 4
`)
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.Budget, want.Name = 2*time.Hour, "godoc"
	want.Corpus.Sources = []source{{"/src", 2}, {"other", .5}}
	want.Corpus.Cut = []string{"vendor", "testdata"}
	want.Pretrain = pretraining{optimizer{1e-4, []float64{.9, 1}, "linear"}, 6, 2_000_000, 1<<64 - 1, false}
	want.PPO.LR, want.PPO.Estimator, want.PPO.MaxKL = 3e-4, 3, 4
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

func TestAnEmptyRecipeKeepsTheDefaults(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n", "ppo:\n", "ppo: {}\n"} {
		c, _, err := decode(t, text)
		if err != nil || !reflect.DeepEqual(c, defaults()) {
			t.Errorf("%q: %v, %+v", text, err, c)
		}
	}
}

func TestErrorsNamePlaceKeyFoundAndAllowed(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown key": {"ppo:\n  bta: 1\n",
			"reading recipe r.yaml:2:3: ppo.bta: unknown key; did you mean ppo.beta? allowed here: lr, betas, schedule, beta, max_kl, estimator, batch, minibatch"},
		"unknown section": {"pretrian:\n  lr: 1\n",
			"reading recipe r.yaml:1:1: pretrian: unknown key; did you mean pretrain? allowed here: budget, name, corpus, pretrain, ppo"},
		"key of another section": {"corpus:\n  tokens: 5\n",
			"reading recipe r.yaml:2:3: corpus.tokens: unknown key; did you mean pretrain.tokens? allowed here: sources, cut, held_out"},
		"key like nothing": {"zzzzzz: 1\n",
			"reading recipe r.yaml:1:1: zzzzzz: unknown key; allowed here: budget, name, corpus, pretrain, ppo"},
		"unknown key in a list": {"corpus:\n  sources:\n  - paht: x\n",
			"reading recipe r.yaml:3:5: corpus.sources[0].paht: unknown key; did you mean corpus.sources[0].path? allowed here: path, weight"},
		"string for an integer": {"pretrain:\n  layers: four\n",
			`reading recipe r.yaml:2:11: pretrain.layers: found the string "four", needs an integer ≥ 1`},
		"fraction for an integer": {"pretrain:\n  layers: 1.5\n",
			`reading recipe r.yaml:2:11: pretrain.layers: found the number 1.5, needs an integer ≥ 1`},
		"quoted number": {"ppo:\n  beta: \"1e-4\"\n",
			`reading recipe r.yaml:2:9: ppo.beta: found the string "1e-4", needs a number ≥ 0`},
		"integer for a string": {"name: 12\n",
			`reading recipe r.yaml:1:7: name: found the integer 12, needs a string (quote it if it is meant as text)`},
		"integer for a boolean": {"pretrain: {tie: 1}\n",
			`reading recipe r.yaml:1:17: pretrain.tie: found the integer 1, needs true or false`},
		"integer for a duration": {"budget: 15\n",
			`reading recipe r.yaml:1:9: budget: found the integer 15, needs a duration such as 15m or 2h`},
		"unreadable duration": {"budget: fast\n",
			`reading recipe r.yaml:1:9: budget: found the string "fast", needs a duration such as 15m or 2h`},
		"below the minimum": {"pretrain:\n  layers: 0\n",
			`reading recipe r.yaml:2:11: pretrain.layers: found the integer 0, needs an integer ≥ 1`},
		"at an exclusive bound": {"ppo:\n  lr: 0\n",
			`reading recipe r.yaml:2:7: ppo.lr: found the integer 0, needs a number > 0`},
		"between bounds": {"corpus:\n  held_out: .9\n",
			`reading recipe r.yaml:2:13: corpus.held_out: found the number .9, needs a number ≥ 0 and ≤ 0.5`},
		"out of the type's range": {"ppo:\n  batch: 128\n",
			`reading recipe r.yaml:2:10: ppo.batch: found the integer 128, needs an integer`},
		"not a number": {"ppo:\n  beta: .nan\n",
			`reading recipe r.yaml:2:9: ppo.beta: found the number .nan, needs a number ≥ 0`},
		"infinity in plain letters": {"ppo:\n  beta: inf\n",
			`reading recipe r.yaml:2:9: ppo.beta: found the string "inf", needs a number ≥ 0`},
		"not one of the names": {"ppo:\n  schedule: cosin\n",
			`reading recipe r.yaml:2:13: ppo.schedule: found the string "cosin", needs one of cosine, linear, constant`},
		"text its type refuses": {"ppo:\n  estimator: k4\n",
			`reading recipe r.yaml:2:14: ppo.estimator: found the string "k4": needs k1, k2 or k3`},
		"nothing for a value": {"ppo:\n  beta:\n",
			`reading recipe r.yaml:2:3: ppo.beta: found nothing, needs a number ≥ 0`},
		"scalar for a list": {"corpus:\n  cut: vendor\n",
			`reading recipe r.yaml:2:8: corpus.cut: found the string "vendor", needs a list, each element a string`},
		"element of a list": {"ppo:\n  betas: [0.9, x]\n",
			`reading recipe r.yaml:2:16: ppo.betas[1]: found the string "x", needs a number ≥ 0 and ≤ 1`},
		"scalar for a section": {"ppo: 3\n",
			"reading recipe r.yaml:1:6: ppo: found the integer 3, needs a section with the keys lr, betas, schedule, beta, max_kl, estimator, batch, minibatch"},
		"list for the recipe": {"- a\n",
			"reading recipe r.yaml:1:1: found a list of 1, needs a section with the keys budget, name, corpus, pretrain, ppo"},
		"key set twice": {"ppo:\n  beta: 1\n  lr: 1\n  \"beta\": 2\n",
			"reading recipe r.yaml:4:3: ppo.beta: set twice; the first time in line 2"},
		"alias": {"ppo:\n  beta: &b 1\n",
			"reading recipe r.yaml:2:9: ppo.beta: found an anchor or alias, which recipes do not use (write the value out), needs a number ≥ 0"},
		"merge key": {"ppo:\n  <<: {beta: 1}\n",
			"reading recipe r.yaml:2:3: ppo: found a merge key, which recipes do not use (write the values out)"},
		"second document": {"name: a\n---\nname: b\n",
			"reading recipe r.yaml:3:5: found a second document; a recipe is one"},
		"not YAML": {"ppo: b: c\n",
			"reading recipe r.yaml:1:6: not YAML: mapping value is not allowed in this context"},
		"not UTF-8": {"name: a\nppo: \xff\n",
			"reading recipe r.yaml:2: found bytes that are not UTF-8 text; save the file as UTF-8"},
		"zero byte": {"name: a\x00\n",
			"reading recipe r.yaml:1: found bytes that are not UTF-8 text; save the file as UTF-8"},
		"brackets without end": {"name: " + strings.Repeat("[", 1000),
			"reading recipe r.yaml:1: more than 64 brackets are open at once"},
		"too large": {"name: " + strings.Repeat("x", MaxBytes),
			"reading recipe r.yaml: the file is larger than 65536 bytes; a recipe holds settings, not data"},
		"values that contradict": {"ppo:\n  batch: 8\n",
			"reading recipe r.yaml: ppo: minibatch 32 is larger than batch 8"},
	} {
		t.Run(name, func(t *testing.T) {
			got, r, err := decode(t, c.text)
			if err == nil {
				t.Fatal("no error")
			}
			if withoutCarets(err) != c.want {
				t.Errorf("got  %s\nwant %s", err, c.want)
			}
			if code := artifact.ExitCode(err); code != 4 {
				t.Errorf("the exit code is %d, want 4", code)
			}
			if r != nil || !reflect.DeepEqual(got, defaults()) {
				t.Errorf("the configuration changed in spite of the error")
			}
		})
	}
}

func TestAllFaultsAreReportedAtOnce(t *testing.T) {
	_, _, err := decode(t, "budgt: 1\nppo:\n  beta: x\n  lr: -1\n", "ppo.bata=2")
	var faults Errors
	if !errors.As(err, &faults) || len(faults) != 4 {
		t.Fatalf("got %v", err)
	}
	for i, key := range []string{"budgt", "ppo.beta", "ppo.lr", "ppo.bata"} {
		if faults[i].Key != key {
			t.Errorf("fault %d is about %s, want %s", i, faults[i].Key, key)
		}
	}
	if faults[0].Nearest != "budget" || faults[0].Line != 1 {
		t.Errorf("first fault: %+v", faults[0])
	}
}

func TestOverridesWinOverTheRecipeAndLaterOnesOverEarlier(t *testing.T) {
	c, r, err := decode(t, "ppo:\n  beta: .2\n  lr: .1\n",
		"ppo.beta=.3", "ppo.beta=4e-1", "name=12", "budget=90s", "ppo.estimator=k2",
		"ppo.betas=[0.5, 0.6]", "pretrain.tie=false", "corpus.sources=[{path: a=b, weight: 1}]")
	if err != nil {
		t.Fatal(err)
	}
	if c.PPO.Beta != .4 || c.PPO.LR != .1 || c.Name != "12" || c.Budget != 90*time.Second || c.PPO.Estimator != 2 ||
		!reflect.DeepEqual(c.PPO.Betas, []float64{.5, .6}) || c.Pretrain.Tie ||
		!reflect.DeepEqual(c.Corpus.Sources, []source{{"a=b", 1}}) {
		t.Errorf("got %+v", c)
	}
	if v := value(r, "ppo.beta"); v.Origin.String() != "--set" || v.Text != "0.4" {
		t.Errorf("ppo.beta is %+v", v)
	}
	if v := value(r, "ppo.lr"); v.Origin.String() != "r.yaml:3" {
		t.Errorf("ppo.lr comes from %s", v.Origin)
	}
}

func TestOverrideErrorsNameTheOverride(t *testing.T) {
	for set, want := range map[string]string{
		"ppo.lr":             "reading --set ppo.lr: ppo.lr: needs the form section.key=value",
		"ppo.lr=fast":        `reading --set ppo.lr=fast: ppo.lr: found the string "fast", needs a number > 0`,
		"ppo.lr=":            `reading --set ppo.lr=: ppo.lr: found nothing, needs a number > 0`,
		"ppo=1":              "reading --set ppo=1: ppo: is a section; set one of lr, betas, schedule, beta, max_kl, estimator, batch, minibatch",
		"budget.x=1":         "reading --set budget.x=1: budget.x: budget is a value (a duration such as 15m or 2h), not a section",
		"corpus.held_ot=0":   "reading --set corpus.held_ot=0: corpus.held_ot: unknown key; did you mean corpus.held_out? allowed here: sources, cut, held_out",
		"ppo.betas=[1, 2]":   "reading --set ppo.betas=[1, 2]: ppo.betas: ppo.betas[1]: found the integer 2, needs a number ≥ 0 and ≤ 1",
		"ppo.betas=[1":       "reading --set ppo.betas=[1: ppo.betas: not YAML: sequence end token ']' not found",
		"ppo.schedule=never": `reading --set ppo.schedule=never: ppo.schedule: found the string "never", needs one of cosine, linear, constant`,
	} {
		_, _, err := decode(t, "", set)
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestPrintShowsEveryValueWithItsOrigin(t *testing.T) {
	_, r, err := decode(t, "budget: 15m\ncorpus:\n  sources: [{path: a, weight: 2}]\n  cut: [x, 'y z', '1']\n", "name=")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := r.Print(&b); err != nil {
		t.Fatal(err)
	}
	const want = `budget                    15m            r.yaml:1
name                      ""             --set
corpus.sources[0].path    a              r.yaml:3
corpus.sources[0].weight  2              r.yaml:3
corpus.cut                [x, y z, "1"]  r.yaml:4
corpus.held_out           0.05           default
pretrain.lr               0.003          default
pretrain.betas            [0.9, 0.95]    default
pretrain.schedule         cosine         default
pretrain.layers           4              default
pretrain.tokens           4096000        default
pretrain.seed             1              default
pretrain.tie              true           default
ppo.lr                    0.003          default
ppo.betas                 [0.9, 0.95]    default
ppo.schedule              cosine         default
ppo.beta                  0.1            default
ppo.max_kl                6              default
ppo.estimator             k1             default
ppo.batch                 64             default
ppo.minibatch             32             default
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", &b, want)
	}
}

func TestDescribeListsKeysForDocumentation(t *testing.T) {
	c := defaults()
	fields, err := Describe(&c)
	if err != nil {
		t.Fatal(err)
	}
	want := Field{"pretrain.layers", "4", "an integer ≥ 1", "transformer blocks"}
	for _, f := range fields {
		if f == want {
			return
		}
	}
	t.Errorf("%v is not among %v", want, fields)
}

func TestConfigurationsThatCannotBeDescribedAreRefused(t *testing.T) {
	for want, into := range map[string]any{
		"a pointer to a struct is needed":   config{},
		"fields of type map[string]int are": &struct{ A map[string]int }{},
		`two fields are named "a"`: &struct {
			A, B int `yaml:"a"`
		}{},
		"fields of type []map[string]int are not": &struct{ A []map[string]int }{},
		`reading its tag min:"low"`: &struct {
			A int `min:"low"`
		}{},
		"s[0].a: fields of type chan int are not supp": &struct{ S []struct{ A chan int } }{},
	} {
		if _, err := decodeInto("r.yaml", nil, into, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want ...%s...", err, want)
		}
	}
}

func TestDefaultsAreNotSharedBetweenReadings(t *testing.T) {
	base := defaults()
	c := base
	if _, err := decodeInto("r.yaml", []byte("ppo:\n  betas: [0, 0]\n"), &c, nil); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(base, defaults()) {
		t.Error("reading a recipe changed the slices of another configuration")
	}
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"abc", "", 3}, {"", "ab", 2}, {"kitten", "sitting", 3},
		{"beta", "ebta", 1}, {"beta", "beta", 0}, {"größe", "grosse", 3},
	} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// Whatever the file holds, Decode answers with a configuration that keeps its
// limits or with an error that has an exit code, and printing what it resolved
// gives a line for every value.
func FuzzDecode(f *testing.F) {
	seeds, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, path := range seeds {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "ppo.beta=0.5")
	}
	for _, s := range []string{"a: *a", "? x\n: y", "- - -", "ppo: !!map {}", "\ufeffname: x", "a: |\n b", "{", "%YAML", "name: 'it''s'"} {
		f.Add([]byte(s), "corpus.sources=[{}]")
	}
	f.Fuzz(func(t *testing.T, data []byte, set string) {
		c := defaults()
		r, err := decodeInto("r.yaml", data, &c, []string{set})
		if err != nil {
			var faults Errors
			if !errors.As(err, &faults) || artifact.ExitCode(err) != 4 || faults.Error() == "" {
				t.Fatalf("not a usage error: %v", err)
			}
			return
		}
		if c.Pretrain.Layers < 1 || !(c.PPO.LR > 0) || !(c.Corpus.HeldOut >= 0 && c.Corpus.HeldOut <= .5) {
			t.Fatalf("limits broken: %+v", c)
		}
		var b strings.Builder
		if err := r.Print(&b); err != nil || strings.Count(b.String(), "\n") != len(r.Values) {
			t.Fatalf("printed %v:\n%s", err, b.String())
		}
	})
}
