package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
	"github.com/seed-b72bdb6c/alma/progress"
)

func TestReplayPassesOnGoldenFoldersWithEveryKernel(t *testing.T) {
	for _, kernels := range kernel.Names() {
		cmd := command("replay", filepath.Join("testdata", "golden", "gpt2"), filepath.Join("testdata", "golden", "llama"))
		cmd.Env = append(cmd.Env, "ALMA_CPU="+kernels)
		o := finish(t, cmd)
		if o.code != 0 || strings.Contains(o.stdout, "FAIL") {
			t.Errorf("%s: exit code %d\n%s%s", kernels, o.code, o.stdout, o.stderr)
		}
		for _, line := range []string{"logits", "loss", "gradient transformer.wte.weight", "gradient model.embed_tokens.weight", "step 9 loss", "greedy continuation"} {
			if !strings.Contains(o.stdout, "  ok   "+line) {
				t.Errorf("%s: no comparison of %q\n%s", kernels, line, o.stdout)
			}
		}
	}
}

func TestReplayExits1BeyondTheTolerance(t *testing.T) {
	golden := copied(t, filepath.Join("testdata", "golden", "gpt2"))
	path := filepath.Join(golden, "golden.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var content map[string]any
	if err := json.Unmarshal(data, &content); err != nil {
		t.Fatal(err)
	}
	step := content["steps"].([]any)[0].(map[string]any)
	step["loss"] = step["loss"].(float64) * 1.001
	changed, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(changed))
	o := alma(t, "replay", golden, "--json")
	if o.code != 1 || !strings.Contains(o.stderr, "1 of ") {
		t.Errorf("exit code %d, want 1 for one comparison\n%s", o.code, o.stderr)
	}
	failed := 0
	for line := range strings.Lines(o.stdout) {
		var r struct {
			Name string
			OK   bool
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if !r.OK {
			failed++
			if r.Name != "step 0 loss" {
				t.Errorf("%s failed", r.Name)
			}
		}
	}
	if failed != 1 {
		t.Errorf("%d comparisons failed, want 1", failed)
	}
}

func TestFineTuningTeachesTheAnswerThatChatGives(t *testing.T) {
	f := fixtures(t)
	model := filepath.Join(t.TempDir(), "model")
	succeed(t, "sft", "--base", f.base, "--dialogues", f.dialogues, "--validation", f.dialogues, "--out", model,
		"--set", "epochs=60", "--set", "batch_rows=1", "--set", "micro_rows=1", "--set", "lr=5e-3")

	// Through a pipe, an answer is there before the next turn is asked for.
	cmd := command("chat", model, "--temp", "0")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(out)
	for range 2 {
		if _, err := io.WriteString(in, "Name a colour.\n"); err != nil {
			t.Fatal(err)
		}
		answer, err := answers.ReadString('\n')
		if err != nil || answer != "Blue.\n" {
			t.Fatalf("the answer is %q (%v), want Blue.", answer, err)
		}
		if _, err := io.WriteString(in, "/reset\n"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(in, "/quit\n"); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(answers)
	if err != nil || len(rest) > 0 {
		t.Errorf("after /quit it wrote %q (%v)", rest, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("chat ended with %v", err)
	}

	if got := succeed(t, "sample", model, "--prompt", "Name a colour.", "--temp", "0", "--json"); got !=
		`{"prompt":"Name a colour.","completions":["Blue."],"ended":[true]}`+"\n" {
		t.Errorf("sample wrote %s", got)
	}
}

func talk(t *testing.T, turns string, args ...string) outcome {
	t.Helper()
	cmd := command(append([]string{"chat"}, args...)...)
	cmd.Stdin = strings.NewReader(turns)
	return finish(t, cmd)
}

// withTemplate copies a model and gives it a chat template of its own.
func withTemplate(t *testing.T, model, template string) string {
	t.Helper()
	folder := copied(t, model)
	if err := os.Remove(filepath.Join(folder, "artifact.json")); err != nil { // it is no longer what the stage wrote
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "chat_template.jinja"), template)
	return folder
}

// ownChatML is ChatML with a comment, which only Jinja reads: the same tokens.
const ownChatML = "{# ours #}{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"

func TestStagesLearnFromDialoguesInAModelsOwnTemplate(t *testing.T) {
	a := alignedFixture(t)
	sft := filepath.Join(t.TempDir(), "sft")
	// Without its artifact.json the copy looks like a published model, for which other
	// values are chosen.
	succeed(t, "sft", "--base", withTemplate(t, a.base, ownChatML), "--dialogues", a.dialogues, "--out", sft, "--set", "epochs=1",
		"--set", "lr=1.5e-3", "--set", "warmup=0.05", "--set", "batch_rows=8", "--set", "micro_rows=8", "--set", "eval_every=100")
	if weightsOf(t, sft) != weightsOf(t, a.sft) {
		t.Error("dialogues rendered by Jinja gave other weights than the same form without it")
	}
	reward := filepath.Join(t.TempDir(), "reward")
	succeed(t, "reward", "--base", withTemplate(t, a.sft, ownChatML), "--rankings", a.rankings, "--validation", a.pairs, "--demonstrations", a.dialogues, "--out", reward)
	for template, want := range map[string]string{
		"{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}":                                                               "the template writes no special token after them",
		"{{ raise_exception('No dialogues.') if messages[0].content != 'a' }}{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}": "the template refuses the dialogue: No dialogues. (line 1 of the template)",
	} {
		o := alma(t, "sft", "--base", withTemplate(t, a.base, template), "--dialogues", a.dialogues, "--out", filepath.Join(t.TempDir(), "sft"))
		if o.code != 4 || !strings.Contains(o.stderr, want) || !strings.Contains(o.stderr, a.dialogues+":1: ") {
			t.Errorf("%s: exit code %d, %q; want 4 and %q", template, o.code, o.stderr, want)
		}
	}
}

func TestAModelsOwnChatTemplateIsUsed(t *testing.T) {
	f := fixtures(t)
	args := []string{"--prompt", "Say <|im_end|> twice.", "--seed", "3", "--max-tokens", "6", "--json"}
	want := succeed(t, append([]string{"sample", f.base}, args...)...)
	if got := succeed(t, append([]string{"sample", withTemplate(t, f.base, ownChatML)}, args...)...); got != want {
		t.Errorf("through Jinja %q, want %q", got, want)
	}
	other := withTemplate(t, f.base, "{% for m in messages %}{{ m.content }}!{% endfor %}{{ '<|im_start|>' if add_generation_prompt else '<|im_end|>' }}")
	if got := succeed(t, append([]string{"sample", other}, args...)...); got == want {
		t.Errorf("another template gave the same answer %q", got)
	}
	if a, b := talk(t, "Hello.\n", withTemplate(t, f.base, ownChatML), "--seed", "1", "--max-tokens", "4"), talk(t, "Hello.\n", f.base, "--seed", "1", "--max-tokens", "4"); a.code != 0 || a.stdout != b.stdout {
		t.Errorf("chatting through Jinja %q (exit code %d: %s), want %q", a.stdout, a.code, a.stderr, b.stdout)
	}
	for template, want := range map[string]string{
		"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}": "more than 2s of time",
		"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}":                                "nested more than 1000 deep",
		"{% include 'x' %}":                       "would read another file",
		"{{ raise_exception('I do not talk.') }}": "the template refuses the dialogue: I do not talk. (line 1 of the template)",
	} {
		model := withTemplate(t, f.base, template)
		o := talk(t, "Hello.\n", model)
		if o.code != 4 || !strings.Contains(o.stderr, want) || !strings.Contains(o.stderr, "chat template") || !strings.Contains(o.stderr, model) {
			t.Errorf("%s: exit code %d, %q; want 4 and %q", template, o.code, o.stderr, want)
		}
		if o := alma(t, "sample", model, "--plain", "--prompt", "a", "--max-tokens", "1"); o.code != 0 {
			t.Errorf("%s: plain text needs no template, and ended with exit code %d: %s", template, o.code, o.stderr)
		}
	}
}

// What is a command at a terminal is a turn like others through a pipe, and is sampled
// as alma sample does: at temperature 1 unless something else is said.
func TestAPipeSpeaksToTheModelAlone(t *testing.T) {
	f := fixtures(t)
	for _, line := range []string{"Hello.", "/help", `"""`, `a\`} {
		got := talk(t, line+"\n", f.base, "--max-tokens", "6", "--seed", "4")
		want := succeed(t, "sample", f.base, "--prompt", line, "--max-tokens", "6", "--seed", "4", "--json")
		var answer struct{ Completions []string }
		if err := json.Unmarshal([]byte(want), &answer); err != nil {
			t.Fatal(err)
		}
		if got.code != 0 || got.stdout != progress.Printable(answer.Completions[0])+"\n" || strings.Contains(got.stderr, "sampling") {
			t.Errorf("%s: exit code %d, %q (%s), want %q", line, got.code, got.stdout, got.stderr, answer.Completions[0])
		}
	}
}

func TestChatIsAFunctionOfTheTurnsAndTheSeed(t *testing.T) {
	f := fixtures(t)
	// Bytes that are no text come back into the conversation as three tokens each.
	args := []string{f.base, "--max-tokens", "4"}
	a := talk(t, "Hello.\nAgain.\n", append(args, "--seed", "1")...)
	b := talk(t, "Hello.\nAgain.", append(args, "--seed", "1", "--threads", "1")...)
	c := talk(t, "Hello.\nAgain.\n", append(args, "--seed", "2")...)
	if a.code != 0 || a.stdout == "" || a.stdout != b.stdout {
		t.Errorf("the same turns were answered with\n%q and\n%q (exit code %d: %s)", a.stdout, b.stdout, a.code, a.stderr)
	}
	if a.stdout == c.stdout {
		t.Errorf("another seed gave the same answers %q", a.stdout)
	}
	if d := talk(t, "Hello.\n", append(args, "--seed", "1", "--system", "Be brief.")...); strings.HasPrefix(a.stdout, d.stdout) {
		t.Errorf("the system message changed nothing: %q", d.stdout)
	}
	if e := talk(t, "", f.base); e.code != 0 || e.stdout != "" {
		t.Errorf("an empty conversation: exit code %d, %q", e.code, e.stdout)
	}
}

func TestAConversationLongerThanTheContextIsAClearError(t *testing.T) {
	f := fixtures(t)
	o := talk(t, strings.Repeat("Hello again and again.\n", 20), f.base, "--max-tokens", "4")
	if o.code != 4 || !strings.Contains(o.stderr, "the model's context of 64 leaves no room") || !strings.Contains(o.stderr, "/reset") {
		t.Errorf("exit code %d\n%s", o.code, o.stderr)
	}
	if strings.Count(o.stdout, "\n") < 1 {
		t.Error("not even the first turn was answered")
	}
}

// sampleLine is a line of alma sample --json, as others read it.
type sampleLine struct {
	Prompt      any      `json:"prompt"` // a string, or messages
	Prefill     string   `json:"prefill"`
	Completions []string `json:"completions"`
	Ended       []bool   `json:"ended"`
}

func samples(t *testing.T, args ...string) []sampleLine {
	t.Helper()
	var lines []sampleLine
	for line := range strings.Lines(succeed(t, append([]string{"sample"}, args...)...)) {
		var l sampleLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		lines = append(lines, l)
	}
	return lines
}

func TestSamplesDoNotDependOnTheirCompany(t *testing.T) {
	f := fixtures(t)
	prompts := write(t, filepath.Join(t.TempDir(), "prompts.jsonl"), strings.Join([]string{
		`{"prompt":"Name a colour."}`,
		`{"prompt":"What is red?","prefill":"The"}`,
		`{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"And green?"}]}`,
	}, "\n"))
	many := samples(t, f.base, "--prompts", prompts, "-n", "40", "--max-tokens", "6", "--json")
	if len(many) != 3 {
		t.Fatalf("%d lines for 3 prompts", len(many))
	}
	for i, l := range many {
		if len(l.Completions) != 40 || len(l.Ended) != 40 {
			t.Errorf("prompt %d has %d completions, want 40", i, len(l.Completions))
		}
	}
	alone := samples(t, f.base, "--prompt", "What is red?", "--prefill", "The", "-n", "2", "--max-tokens", "6", "--json", "--threads", "1")
	if !slices.Equal(alone[0].Completions, many[1].Completions[:2]) {
		t.Errorf("alone %q, among others %q", alone[0].Completions, many[1].Completions[:2])
	}
	if alone[0].Completions[0] == alone[0].Completions[1] {
		t.Errorf("both samples are %q", alone[0].Completions[0])
	}
}

func TestPlainSamplesContinueTheText(t *testing.T) {
	f := fixtures(t)
	l := samples(t, f.base, "--plain", "--prompt", "The colour of", "--temp", "0", "--max-tokens", "5", "--json")
	if len(l) != 1 || len(l[0].Completions) != 1 || l[0].Completions[0] == "" {
		t.Errorf("samples are %+v", l)
	}
}

func TestTokensDecodeToTheirText(t *testing.T) {
	f := fixtures(t)
	text := "The colour: grün <|endoftext|>\n"
	encode := command("tokenizer", "encode", f.tokenizer)
	encode.Stdin = strings.NewReader(text)
	ids := finish(t, encode)
	decode := command("tokenizer", "decode", f.tokenizer)
	decode.Stdin = strings.NewReader(ids.stdout)
	if o := finish(t, decode); o.code != 0 || o.stdout != text {
		t.Errorf("exit code %d: %q, want %q", o.code, o.stdout, text)
	}
	if got := succeed(t, "tokenizer", "encode", f.tokenizer, "--special", "--json", "<|endoftext|>"); got != "[0]\n" {
		t.Errorf("the special token is %s", got)
	}
	if out := succeed(t, "tokenizer", "show", f.tokenizer); !strings.Contains(out, "300 tokens") || !strings.Contains(out, "<|im_end|>") {
		t.Errorf("tokenizer show wrote\n%s", out)
	}
}

func TestCorpusShowListsSplitsAndDocuments(t *testing.T) {
	f := fixtures(t)
	out := succeed(t, "corpus", "show", f.corpus, "-n", "1", "--split", "validation")
	if !strings.Contains(out, "validation") || strings.Count(out, "--- ") != 1 || !strings.Contains(out, "The colour of house") {
		t.Errorf("corpus show wrote\n%s", out)
	}
}

func TestPerplexityAgreesWithItsParts(t *testing.T) {
	f := fixtures(t)
	text := write(t, filepath.Join(t.TempDir(), "text.txt"), strings.Repeat("The colour of house 7 is blue. ", 40)+"\n")
	measure := func(flags ...string) (p perplexity) {
		if err := json.Unmarshal([]byte(succeed(t, append([]string{"eval", "perplexity", f.base, text, "--json"}, flags...)...)), &p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := measure()
	if windows := int(p.TextTokens) / 64; p.Documents != 1 || p.Context != 64 || p.Windows != windows || int(p.Tokens) != windows*31 {
		t.Errorf("counted %+v, want half of each window of 64 but its middle", p)
	}
	// A model that knows nothing of its 300 tokens has perplexity 300.
	if p.Perplexity.Perplexity < 2 || p.Perplexity.Perplexity > 320 {
		t.Errorf("perplexity %v of a barely trained model with 300 tokens", p.Perplexity)
	}
	if ratio := math.Pow(2, p.BitsPerByte*float64(p.Bytes)/float64(p.Tokens)) / p.Perplexity.Perplexity; math.Abs(ratio-1) > 1e-9 {
		t.Errorf("bits per byte %v and perplexity %v disagree", p.BitsPerByte, p.Perplexity)
	}
	if p := measure("--context", "16", "--max-tokens", "40"); p.TextTokens != 40 || p.Windows != 2 || p.Tokens != 2*7 {
		t.Errorf("counted %+v, want two windows of 16 tokens with 7 scored in each", p)
	}
	if o := alma(t, "eval", "perplexity", f.base, text, "--max-tokens", "40"); o.code != 4 || !strings.Contains(o.stderr, "40 tokens, fewer than a window of 64") {
		t.Errorf("exit code %d: %s", o.code, o.stderr)
	}
}

func TestDoctorFindsTheEngineSound(t *testing.T) {
	var d diagnosis
	if err := json.Unmarshal([]byte(succeed(t, "doctor", "--json")), &d); err != nil {
		t.Fatal(err)
	}
	if want := 2 * len(kernel.Names()); len(d.SelfTest) != want {
		t.Errorf("%d self-tests, want %d", len(d.SelfTest), want)
	}
	for _, s := range d.SelfTest {
		if !s.OK || !s.SameBits || s.Worst == "" {
			t.Errorf("self-test %+v", s)
		}
	}
	if d.PeakGFLOPS <= 0 || d.Threads < 1 || d.Kernels != kernel.Names()[0] {
		t.Errorf("diagnosis %+v", d)
	}
}

// SmolLM2 pads with the token that ends a turn. Whatever the padding is, an
// answer that was learned ends where it was learned to end.
func TestAnAnswerEndsWhateverThePadTokenIs(t *testing.T) {
	f := fixtures(t)
	model := filepath.Join(t.TempDir(), "answers")
	succeed(t, "sft", "--base", f.base, "--dialogues", f.dialogues, "--out", model, "--set", "epochs=80", "--set", "lr=1e-2", "--set", "batch_rows=2", "--set", "micro_rows=2")
	for _, pad := range []string{"<|pad|>", "<|im_end|>", "<|endoftext|>", ""} {
		folder := copied(t, model)
		if err := os.Remove(filepath.Join(folder, "artifact.json")); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, "tokenizer_config.json")
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var config map[string]any
		if err := json.Unmarshal(data, &config); err != nil {
			t.Fatal(err)
		}
		delete(config, "pad_token")
		if pad != "" {
			config["pad_token"] = pad
		}
		if data, err = json.Marshal(config); err != nil {
			t.Fatal(err)
		}
		write(t, path, string(data))

		var line sampleLine
		if err := json.Unmarshal([]byte(succeed(t, "sample", folder, "--prompt", "Name a colour.", "--temp", "0", "--max-tokens", "20", "--json")), &line); err != nil {
			t.Fatal(err)
		}
		if line.Completions[0] != "Blue." || !line.Ended[0] {
			t.Errorf("padded with %q, sample answers %q, ended by itself: %v", pad, line.Completions[0], line.Ended[0])
		}
		talk := command("chat", folder, "--temp", "0", "--max-tokens", "20")
		talk.Stdin = strings.NewReader("Name a colour.\n")
		if o := finish(t, talk); o.code != 0 || o.stdout != "Blue.\n" {
			t.Errorf("padded with %q, chat answers %q (exit code %d: %s)", pad, o.stdout, o.code, o.stderr)
		}
	}
}

func TestTokenShardsOfACorpusServeManyModels(t *testing.T) {
	f := fixtures(t)
	dir := t.TempDir()
	shards, again := filepath.Join(dir, "shards"), filepath.Join(dir, "again")
	succeed(t, "tokenize", "--corpus", f.corpus, "--tokenizer", f.tokenizer, "--out", shards)
	pretrain := func(corpus, tokenizer, out string) []string {
		return append([]string{"pretrain", "--corpus", corpus, "--tokenizer", tokenizer, "--out", out, "--set", "steps=4"}, tiny...)
	}
	succeed(t, pretrain(shards, f.tokenizer, again)...)
	if weightsOf(t, again) != weightsOf(t, f.base) {
		t.Error("token shards gave other weights than their corpus")
	}
	if _, err := os.Stat(filepath.Join(again, "shards")); !os.IsNotExist(err) {
		t.Errorf("the shards were made again (%v)", err)
	}
	other := filepath.Join(dir, "tokenizer")
	succeed(t, "tokenizer", "train", f.corpus, "--vocab", "310", "--out", other)
	if o := alma(t, pretrain(shards, other, filepath.Join(dir, "x"))...); o.code != 4 || !strings.Contains(o.stderr, "made with another tokenizer") {
		t.Errorf("another tokenizer: exit code %d\n%s", o.code, o.stderr)
	}
	recipe := write(t, filepath.Join(dir, "r.yaml"), fmt.Sprintf("stages:\n  s: {use: shards, corpus: %s, tokenizer: %s}\n  p: {use: pretrain, corpus: s, tokenizer: %[2]s}\n  f: {use: sft, base: p, dialogues: %s, text: p.text, text_share: .2}\n", f.corpus, f.tokenizer, f.dialogues))
	if o := alma(t, "recipe", "check", recipe); o.code != 4 || !strings.Contains(o.stderr, `stage p leaves no part "text" here, as it reads a tokenised corpus; name s.text`) {
		t.Errorf("a part that is not left: exit code %d\n%s", o.code, o.stderr)
	}
	write(t, recipe, strings.ReplaceAll(fmt.Sprintf("stages:\n  s: {use: shards, corpus: %s, tokenizer: %s}\n  p: {use: pretrain, corpus: s, tokenizer: %[2]s}\n  f: {use: sft, base: p, dialogues: %s, text: s, text_share: .2}\n", f.corpus, f.tokenizer, f.dialogues), "\\", "/"))
	succeed(t, "recipe", "check", recipe)
}

func TestACorpusIsFilteredAndItsFiltersExplainAText(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.Mkdir(at("texts"), 0o777); err != nil {
		t.Fatal(err)
	}
	prose := strings.Repeat("It was the best of times, and the people that have been there will be sure to say so with you. ", 8)
	write(t, at("texts/a.txt"), prose)
	menu := write(t, at("texts/menu.txt"), "Home Menu Contact\n")
	o := alma(t, "corpus", "build", at("texts"), "--out", at("corpus"), "--validation", "0", "--test", "0", "--set", "filters=[gopher_quality min_words=20, personal]")
	if o.code != 0 || !strings.Contains(o.stdout, "refused: gopher_quality: too few words") {
		t.Fatalf("exit code %d\n%s%s", o.code, o.stdout, o.stderr)
	}
	if got := succeed(t, "corpus", "explain", menu, "--filter", "gopher_quality min_words=20"); !strings.Contains(got, "gopher_quality     refused") || !strings.Contains(got, "✗ gopher_quality: too few words: 3, and min_words is at least 20") {
		t.Errorf("explaining the menu:\n%s", got)
	}
	// A corpus knows the filters that it was made with.
	if got := succeed(t, "corpus", "explain", at("corpus"), "a.txt"); !strings.Contains(got, "gopher_quality     stays") || !strings.Contains(got, "min_words is at least 20") || strings.Contains(got, "fineweb") {
		t.Errorf("explaining a document:\n%s", got)
	}
	if got := succeed(t, "corpus", "filters", "gopher_quality"); !strings.Contains(got, "min_words") {
		t.Errorf("the settings of a filter:\n%s", got)
	}
	for _, c := range []struct {
		says string
		code int
		args []string
	}{
		{"there is no filter \"gofer\"", 4, []string{"corpus", "build", at("texts"), "--out", at("o"), "--set", "filters=[gofer]"}},
		{"there is no filter \"gofer\"", 4, []string{"corpus", "filters", "gofer"}},
		{"no setting \"least\"", 4, []string{"corpus", "explain", menu, "--filter", "fineweb least=1"}},
		{"none that is called \"b.txt\"", 10, []string{"corpus", "explain", at("corpus"), "b.txt"}},
		{"none.txt", 10, []string{"corpus", "explain", at("none.txt")}},
	} {
		if o := alma(t, c.args...); o.code != c.code || !strings.Contains(o.stderr, c.says) {
			t.Errorf("%v: exit code %d, %q; want %d, %q", c.args, o.code, o.stderr, c.code, c.says)
		}
	}
}
