package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// aligned is a fine-tuned model of the fixture with what comes after it.
type aligned struct {
	fixture
	sft, rankings, pairs, prompts, reward string
}

// small are settings of PPO that take a fraction of a second.
var small = []string{
	"--set", "iterations=2", "--set", "batch_prompts=4", "--set", "minibatch=2", "--set", "max_tokens=6", "--set", "slots=4", "--set", "micro_rows=2", "--set", "pretrain_rows=1",
}

func (a aligned) rewards(out string, more ...string) []string {
	return append([]string{"reward", "--base", a.sft, "--rankings", a.rankings, "--validation", a.pairs, "--demonstrations", a.dialogues, "--out", out,
		"--set", "batch_prompts=2", "--set", "micro_rows=4"}, more...)
}

func (a aligned) ppo(out string, more ...string) []string {
	args := append([]string{"ppo", "--policy", a.sft, "--prompts", a.prompts, "--out", out}, small...)
	args = append(args, "--force") // what twelve rankings teach is not shown to be more than chance
	return append(args, more...)
}

// byModel has the reward model score, with pretraining text beside.
func (a aligned) byModel(out string, more ...string) []string {
	return append(a.ppo(out, "--reward", a.reward, "--text", filepath.Join(a.base, "shards", "train")), more...)
}

var madeAligned = sync.OnceValues(func() (aligned, error) {
	f, err := made()
	if err != nil {
		return aligned{}, err
	}
	at := func(name string) string { return filepath.Join(scratch, name) }
	a := aligned{f, at("sft"), at("rankings.jsonl"), at("pairs.jsonl"), at("prompts.jsonl"), at("reward")}
	var rankings, prompts strings.Builder
	for i := range 12 {
		fmt.Fprintf(&rankings, `{"prompt":"Name colour %d.","completions":["Blue.","Seven","Green.","It is"],"ranks":[1,3,1,3],"ended":[true,true,true,false],"annotator":"anna"}`+"\n", i)
		fmt.Fprintf(&prompts, `{"prompt":"Name colour %d.","prefill":"It"}`+"\n", i)
	}
	pairs := strings.Repeat(`{"prompt":"Name a colour.","chosen":"Red.","rejected":"Nine."}`+"\n", 3)
	for path, text := range map[string]string{a.rankings: rankings.String(), a.pairs: pairs, a.prompts: prompts.String()} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			return a, err
		}
	}
	for _, args := range [][]string{
		{"sft", "--base", a.base, "--dialogues", a.dialogues, "--out", a.sft, "--set", "epochs=1"},
		a.rewards(a.reward),
	} {
		if out, err := command(args...).CombinedOutput(); err != nil {
			return a, fmt.Errorf("alma %v: %w\n%s", args, err, out)
		}
	}
	return a, nil
})

func alignedFixture(t testing.TB) aligned {
	t.Helper()
	a, err := madeAligned()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestRewardsAreWrittenForEachCompletionInOrder(t *testing.T) {
	a := alignedFixture(t)
	answers := write(t, filepath.Join(t.TempDir(), "answers.jsonl"), `{"prompt":"Name a colour.","completion":"Blue."}
{"prompt":"Name a colour.","completions":["Seven","Blue."],"ended":[false,true]}
`)
	lines := strings.Fields(succeed(t, "reward", "score", a.reward, answers))
	if len(lines) != 3 || lines[0] != lines[2] || lines[0] == lines[1] {
		t.Fatalf("rewards %v: want three, the first and last of them equal", lines)
	}
	for i, line := range strings.Split(strings.TrimSpace(succeed(t, "reward", "score", a.reward, answers, "--json")), "\n") {
		var x scoreLine
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Fatal(err)
		}
		want, err := strconv.ParseFloat(lines[i], 32)
		if err != nil || x.Reward != float32(want) || x.Prompt != "Name a colour." || x.Ended != (i != 1) {
			t.Errorf("line %d is %+v, want reward %v (%v)", i, x, want, err)
		}
	}
	// A rankings file can be scored too.
	if n := len(strings.Fields(succeed(t, "reward", "score", a.reward, a.rankings))); n != 48 {
		t.Errorf("%d rewards for 12 rankings of 4", n)
	}
}

