package recipe

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/jsonschema-go/jsonschema"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/train/classify"
	"github.com/seed-b72bdb6c/alma/train/ppo"
	"github.com/seed-b72bdb6c/alma/train/pretrain"
	"github.com/seed-b72bdb6c/alma/train/sft"
)

// life is a recipe of every kind of reference.
const life = `name: life
seed: 3
stages:
  base: {use: pretrain, corpus: my/corpus, tokenizer: my/tokenizer, seed: 4}
  assistant:
    use: sft
    base: base
    dialogues: dialogues.jsonl
    lr: 5e-4
  judge: {use: reward, base: assistant, rankings: rankings.jsonl}
  aligned:
    use: ppo
    policy: assistant
    reward: judge
    prompts: prompts.jsonl
    text: base.text
thresholds:
  - {measure: judge.validation/accuracy, at_least: 0.6, name: Reward model}
`

func TestARecipeIsAListOfStages(t *testing.T) {
	r, err := Parse("life.yaml", []byte(life), Options{Set: []string{"aligned.beta=.2", "precision=bf16"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(r.names(), " "); got != "base assistant judge aligned" {
		t.Errorf("the stages are %s", got)
	}
	jobs := r.Jobs("runs/life")
	if c := jobs[0].Config.(*pretrain.Config); c.Seed != 7 || c.Precision != "bf16" {
		t.Errorf("base has seed %d and precision %q, want the run's 3 added to its own 4, and the run's bf16", c.Seed, c.Precision)
	}
	if c := jobs[1].Config.(*sft.Config); c.LR != 5e-4 || c.Seed != 3 {
		t.Errorf("assistant is %+v", c)
	}
	if c := jobs[3].Config.(*ppo.Config); c.Beta != .2 {
		t.Errorf("aligned has β %v", c.Beta)
	}
	for i, want := range []map[string]string{
		{"corpus": "my/corpus", "tokenizer": "my/tokenizer"},
		{"base": "runs/life/base", "dialogues": "dialogues.jsonl"},
		{"base": "runs/life/assistant", "rankings": "rankings.jsonl"},
		{"policy": "runs/life/assistant", "reward": "runs/life/judge", "prompts": "prompts.jsonl", "text": "runs/life/base/shards/train"},
	} {
		for name, path := range want {
			if got := filepath.ToSlash(jobs[i].In.Path(name)); got != path {
				t.Errorf("%s reads %s from %s, want %s", jobs[i].Name, name, got, path)
			}
		}
	}
	// The recipe itself keeps its own values: jobs may be asked for again.
	if again := r.Jobs("x"); again[0].Config.(*pretrain.Config).Seed != 7 {
		t.Error("the run's seed is added again each time")
	}
}

func TestAStageMayStandBeforeWhatItReads(t *testing.T) {
	r, err := Parse("r.yaml", []byte(`stages:
  judge: {use: reward, base: assistant, rankings: r.jsonl}
  assistant: {use: sft, base: m, dialogues: d.jsonl}
`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(r.names(), " "); got != "assistant judge" {
		t.Errorf("they run as %s", got)
	}
}

func TestFaultsOfARecipeAreShownWithLineCaretAndTheNearestName(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown kind": {"stages:\n  a: {use: sfd, base: m, dialogues: d}\n",
			"reading recipe r.yaml:2:12: a.use: unknown kind of stage \"sfd\"; did you mean sft?"},
		"no kind":        {"stages:\n  a: {base: m}\n", "reading recipe r.yaml:2:3: a: says not which kind of stage it is; add use:"},
		"unknown key":    {"stages:\n  a: {use: sft, base: m, dialogues: d, epoch: 3}\n", "a.epoch: unknown key; did you mean a.epochs?"},
		"unknown input":  {"stages:\n  a: {use: sft, bsae: m, dialogues: d}\n", "a.bsae: unknown key; did you mean a.base?"},
		"missing input":  {"stages:\n  a: {use: sft, base: m}\n", "reading recipe r.yaml:2:3: a.dialogues: is missing: dialogues to learn; give a stage that makes dialogues, or a path"},
		"wrong artifact": {"stages:\n  a: {use: reward, base: m, rankings: r}\n  b: {use: sft, base: a, dialogues: d}\n", "reading recipe r.yaml:3:23: b.base: stage a (reward) makes a reward model, needs a language model"},
		"unknown part": {"stages:\n  p: {use: pretrain, corpus: c, tokenizer: t}\n  b: {use: ppo, policy: p, prompts: q, text: p.txt, reward_command: x}\n",
			"b.text: stage p (pretrain) has no part \"txt\"; did you mean p.text?"},
		"part of another kind": {"stages:\n  p: {use: pretrain, corpus: c, tokenizer: t}\n  b: {use: sft, base: p.text, dialogues: d}\n", "b.base: p.text is token shards, needs a language model"},
		"itself":               {"stages:\n  a: {use: sft, base: a, dialogues: d}\n", "a.base: found \"a\", the stage itself"},
		"cycle": {"stages:\n  a: {use: sft, base: b, dialogues: d}\n  b: {use: sft, base: a, dialogues: d}\n",
			"a: reads from itself by way of others: a → b → a"},
		"twice":           {"stages:\n  a: {use: sft, base: m, dialogues: d}\n  a: {use: sft, base: m, dialogues: d}\n", "reading recipe r.yaml:3:3: stages.a: set twice; the first time in line 2"},
		"a key's name":    {"stages:\n  seed: {use: sft, base: m, dialogues: d}\n", "stages.seed: is a key of the recipe itself"},
		"a bad name":      {"stages:\n  My Stage: {use: sft}\n", "a stage's name is made of the letters a to z, digits, - and _"},
		"outside":         {"stages:\n  a: {use: sft, base: m, dialogues: d}\na:\n  lr: 1\n", "reading recipe r.yaml:3:1: a: is the name of a stage, which stands under stages:"},
		"the old form":    {"recipe: godoc\npretrain:\n  lr: 1\n", "recipe: unknown key"},
		"no stages":       {"name: x\n", "stages: a recipe lists its stages"},
		"a list":          {"stages: [a, b]\n", "reading recipe r.yaml:1:9: stages: found a list of 2, needs a map of stages"},
		"values at odds":  {"stages:\n  a: {use: sft, base: m, dialogues: d, batch_rows: 3, micro_rows: 2}\n", "a: configuring sft: batch_rows 3 is not a multiple of micro_rows 2"},
		"threshold: no":   {"stages:\n  a: {use: sft, base: m, dialogues: d}\nthresholds: [{measure: a.loss}]\n", "thresholds[0]: a.loss has no bound"},
		"threshold: who":  {"stages:\n  abc: {use: sft, base: m, dialogues: d}\nthresholds: [{measure: abd.loss, at_most: 1}]\n", "thresholds[0]: the recipe has no stage \"abd\"; did you mean abc.loss?"},
		"threshold: what": {"stages:\n  a: {use: sft, base: m, dialogues: d}\nthresholds: [{measure: a, at_most: 1}]\n", "measure \"a\" is no STAGE.METRIC"},
		"threshold: text": {"stages:\n  a: {use: sft, base: m, dialogues: d}\nthresholds: [{measure: a.b, at_most: low}]\n", "thresholds[0].at_most: found the string \"low\": needs a number"},
	} {
		_, err := Parse("r.yaml", []byte(c.text), Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) || artifact.ExitCode(err) != 4 {
			t.Errorf("%s: exit code %d: %v\nwant %s", name, artifact.ExitCode(err), err, c.want)
		}
	}
	_, err := Parse("r.yaml", []byte("stages:\n\ta: {use: sft}\n"), Options{})
	if err == nil {
		t.Error("tabs were taken for indentation")
	}
	_, err = Parse("r.yaml", []byte("stages:\n  größe: {use: sft, base: m, dialogues: d, epoch: 3}\n"), Options{})
	if err == nil || !strings.Contains(err.Error(), "    2 |   größe: {use: sft, base: m, dialogues: d, epoch: 3}\n      |   ^") {
		t.Errorf("the caret is not below the name:\n%v", err)
	}
}

func TestOverridesNameAStageAndItsKey(t *testing.T) {
	for set, want := range map[string]string{
		"assistent.lr=1":        "reading --set assistent.lr=1: assistent.lr: unknown key; did you mean assistant",
		"assistant.base=judge":  "assistant.base: stage judge (reward) makes a reward model, needs a language model",
		"judge.validation=a.bb": "", // a path
	} {
		_, err := Parse("life.yaml", []byte(life), Options{Set: []string{set}})
		if want == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("--set %s: %v, want %q", set, err, want)
		}
	}
}

func TestTheBudgetDerivesWhatNobodySet(t *testing.T) {
	text := strings.Replace(life, "seed: 3", "seed: 3\nbudget: 20m", 1)
	r, err := Parse("life.yaml", []byte(text), Options{
		Set: []string{"base.layers=2"},
		Derive: func(r *Recipe) (map[string]any, string, error) {
			if r.Budget != 20*time.Minute || r.Step("base").Config.(*pretrain.Config).Layers != 2 {
				t.Errorf("budget %v, %+v", r.Budget, r.Step("base").Config)
			}
			return map[string]any{"base.layers": 9, "base.width": 384, "assistant.lr": .5}, "budget 20m", nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := r.Step("base").Config.(*pretrain.Config)
	if c.Layers != 2 || c.Width != 384 || r.Step("assistant").Config.(*sft.Config).LR != 5e-4 {
		t.Errorf("got %d layers × %d", c.Layers, c.Width)
	}
	for key, want := range map[string]string{"base.layers": "--set", "base.width": "derived from budget 20m", "assistant.lr": "life.yaml:10", "base.heads": "default"} {
		if v := value(r.Resolved, key); v.Origin.String() != want {
			t.Errorf("%s comes from %s, want %s", key, v.Origin, want)
		}
	}
	for key, v := range map[string]any{"base.depth": 4, "base.layers": "4"} {
		_, err := Parse("life.yaml", []byte(text), Options{Derive: func(*Recipe) (map[string]any, string, error) { return map[string]any{key: v}, "budget 20m", nil }})
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("deriving %s = %v: %v", key, v, err)
		}
	}
}

func TestALargerBudgetGivesALargerModelAndMoreWork(t *testing.T) {
	const text = `stages:
  corpus: {use: godoc-corpus}
  tokenizer: {use: tokenizer, corpus: corpus}
  pretrain: {use: pretrain, corpus: corpus, tokenizer: tokenizer}
  sft: {use: sft, base: pretrain, dialogues: d.jsonl}
`
	const peak = 2e11
	before := pretrain.Config{}
	var lr float64
	for _, budget := range []string{"6m", "30m", "2h", "12h"} {
		r, err := Parse("r.yaml", []byte(text), Options{Set: []string{"budget=" + budget}, Derive: Budget(t.TempDir(), func() float64 { return peak })})
		if err != nil {
			t.Fatal(err)
		}
		c := *r.Step("pretrain").Config.(*pretrain.Config)
		work := func(c pretrain.Config) float64 { return float64(c.Layers*c.Width*c.Width) * float64(c.Steps) }
		if c.Width < before.Width || c.Layers < before.Layers || work(c) <= work(before) {
			t.Errorf("%s: %d × %d, %d steps, after %d × %d, %d steps with less time", budget, c.Layers, c.Width, c.Steps, before.Layers, before.Width, before.Steps)
		}
		if lr != 0 && c.LR > lr {
			t.Errorf("%s: a wider model has a higher rate", budget)
		}
		p, err := r.Plan("", peak, 0, Selection{})
		if err != nil {
			t.Fatal(err)
		}
		var total float64
		for _, s := range p.Stages {
			total += s.Total
		}
		// The corpus bounds the largest; of the others the plan fills the budget.
		if total > 1.05*r.Budget.Seconds() || budget != "12h" && total < .6*r.Budget.Seconds() {
			t.Errorf("%s: the plan takes %.0f s", budget, total)
		}
		before, lr = c, c.LR
	}
	if _, err := Parse("life.yaml", []byte("budget: 1s\n"+text), Options{Derive: Budget(t.TempDir(), func() float64 { return peak })}); err == nil || !strings.Contains(err.Error(), "even the smallest run takes about") {
		t.Errorf("a second: %v", err)
	}
	if _, err := Parse("r.yaml", []byte("budget: 1h\nstages:\n  a: {use: sft, base: m, dialogues: d}\n"), Options{Derive: Budget("", func() float64 { return peak })}); artifact.ExitCode(err) != 4 || !strings.Contains(err.Error(), "no stage of pretraining") {
		t.Errorf("without pretraining: %v", err)
	}
}

func TestWhatABudgetGaveStaysWhenTheRunGoesOn(t *testing.T) {
	folder := t.TempDir()
	text := []byte("budget: 20m\n" + life)
	load := func(peak float64) *Recipe {
		t.Helper()
		r, err := Parse("life.yaml", text, Options{Derive: Budget(folder, func() float64 { return peak })})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := load(2e11)
	if err := first.Save(folder); err != nil {
		t.Fatal(err)
	}
	if got, want := load(9e11).Step("base").Config.(*pretrain.Config), first.Step("base").Config.(*pretrain.Config); *got != *want {
		t.Errorf("another speed gives %+v in a run that began as %+v", got, want)
	}
}

func TestLoadReadsAFileAndNamesOneThatIsAbsent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.yaml")
	_, err := Load(path, Options{})
	if artifact.ExitCode(err) != 10 || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an absent file gave %v", err)
	}
	for text, want := range map[string]string{"": "the file is empty", "\n \n": "the file is empty"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gave %v", text, err)
		}
	}
	if err := os.WriteFile(path, []byte(strings.Replace(life, "name: life\n", "", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Load(path, Options{})
	if err != nil || r.Name != "x" {
		t.Fatalf("a recipe without a name: %v, %+v", err, r)
	}
	if v := value(r.Resolved, "seed"); v.Origin != (Origin{Kind: FromRecipe, File: path, Line: 1}) {
		t.Errorf("origin %+v", v.Origin)
	}
	if _, err := Load(filepath.Dir(path), Options{}); err == nil {
		t.Error("a folder was read as a recipe")
	}
}

// The verb of a stage takes what a recipe says of it, and leaves its inputs to flags.
func TestAStageAloneIsConfiguredAsInItsRecipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "life.yaml")
	if err := os.WriteFile(path, []byte("precision: bf16\n"+life), 0o600); err != nil {
		t.Fatal(err)
	}
	step, precision, err := Single(sft.Stage, path, []string{"epochs=3", "assistant.clip=2"})
	if err != nil {
		t.Fatal(err)
	}
	c := step.Config.(*sft.Config)
	if c.LR != 5e-4 || c.Epochs != 3 || c.Clip != 2 || c.Seed != 0 || c.Precision != "bf16" || precision != "bf16" {
		t.Errorf("got %+v, %s", c, precision)
	}
	if got := step.Paths("dialogues"); len(got) != 1 || got[0] != "dialogues.jsonl" || step.Paths("base") != nil {
		t.Errorf("dialogues from %v, base from %v", got, step.Paths("base"))
	}
	if step, _, err = Single(sft.Stage, "", []string{"lr=1"}); err != nil || step.Config.(*sft.Config).LR != 1 || step.Config.(*sft.Config).Seed != 0 {
		t.Errorf("without a recipe: %v, %+v", err, step)
	}
	if _, _, err := Single(sft.Stage, "", []string{"rate=1"}); artifact.ExitCode(err) != 4 {
		t.Errorf("an unknown key: %v", err)
	}
	two := strings.Replace(life, "  judge:", "  other: {use: sft, base: base, dialogues: d}\n  judge:", 1)
	if err := os.WriteFile(path, []byte(two), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Single(sft.Stage, path, nil); err == nil || !strings.Contains(err.Error(), "2 stages with use: sft") {
		t.Errorf("of two: %v", err)
	}
}

// numbers makes numbers of what YAML 1.2 takes for one and the parser, by YAML 1.1,
// for text: 1e-4.
func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, x := range v {
			v[key] = numbers(x)
		}
	case []any:
		for i, x := range v {
			v[i] = numbers(x)
		}
	case string:
		if x, err := strconv.ParseFloat(v, 64); err == nil && strings.Contains(v, "e-") {
			return x
		}
	}
	return v
}

// Every recipe of the repository is one, and one by the schema.
func TestANumberForAnInputIsTheShareToHoldOut(t *testing.T) {
	step, _, err := Single(classify.Stage, "", []string{"validation=0"})
	if err != nil || step.Config.(*classify.Config).Validation != 0 || len(step.Inputs["validation"]) != 0 {
		t.Errorf("%+v, %v", step, err)
	}
	r, err := Parse("r.yaml", []byte("stages:\n  a: {use: sft, base: m, dialogues: d, validation: 0.25}\n  b: {use: sft, base: m, dialogues: d, validation: held.jsonl}\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c := r.Step("a").Config.(*sft.Config); c.ValidationShare != .25 || len(r.Step("a").Inputs["validation"]) != 0 {
		t.Errorf("%+v", c)
	}
	if paths := r.Step("b").Paths("validation"); len(paths) != 1 || paths[0] != "held.jsonl" {
		t.Errorf("%v", paths)
	}
}

func TestTheRecipesOfTheRepositoryAreRight(t *testing.T) {
	paths, err := filepath.Glob("../recipes/*.yaml")
	if err != nil || len(paths) < 5 {
		t.Fatalf("found %v, %v", paths, err)
	}
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	schema := new(jsonschema.Schema)
	if err := json.Unmarshal(text, schema); err != nil {
		t.Fatal(err)
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	valid := func(data []byte) error {
		t.Helper()
		var plain any
		if err := yaml.Unmarshal(data, &plain); err != nil {
			t.Fatal(err)
		}
		encoded, err := json.Marshal(plain)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(encoded, &plain); err != nil {
			t.Fatal(err)
		}
		plain = numbers(plain)
		return resolved.Validate(plain)
	}
	for _, path := range paths {
		r, err := Load(path, Options{})
		if err != nil {
			t.Error(err)
			continue
		}
		if r.About == "" {
			t.Errorf("%s does not say what it is about", path)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := valid(data); err != nil {
			t.Errorf("%s by the schema: %v", path, err)
		}
	}
	for name, text := range map[string]string{
		"unknown key":      "stages: {a: {use: sft, base: m, dialogues: d, epoch: 3}}",
		"unknown kind":     "stages: {a: {use: sfd}}",
		"missing input":    "stages: {a: {use: sft, base: m}}",
		"negative rate":    "stages: {a: {use: sft, base: m, dialogues: d, lr: -1}}",
		"no name of an on": "stages: {a: {use: sft, base: m, dialogues: d, decay: cosin}}",
		"unknown top key":  "stages: {a: {use: sft, base: m, dialogues: d}}\nbudgt: 15m",
	} {
		if err := valid([]byte(text)); err == nil {
			t.Errorf("the schema takes %s", name)
		}
		if _, err := Parse("r.yaml", []byte(text), Options{}); err == nil {
			t.Errorf("a recipe may have %s", name)
		}
	}
}

// What stages say of themselves holds together: no key twice, no two of a kind, a
// sentence, a verb that says how it is called.
func TestStagesDescribeThemselves(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Stages {
		if seen[s.Kind] || s.Title == "" || !strings.HasSuffix(s.Does, ".") {
			t.Errorf("stage %q (%q): %q; seen before: %v", s.Kind, s.Title, s.Does, seen[s.Kind])
		}
		seen[s.Kind] = true
		if _, err := newSection("x", s); err != nil {
			t.Errorf("%s: %v", s.Kind, err)
		}
		outputs := s.Outputs(s.Config())
		if len(outputs) == 0 {
			t.Errorf("%s leaves nothing", s.Kind)
		}
		for _, in := range s.Inputs {
			if in.Doc == "" || len(in.Kinds) == 0 {
				t.Errorf("%s.%s says not what it is", s.Kind, in.Name)
			}
		}
		if s.Verb != nil && (s.Verb.Short == "" || len(s.Verb.Examples) == 0) {
			t.Errorf("the verb %s has no help", s.Verb.Name)
		}
	}
}
