package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// The tests run the real program, which TestMain builds once.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "alma-test")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		scratch = dir
		binary = filepath.Join(dir, "alma")
		if runtime.GOOS == "windows" {
			binary += ".exe"
		}
		if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building alma: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// scratch is a folder that lasts for all tests.
var scratch string

// outcome is what a run of the program left.
type outcome struct {
	code           int
	stdout, stderr string
}

// command prepares a run of the program. The environment is the caller's
// without alma's own variables.
func command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "ALMA_") })
	return cmd
}

// finish runs a prepared command to its end.
func finish(t testing.TB, cmd *exec.Cmd) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("running %v: %v", cmd.Args, err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// alma runs the program.
func alma(t testing.TB, args ...string) outcome {
	t.Helper()
	return finish(t, command(args...))
}

// succeed runs the program, which must exit 0, and returns what it wrote.
func succeed(t testing.TB, args ...string) string {
	t.Helper()
	o := alma(t, args...)
	if o.code != 0 {
		t.Fatalf("alma %s: exit code %d\n%s%s", strings.Join(args, " "), o.code, o.stdout, o.stderr)
	}
	return o.stdout
}

// fixture is a small corpus with a tokenizer and a model trained on it for
// some steps.
type fixture struct{ texts, corpus, tokenizer, base, dialogues string }

// tiny are the settings of the fixture's model.
var tiny = []string{
	"--set", "layers=1", "--set", "width=32", "--set", "heads=2", "--set", "context=64",
	"--set", "batch_tokens=256", "--set", "micro_rows=2", "--set", "eval_every=100", "--set", "eval_rows=2",
}

func (f fixture) pretrain(out string, more ...string) []string {
	args := append([]string{"pretrain", "--corpus", f.corpus, "--tokenizer", f.tokenizer, "--out", out}, tiny...)
	return append(args, more...)
}

var made = sync.OnceValues(func() (fixture, error) {
	at := func(name string) string { return filepath.Join(scratch, name) }
	f := fixture{at("texts"), at("corpus"), at("tokenizer"), at("base"), at("dialogues.jsonl")}
	if err := os.Mkdir(f.texts, 0o777); err != nil {
		return f, err
	}
	colours := []string{"red", "green", "blue", "white", "black"}
	for i := range 120 {
		text := strings.Repeat(fmt.Sprintf("The colour of house %d is %s. Its door is %s. ", i, colours[i%5], colours[i/5%5]), 4)
		if err := os.WriteFile(filepath.Join(f.texts, fmt.Sprintf("%03d.txt", i)), []byte(text), 0o666); err != nil {
			return f, err
		}
	}
	line := `{"messages":[{"role":"user","content":"Name a colour."},{"role":"assistant","content":"Blue."}]}` + "\n"
	if err := os.WriteFile(f.dialogues, []byte(strings.Repeat(line, 8)), 0o666); err != nil {
		return f, err
	}
	for _, args := range [][]string{
		{"corpus", "build", f.texts, "--out", f.corpus, "--validation", ".2"},
		{"tokenizer", "train", f.corpus, "--vocab", "300", "--out", f.tokenizer},
		f.pretrain(f.base, "--set", "steps=4"),
	} {
		if out, err := command(args...).CombinedOutput(); err != nil {
			return f, fmt.Errorf("alma %v: %w\n%s", args, err, out)
		}
	}
	return f, nil
})

func fixtures(t testing.TB) fixture {
	t.Helper()
	f, err := made()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// copied returns a copy of a folder that the test may damage.
func copied(t testing.TB, folder string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	return to
}

func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExitCodesAndRemedies(t *testing.T) {
	f := fixtures(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.Mkdir(at("empty"), 0o777); err != nil {
		t.Fatal(err)
	}
	write(t, at("nothing.txt"), "")
	recipe := write(t, at("recipe.yaml"), "stages:\n  p: {use: pretrain, corpus: c, tokenizer: t,\n    stepz: 4}\n")
	noAnswer := write(t, at("no-answer.jsonl"), `{"messages":[{"role":"user","content":"Hello."}]}`+"\n")

	truncated := copied(t, f.base)
	if err := os.Truncate(filepath.Join(truncated, "model.safetensors"), 5000); err != nil {
		t.Fatal(err)
	}
	flipped := copied(t, f.base)
	weights, err := os.ReadFile(filepath.Join(flipped, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	weights[len(weights)-1] ^= 1
	write(t, filepath.Join(flipped, "model.safetensors"), string(weights))
	headless := copied(t, f.base) // as a file from elsewhere would be damaged
	write(t, filepath.Join(headless, "model.safetensors"), "{}")
	if err := os.Remove(filepath.Join(headless, "artifact.json")); err != nil {
		t.Fatal(err)
	}
	wrongVocabulary := copied(t, f.base)
	succeed(t, "tokenizer", "train", f.corpus, "--vocab", "310", "--out", at("other"))
	other, err := os.ReadFile(filepath.Join(at("other"), "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(wrongVocabulary, "tokenizer.json"), string(other))
	if err := os.Remove(filepath.Join(wrongVocabulary, "artifact.json")); err != nil {
		t.Fatal(err)
	}
	without := func(name, content string) string { // a model folder that no stage vouches for
		folder := copied(t, f.base)
		for _, name := range []string{name, "artifact.json"} {
			if err := os.Remove(filepath.Join(folder, name)); err != nil {
				t.Fatal(err)
			}
		}
		if content != "" {
			write(t, filepath.Join(folder, name), content)
		}
		return folder
	}
	ids := write(t, at("ids.i32"), "\x01\x00\x00\x00")

	for _, c := range []struct {
		name string
		args []string
		code int
		says string // part of standard error
	}{
		{"unknown verb", []string{"pretran"}, 4, "did you mean alma pretrain?"},
		{"unknown verb of a family", []string{"tokenizer", "trian"}, 4, "did you mean alma tokenizer train?"},
		{"unknown verb of a family of two words", []string{"eval", "perplexty", "m", "f"}, 4, "did you mean alma eval perplexity?"},
		{"unknown verb below one that works by itself", []string{"reward", "scoer", "m", "f"}, 4, "did you mean alma reward score?"},
		{"unknown verb that help is asked of", []string{"pretrian", "--help"}, 4, "did you mean alma pretrain?"},
		{"unknown verb behind help", []string{"help", "eval", "modles"}, 4, "did you mean alma eval models?"},
		{"unknown shell", []string{"completion", "bsh"}, 4, "did you mean alma completion bash?"},
		{"unknown flag of a family's verb", []string{"eval", "perplexity", "m", "f", "--contxt", "5"}, 4, "did you mean --context?"},
		{"nothing near", []string{"zzzzzzzz"}, 4, `unknown verb "zzzzzzzz" (see`},
		{"unknown flag", []string{"pretrain", "--corpsu", "x"}, 4, "did you mean --corpus?"},
		{"flag of a wrong type", []string{"chat", f.base, "--top-k", "many"}, 4, "--top-k"},
		{"missing flag", []string{"pretrain", "--corpus", f.corpus}, 4, "--tokenizer is missing"},
		{"missing argument", []string{"chat"}, 4, "usage: alma chat MODEL"},
		{"too many arguments", []string{"version", "x"}, 4, "usage: alma version"},
		{"other engine", []string{"chat", f.base, "--engine", "xla"}, 4, `engine "xla"`},
		{"unknown precision", []string{"chat", f.base, "--precision", "fp8"}, 4, "fp32 or bf16"},
		{"unknown precision of a stage", f.pretrain(at("o"), "--precision", "fp8"), 4, "fp32, bf16"},
		{"negative threads", []string{"chat", f.base, "--threads", "-1"}, 4, "--threads is -1"},
		{"negative steps between checkpoints", f.pretrain(at("o"), "--checkpoint-steps", "-1"), 4, "--checkpoint-steps is -1"},
		{"vocabulary without room for bytes", []string{"tokenizer", "train", f.corpus, "--vocab", "10", "--out", at("v")}, 4, "10 is outside 260"},
		{"documents of less than a character", []string{"corpus", "build", f.texts, "--cut", "-1", "--out", at("e")}, 4, "needs an integer ≥ 0"},

		{"unknown key", f.pretrain(at("o"), "--set", "stepz=3"), 4, "did you mean pretrain.steps?"},
		{"wrong type", f.pretrain(at("o"), "--set", "steps=many"), 4, "pretrain.steps"},
		{"value out of range", f.pretrain(at("o"), "--set", "pretrain.lr=0"), 4, "pretrain.lr"},
		{"unknown key of a recipe", append([]string{"pretrain", recipe}, f.pretrain(at("o"))[1:]...), 4, "recipe.yaml:3:5"},
		{"missing recipe", append([]string{"pretrain", at("none.yaml")}, f.pretrain(at("o"))[1:]...), 10, "none.yaml"},
		{"heads that do not divide the width", f.pretrain(at("o"), "--set", "heads=3"), 4, "heads"},
		{"missing corpus", []string{"pretrain", "--corpus", at("none"), "--tokenizer", f.tokenizer, "--out", at("o")}, 10, "opening corpus"},
		{"missing model", []string{"chat", at("none")}, 10, "none"},
		{"missing file", []string{"eval", "perplexity", f.base, at("none")}, 10, "opening the text"},
		{"missing weights", []string{"chat", without("model.safetensors", "")}, 10, "a model folder holds it"},
		{"folder in place of dialogues", []string{"sft", "--base", f.base, "--dialogues", f.texts, "--out", at("s")}, 4, "it is a folder; give a file"},
		{"folder in place of texts", []string{"embed", f.base, f.texts}, 4, "it is a folder; give a file"},
		{"folder in place of token shards", []string{"ppo", "--policy", f.base, "--reward-command", "true", "--prompts", write(t, at("prompts.jsonl"), `{"prompt":"a"}`), "--text", f.texts, "--out", at("s"), "--set", "max_tokens=8"}, 10, "shards/train"},
		{"missing golden folder", []string{"replay", at("none")}, 10, "model folder"},
		{"finished folder of other work", f.pretrain(f.base, "--set", "steps=5"), 4, "made otherwise: steps was 4 and is 5"},
		{"output that is an input", []string{"sft", "--base", f.base, "--dialogues", f.dialogues, "--out", f.base}, 4, "also the base"},
		{"corpus inside what it reads", []string{"corpus", "build", f.texts, "--out", filepath.Join(f.texts, "corpus")}, 4, "outside of it"},

		{"empty corpus", []string{"corpus", "build", at("empty"), "--out", at("e")}, 4, "no document to train on"},
		{"no sources", []string{"corpus", "build", "--out", at("e")}, 4, "usage: alma corpus build FOLDER..."},
		{"dialogue without an answer", []string{"sft", "--base", f.base, "--dialogues", noAnswer, "--out", at("s")}, 4, "no-answer.jsonl:1"},
		{"row longer than the model's context", []string{"sft", "--base", f.base, "--dialogues", f.dialogues, "--out", at("s"), "--set", "context=128"}, 4, "context 128"},
		{"no samples", []string{"sample", f.base, "--prompt", "x", "-n", "0"}, 4, "-n is 0"},
		{"negative temperature", []string{"sample", f.base, "--prompt", "x", "--temp", "-1"}, 4, "temperature"},
		{"prompt without room", []string{"sample", f.base, "--prompt", strings.Repeat("long ", 100)}, 4, "context of 64"},
		{"two kinds of prompts", []string{"sample", f.base, "--prompt", "x", "--prompts", "y"}, 4, "either"},
		{"ids that are none", []string{"tokenizer", "decode", f.tokenizer, "1", "x"}, 4, `"x"`},
		{"comparing on no text", []string{"tokenizer", "compare", f.tokenizer, f.tokenizer}, 4, "no text is given"},
		{"comparing on an empty text", []string{"tokenizer", "compare", f.tokenizer, f.tokenizer, at("nothing.txt")}, 4, "nothing is compared"},
		{"comparing with other ids", []string{"tokenizer", "compare", f.tokenizer, f.dialogues, "--ids", ids}, 5, "1 of 1 texts have other ids"},
		{"allowing what is no special token", []string{"tokenizer", "encode", f.tokenizer, "--allow", "<x>", "a"}, 4, "no special token of this name"},
		{"ids outside the vocabulary", []string{"tokenizer", "decode", f.tokenizer, "5000"}, 4, "5000"},
		{"model to time that is none", []string{"bench", "train", "--model", "large"}, 4, "LAYERSxWIDTH"},
		{"product to time that is none", []string{"bench", "gemm", "--shape", "256,768"}, 4, "M,N,K"},
		{"lengths that do not ascend", []string{"bench", "attention", "--seq", "512,256"}, 4, "ascending"},

		{"truncated weights", []string{"chat", truncated}, 12, "model.safetensors"},
		{"changed weights", []string{"sample", flipped, "--prompt", "x"}, 12, "checksum"},
		{"changed weights as an input", []string{"sft", "--base", flipped, "--dialogues", f.dialogues, "--out", at("s")}, 12, "checksum"},
		{"weights without tensors", []string{"chat", headless}, 12, "model.safetensors"},
		{"tokenizer that breaks off", []string{"chat", without("tokenizer.json", "{")}, 12, "tokenizer.json"},
		{"tokenizer of an unknown kind", []string{"chat", without("tokenizer.json", `{"model":{"type":"Other"}}`)}, 4, "Other"},
		{"vocabulary that is not the model's", []string{"chat", wrongVocabulary}, 4, "do not belong together"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := alma(t, c.args...)
			if o.code != c.code || !strings.Contains(o.stderr, c.says) {
				t.Errorf("exit code %d, want %d and %q\n%s", o.code, c.code, c.says, o.stderr)
			}
			if !strings.HasPrefix(o.stderr[max(0, strings.LastIndex(o.stderr, "alma: ")):], "alma: ") {
				t.Errorf("the error does not begin with the program's name:\n%s", o.stderr)
			}
		})
	}
	// None of it damaged what was finished.
	if _, err := artifact.Open(f.base, true); err != nil {
		t.Error(err)
	}
}

func TestBadEnvironmentIsUsage(t *testing.T) {
	for _, c := range []struct{ variable, says string }{
		{"ALMA_CPU=abacus", "abacus"},
		{"ALMA_FAILPOINT=nowhere:1", "nowhere"},
	} {
		cmd := command("doctor")
		cmd.Env = append(cmd.Env, c.variable)
		if o := finish(t, cmd); o.code != 4 || !strings.Contains(o.stderr, c.says) {
			t.Errorf("%s: exit code %d, want 4 and %q\n%s", c.variable, o.code, c.says, o.stderr)
		}
	}
}

func TestVerbsThatComputeNothingIgnoreTheKernelChoice(t *testing.T) {
	cmd := command("version")
	cmd.Env = append(cmd.Env, "ALMA_CPU=abacus")
	if o := finish(t, cmd); o.code != 0 || !strings.Contains(o.stdout, runtime.Version()) {
		t.Errorf("exit code %d: %s%s", o.code, o.stdout, o.stderr)
	}
}

func TestOverviewWithoutArguments(t *testing.T) {
	out := succeed(t)
	for _, word := range []string{"To begin:", "alma doctor", "alma run recipes/godoc.yaml", "Exit codes"} {
		if !strings.Contains(out, word) {
			t.Errorf("%q is missing in\n%s", word, out)
		}
	}
}

// walk visits a command and all below it.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		walk(sub, visit)
	}
}

func TestEveryVerbExplainsItselfWithExamplesThatParse(t *testing.T) {
	walk(newRootCommand(newCall()), func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.Long == "" {
			t.Errorf("%s: help text is missing", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Long) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > 110 {
				t.Errorf("%s: a line of the help text has %d columns: %s", cmd.CommandPath(), n, line)
			}
		}
		if cmd.HasSubCommands() || cmd.Hidden { // what alma calls itself needs no example
			return
		}
		if cmd.Example == "" {
			t.Errorf("%s: examples are missing", cmd.CommandPath())
		}
		for line := range strings.Lines(strings.ReplaceAll(cmd.Example, "\\\n", "")) {
			_, line, ok := strings.Cut(" "+line, " alma ")
			if !ok {
				t.Errorf("%s: example without alma: %s", cmd.CommandPath(), line)
				continue
			}
			line, _, _ = strings.Cut(line, " | ")
			line, _, _ = strings.Cut(line, " < ")
			line, _, _ = strings.Cut(line, " > ")
			found, rest, err := newRootCommand(newCall()).Find(words(line))
			if err == nil {
				err = found.ParseFlags(rest)
			}
			if err == nil {
				err = found.ValidateArgs(found.Flags().Args())
			}
			if err != nil || found.CommandPath() != cmd.CommandPath() {
				t.Errorf("%s: example %q is a call of %s: %v", cmd.CommandPath(), line, found.CommandPath(), err)
			}
		}
	})
}

// words splits a line at spaces outside single quotes.
func words(line string) []string {
	quoted := false
	return strings.FieldsFunc(strings.TrimSpace(line), func(r rune) bool {
		if r == '\'' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	})
}

func TestVersionAsJSON(t *testing.T) {
	var v versions
	if err := json.Unmarshal([]byte(succeed(t, "version", "--json")), &v); err != nil {
		t.Fatal(err)
	}
	if v.Go != runtime.Version() || v.Platform != runtime.GOOS+"/"+runtime.GOARCH {
		t.Errorf("version is %+v", v)
	}
}

func TestCommandLinesAreQuotedForTheShell(t *testing.T) {
	got := quoted([]string{"sft", "--out", "my model", "--set", "lr=1e-3", "it's", ""})
	if want := `sft --out 'my model' --set lr=1e-3 'it'\''s' ''`; got != want {
		t.Errorf("quoted: %s, want %s", got, want)
	}
}