func TestPPOTakesItsRewardFromAModelOrAProgram(t *testing.T) {
	needSignals(t) // the programs are shell scripts
	a := alignedFixture(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	succeed(t, a.byModel(at("model"))...)
	text := write(t, at("text.txt"), strings.Repeat("The door of house 7 is white. ", 40))
	script := write(t, at("score.sh"), `while read line; do case $line in *'"ended":true'*) echo 1;; *) echo -1;; esac; done`)
	succeed(t, a.ppo(at("program"), "--reward-command", "sh '"+script+"'", "--text", text)...)
	succeed(t, a.ppo(at("bare"), "--reward-command", "sh "+script, "--critic", a.reward, "--set", "pretrain_coefficient=0")...)
	seen := map[string]string{weightsOf(t, a.sft): "the policy before"}
	for _, name := range []string{"model", "program", "bare"} {
		m, err := artifact.Open(at(name), true)
		if err != nil {
			t.Fatal(err)
		}
		if same, ok := seen[weightsOf(t, at(name))]; ok {
			t.Errorf("%s has the weights of %s", name, same)
		}
		seen[weightsOf(t, at(name))] = name
		for role, want := range map[string]bool{"reward": name == "model", "text": name != "bare"} {
			if _, ok := m.Inputs[role]; ok != want {
				t.Errorf("%s: input %s recorded: %v, want %v", name, role, ok, want)
			}
		}
	}
	// The same command again changes nothing, another program is other work.
	o := alma(t, a.ppo(at("bare"), "--reward-command", "sh "+script, "--critic", a.reward, "--set", "pretrain_coefficient=0")...)
	if o.code != 0 || !strings.Contains(o.stderr, "unchanged") {
		t.Errorf("given again: exit code %d\n%s", o.code, o.stderr)
	}
	o = alma(t, a.ppo(at("bare"), "--reward-command", "sh "+text, "--critic", a.reward, "--set", "pretrain_coefficient=0")...)
	if o.code != 4 || !strings.Contains(o.stderr, "made otherwise: reward_command was") {
		t.Errorf("another program: exit code %d\n%s", o.code, o.stderr)
	}
}

func TestBadInputsOfRewardAndPPO(t *testing.T) {
	a := alignedFixture(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	one := write(t, at("one.jsonl"), `{"prompt":"A","completions":["b","c"],"ranks":[1,2]}`+"\n"+`{"prompt":"A","completions":["b"],"ranks":[1]}`+"\n")
	half := write(t, at("half.jsonl"), `{"prompt":"A","chosen":"b"}`+"\n")
	ties := write(t, at("ties.jsonl"), `{"prompt":"A","completions":["b","c"],"ranks":[1,1]}`+"\n")
	empty := write(t, at("empty.jsonl"), "")
	long := write(t, at("long.jsonl"), fmt.Sprintf(`{"prompt":"%s"}`+"\n", strings.Repeat("long ", 100)))
	longAnswer := write(t, at("answer.jsonl"), fmt.Sprintf(`{"prompt":"A","completion":"%s"}`+"\n", strings.Repeat("long ", 100)))
	noEnd := write(t, at("bad.jsonl"), `{"prompt":"A","completion":"b","ended":3}`+"\n")
	// Models of another vocabulary.
	succeed(t, "tokenizer", "train", a.corpus, "--vocab", "310", "--out", at("tokenizer"))
	other := a.fixture
	other.tokenizer = at("tokenizer")
	succeed(t, other.pretrain(at("other"), "--set", "steps=1")...)
	wrongVocabulary := copied(t, a.sft)
	data, err := os.ReadFile(filepath.Join(at("tokenizer"), "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(wrongVocabulary, "tokenizer.json"), string(data))
	if err := os.Remove(filepath.Join(wrongVocabulary, "artifact.json")); err != nil {
		t.Fatal(err)
	}
	rewards := func(base, rankings string, more ...string) []string {
		return append([]string{"reward", "--base", base, "--rankings", rankings, "--out", at("o")}, more...)
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"one answer to a prompt", rewards(a.sft, one, "--bad-rows", "stop"), 4, "one.jsonl:2: one completion only"},
		{"half a pair", rewards(a.sft, half), 4, `half.jsonl:1: a pair needs both "chosen" and "rejected"`},
		{"ties only", rewards(a.sft, ties), 4, "1 have ties only"},
		{"no rankings", rewards(a.sft, empty), 4, "the file is empty"},
		{"missing rankings", rewards(a.sft, at("none.jsonl")), 10, "opening rankings"},
		{"missing base", rewards(at("none"), a.rankings), 10, "opening base"},
		{"missing demonstrations", rewards(a.sft, a.rankings, "--demonstrations", at("none.jsonl")), 10, "opening demonstrations"},
		{"rankings that are no demonstrations", rewards(a.sft, a.rankings, "--demonstrations", a.rankings), 4, "rankings.jsonl:1"},
		{"vocabulary of another model", rewards(wrongVocabulary, a.rankings), 4, "do not belong together"},
		{"context beyond the model's", rewards(a.sft, a.rankings, "--set", "context=65"), 4, "context 65 is longer than the model's, which is 64"},
		{"rankings that do not fit", rewards(a.sft, a.rankings, "--set", "context=8"), 4, "12 do not fit"},
		{"unknown key", rewards(a.sft, a.rankings, "--set", "margim=1"), 4, "did you mean reward.margin?"},
		{"missing flag", []string{"reward", "--base", a.sft, "--out", at("o")}, 4, "--rankings is missing"},
		{"mistyped verb", []string{"reward", "scroe", a.reward, a.rankings}, 4, "did you mean alma reward score?"},
		{"scoring with a language model", []string{"reward", "score", a.sft, a.rankings}, 4, "give the folder of a reward model"},
		{"scoring what does not fit", []string{"reward", "score", a.reward, longAnswer}, 4, "context of 64; shorten it"},
		{"scoring what is no completion", []string{"reward", "score", a.reward, noEnd}, 4, `bad.jsonl:1: "ended" must be true or false`},
		{"scoring a missing file", []string{"reward", "score", a.reward, at("none.jsonl")}, 10, "none.jsonl"},

		{"a reward model at chance", a.byModel(at("o"), "--force=false"), 5, "holds chance"},
		{"no reward", a.ppo(at("o")), 4, "give either a reward model (--reward DIR, or reward: in a recipe) or a program"},
		{"two rewards", a.byModel(at("o"), "--reward-command", "sh"), 4, "give either a reward model (--reward DIR, or reward: in a recipe) or a program"},
		{"missing reward model", a.ppo(at("o"), "--reward", at("none")), 10, "opening critic"},
		{"missing prompts", []string{"ppo", "--policy", a.sft, "--reward", a.reward, "--prompts", at("none"), "--out", at("o")}, 10, "opening prompts"},
		{"no text for the mix", a.ppo(at("o"), "--reward", a.reward), 4, "set it to 0"},
		{"text that is a model", a.ppo(at("o"), "--reward", a.reward, "--text", a.sft), 10, "shards"},
		{"text that is none", a.ppo(at("o"), "--reward", a.reward, "--text", filepath.Join(a.sft, "model.safetensors")), 4, "not UTF-8"},
		{"prompts without room", []string{"ppo", "--policy", a.sft, "--reward", a.reward, "--prompts", long, "--out", at("o"), "--force", "--set", "pretrain_coefficient=0", "--set", "max_tokens=8"}, 4, "leaves room for 8 tokens"},
		{"context beyond the models'", a.byModel(at("o"), "--set", "context=65"), 4, "context 65 is longer than the models', which is 64"},
		{"critic of another vocabulary", a.byModel(at("o"), "--critic", at("other")), 4, "must have one tokenizer"},
		{"reward of another vocabulary", a.byModel(at("o"), "--critic", a.sft, "--reward", at("other")), 4, "must have one tokenizer"},
		{"language model as the reward", a.byModel(at("o"), "--reward", a.sft), 4, "give the folder of a reward model"},
		{"missing program", a.ppo(at("o"), "--reward-command", at("none")+" x", "--set", "pretrain_coefficient=0"), 10, "preparing the reward program"},
		{"output that is an input", a.byModel(a.sft), 4, "it is also the policy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := alma(t, c.args...)
			if o.code != c.code || !strings.Contains(o.stderr, c.says) {
				t.Errorf("exit code %d, want %d and %q\n%s", o.code, c.code, c.says, o.stderr)
			}
			if entries, err := os.ReadDir(at("o")); !os.IsNotExist(err) {
				t.Errorf("the folder of the refused stage is left with %v (%v)", entries, err)
			}
		})
	}
	for _, folder := range []string{a.sft, a.reward} {
		if _, err := artifact.Open(folder, true); err != nil {
			t.Error(err)
		}
	}
}

func TestSingleVerbsReadTheirStageOfAWholeRecipe(t *testing.T) {
	a := alignedFixture(t)
	dir := t.TempDir()
	recipe := write(t, filepath.Join(dir, "recipe.yaml"), "stages:\n  judge: {use: reward, base: m, rankings: r, lr: 0.01, micro_rows: 4, seed: 3}\n  p: {use: ppo, policy: m, prompts: x, iterations: 1}\n")
	args := a.rewards(filepath.Join(dir, "a"))
	succeed(t, append([]string{"reward", recipe}, args[1:]...)...)
	succeed(t, a.rewards(filepath.Join(dir, "b"), "--set", "lr=0.01", "--seed", "3")...)
	if weightsOf(t, filepath.Join(dir, "a")) != weightsOf(t, filepath.Join(dir, "b")) {
		t.Error("the recipe and the flags with the same values made other weights")
	}
	if weightsOf(t, filepath.Join(dir, "a")) == weightsOf(t, a.reward) {
		t.Error("the recipe changed nothing")
	}
}
