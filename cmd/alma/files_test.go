//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// unreadable is a model whose weights end the opening of it: what is said of other
// things was found before they were read.
func unreadable(t *testing.T) string {
	t.Helper()
	folder := others(t, fixtures(t).base)
	write(t, filepath.Join(folder, "model.safetensors"), "{}")
	return folder
}

// A model of seven billion parameters takes minutes to open; a file of rows seconds.
func TestDataAreCheckedBeforeAModelIsOpened(t *testing.T) {
	a := alignedFixture(t)
	model, dir := unreadable(t), t.TempDir()
	bad := write(t, filepath.Join(dir, "bad.jsonl"), strings.Repeat("{}\n", 3)+"{\n"+strings.Repeat("{}\n", 9))
	for _, args := range [][]string{
		{"sft", "--base", model, "--dialogues", bad},
		{"sft", "--base", model, "--dialogues", a.dialogues, "--validation", bad},
		{"reward", "--base", model, "--rankings", bad},
		{"reward", "--base", model, "--rankings", a.rankings, "--demonstrations", bad},
		{"ppo", "--policy", model, "--reward-command", "true", "--prompts", bad, "--set", "pretrain_coefficient=0"},
		{"answers", "--model", model, "--prompts", bad},
		{"rank", "rule", "--reward", model, "--answers", bad, "--set", "by=reward"},
		{"classify", "train", "--base", model, "--texts", bad},
		{"classify", "predict", model, bad},
		{"classify", "eval", model, bad},
		{"embed", model, bad},
		{"sample", model, "--prompts", bad},
		{"reward", "score", model, bad},
		{"eval", "models", model, "--prompts", bad},
		{"eval", "models", model, "--rankings", bad},
		{"eval", "perplexity", model, bad, "--as", "dialogues"},
	} {
		out := filepath.Join(dir, "out")
		switch args[0] + " " + args[1] {
		case "classify predict", "classify eval", "reward score", "eval perplexity", "eval models":
		default:
			if args[0] != "embed" && args[0] != "sample" {
				args = append(args, "--out", out)
			}
		}
		o := alma(t, args...)
		if o.code != 4 || strings.Contains(o.stderr, "safetensors") {
			t.Errorf("%v: exit code %d, want 4 and nothing of the weights\n%s", args, o.code, o.stderr)
		}
		for _, says := range []string{"13 of 13 rows cannot be used", "bad.jsonl:1: ", "bad.jsonl:4: ", "bad.jsonl:10: ", "and 3 more"} {
			if !strings.Contains(o.stderr, says) {
				t.Errorf("%v: %q is missing in\n%s", args, says, o.stderr)
			}
		}
		if _, err := os.Stat(out); !os.IsNotExist(err) {
			t.Errorf("%v: %s is left (%v)", args, out, err)
		}
	}
	// Of two files with faults both are named.
	other := write(t, filepath.Join(dir, "other.jsonl"), "{}\n{}\n")
	o := alma(t, "sft", "--base", model, "--dialogues", bad, "--validation", other, "--out", filepath.Join(dir, "out"))
	if o.code != 4 || !strings.Contains(o.stderr, "bad.jsonl:10: ") || !strings.Contains(o.stderr, "other.jsonl:2: ") {
		t.Errorf("exit code %d\n%s", o.code, o.stderr)
	}
}

// What alma sft reports of dialogues that it does not learn, alma eval perplexity
// reports of the model that came out.
func TestThePerplexityOfDialoguesIsTheValidationLossOfFineTuning(t *testing.T) {
	a := alignedFixture(t)
	dir := t.TempDir()
	var held strings.Builder
	for i := range 30 {
		fmt.Fprintf(&held, `{"messages":[{"role":"user","content":"Colour %d?"},{"role":"assistant","content":"%s"}]}`+"\n", i, strings.Repeat("blue ", 1+i%4))
	}
	held.WriteString(`{"messages":[{"role":"user","content":"` + strings.Repeat("long ", 60) + `"},{"role":"assistant","content":"Blue."}]}` + "\n")
	// A turn that does not count, and a dialogue of several turns.
	held.WriteString(`{"messages":[{"role":"user","content":"A"},{"role":"assistant","content":"red","weight":0},{"role":"user","content":"B"},{"role":"assistant","content":"green"}]}` + "\n")
	file := write(t, filepath.Join(dir, "held.jsonl"), held.String())
	for _, precision := range []string{"fp32", "bf16"} {
		out := filepath.Join(dir, precision)
		succeed(t, "sft", "--base", a.base, "--dialogues", a.dialogues, "--validation", file, "--out", out, "--set", "epochs=2", "--set", "micro_rows=2", "--precision", precision)
		m, err := artifact.Open(out, false)
		if err != nil {
			t.Fatal(err)
		}
		var p dialoguePerplexity
		if err := json.Unmarshal([]byte(succeed(t, "eval", "perplexity", out, file, "--json", "--precision", precision)), &p); err != nil {
			t.Fatal(err)
		}
		if want := m.Metrics["validation/loss"]; p.Loss.Value != want || want == 0 {
			t.Errorf("%s: loss %v, and fine-tuning's %v", precision, p.Loss.Value, want)
		}
		if math.Abs(p.Perplexity.Value-math.Exp(p.Loss.Value)) > 1e-12 || p.Dialogues != 31 || p.TooLong != 1 || p.Context != 64 || !(p.Loss.Low < p.Loss.Value && p.Loss.Value < p.Loss.High) {
			t.Errorf("%s: %+v", precision, p)
		}
	}
	shown := succeed(t, "eval", "perplexity", a.sft, file)
	for _, want := range []string{"perplexity  ", "nats a token of the assistant", "31 dialogues, ", "; 1 do not fit in 64 tokens"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is missing in\n%s", want, shown)
		}
	}
	table := write(t, filepath.Join(dir, "d.csv"), "prompt,completion\nName a colour.,Blue.\nName one.,Red.\n")
	if shown := succeed(t, "eval", "perplexity", a.sft, table); !strings.Contains(shown, "2 dialogues, ") {
		t.Errorf("of a table:\n%s", shown)
	}
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{file, "--as", "poems"}, 4, "want text or dialogues"},
		{[]string{file, "--format", "xml"}, 4, `format "xml"`},
		{[]string{file, "--context", "65"}, 4, "outside 1 to 64"},
		{[]string{file, "--context", "5"}, 4, "fits into 5 tokens"},
		{[]string{file, "--max-tokens", "5"}, 4, "--max-tokens"},
		{[]string{a.rankings}, 4, "text"},
		{[]string{write(t, filepath.Join(dir, "one-bad.jsonl"), held.String()+"{}\n")}, 3, "1 rows of"},
	} {
		if o := alma(t, append([]string{"eval", "perplexity", a.sft}, tt.args...)...); o.code != tt.code || !strings.Contains(o.stderr, tt.says) {
			t.Errorf("%v: exit code %d, want %d and %q\n%s%s", tt.args, o.code, tt.code, tt.says, o.stdout, o.stderr)
		}
	}
}

// Weights and moments several times over are most of what a run would leave.
func TestAFinishedStageKeepsNoOptimizerStateUnlessAsked(t *testing.T) {
	a := alignedFixture(t)
	dir := t.TempDir()
	texts := filepath.Join(dir, "texts.jsonl")
	jsonl, _ := labelled(40)
	write(t, texts, jsonl)
	checkpoints := func(out string) int {
		list, err := filepath.Glob(filepath.Join(out, "checkpoints", "step-*", "optimizer.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	for name, args := range map[string][]string{
		"pretrain": a.pretrain("OUT", "--set", "steps=5"),
		"sft":      {"sft", "--base", a.base, "--dialogues", a.dialogues, "--set", "epochs=3", "--set", "batch_rows=1", "--set", "micro_rows=1", "--out", "OUT"},
		"reward":   a.rewards("OUT"),
		"ppo":      a.byModel("OUT"),
		"classify": {"classify", "train", "--base", a.base, "--texts", texts, "--set", "epochs=1", "--set", "batch_texts=8", "--out", "OUT"},
	} {
		t.Run(name, func(t *testing.T) {
			in := func(out string, more ...string) []string {
				return append(append(slices.Clone(args), "--checkpoint-steps", "1", "--out", out), more...)
			}
			out, kept := filepath.Join(dir, name), filepath.Join(dir, name+"-kept")
			o := alma(t, in(out)...)
			if o.code != 0 || !strings.Contains(o.stderr, name+": finished, so its checkpoints are removed (") {
				t.Fatalf("exit code %d\n%s", o.code, o.stderr)
			}
			if _, err := os.Stat(filepath.Join(out, "checkpoints")); !os.IsNotExist(err) {
				t.Errorf("checkpoints are left (%v)", err)
			}
			succeed(t, in(kept, "--keep-checkpoints")...)
			if n := checkpoints(kept); n != 2 {
				t.Errorf("%d checkpoints are kept, want 2", n)
			}
			// They stay when the command is given again without the flag.
			if o := alma(t, in(kept)...); o.code != 0 || !strings.Contains(o.stderr, "unchanged") || checkpoints(kept) != 2 {
				t.Errorf("given again: exit code %d, %d checkpoints\n%s", o.code, checkpoints(kept), o.stderr)
			}
			if weightsOf(t, out) != weightsOf(t, kept) {
				t.Error("the weights differ by whether checkpoints are kept")
			}
			if _, err := artifact.Open(out, true); err != nil {
				t.Error(err)
			}
		})
	}
}

// A stage that is killed between its result and the removal has both, and the next
// start removes what it would have removed.
func TestCheckpointsThatAKillLeftGoWithTheNextStart(t *testing.T) {
	needSignals(t)
	f := fixtures(t)
	out := filepath.Join(t.TempDir(), "out")
	args := f.pretrain(out, "--set", "steps=4")
	for _, failpoint := range []string{"stage.finish.after:1", "folder.remove.before:1", "folder.remove.after:1"} {
		if err := os.RemoveAll(out); err != nil {
			t.Fatal(err)
		}
		if o := at(t, failpoint, args); o.code != -1 {
			t.Fatalf("%s: exit code %d\n%s", failpoint, o.code, o.stderr)
		}
		if _, err := artifact.Open(out, true); err != nil {
			t.Errorf("%s: the result was not durable before: %v", failpoint, err)
		}
		if o := alma(t, args...); o.code != 0 || !strings.Contains(o.stderr, "unchanged") {
			t.Errorf("%s: exit code %d\n%s", failpoint, o.code, o.stderr)
		}
		entries, err := os.ReadDir(out)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() == "checkpoints" || strings.Contains(e.Name(), ".tmp") {
				t.Errorf("%s: %s is left", failpoint, e.Name())
			}
		}
		if left, err := artifact.CleanTemporaries(out); err != nil || len(left) > 0 {
			t.Errorf("%s: left behind: %v (%v)", failpoint, left, err)
		}
	}
	// So does a run.
	run := before(t, "sft")
	if o := at(t, "folder.remove.before:1", life(t, run)); o.code != -1 || lastBegun(o.stderr) != "sft" {
		t.Fatalf("exit code %d\n%s", o.code, o.stderr)
	}
	if o := alma(t, append(life(t, run), "--until", "sft")...); o.code > 0 && o.code != 5 || !strings.Contains(o.stderr, "sft: finished, so its checkpoints are removed") {
		t.Errorf("exit code %d\n%s", o.code, o.stderr)
	}
	if _, err := os.Stat(filepath.Join(run, "sft", "checkpoints")); !os.IsNotExist(err) {
		t.Errorf("checkpoints are left (%v)", err)
	}
	if _, err := os.Stat(filepath.Join(run, "pretrain", "checkpoints")); !os.IsNotExist(err) {
		t.Errorf("checkpoints are left (%v)", err)
	}
}

// diskOf mounts a file system of some KiB in memory.
func diskOf(t *testing.T, kib int) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dk", kib), "alma-test", dir).CombinedOutput(); err != nil {
		t.Skipf("mounting a file system of %d KiB: %v: %s", kib, err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("unmounting: %v: %s", err, out)
		}
	})
	return dir
}

// writers are the verbs that write files, each with a folder, or file, to write.
func writers(t *testing.T) map[string]func(out string) []string {
	a := alignedFixture(t)
	texts := filepath.Join(t.TempDir(), "texts.jsonl")
	jsonl, _ := labelled(20)
	write(t, texts, jsonl)
	base := others(t, a.base)
	with := func(args ...string) func(string) []string {
		return func(out string) []string { return append(slices.Clone(args), "--out", out) }
	}
	answers := filepath.Join(t.TempDir(), "answers")
	succeed(t, "answers", "--model", a.sft, "--prompts", a.prompts, "--out", answers, "--set", "max_tokens=4")
	return map[string]func(out string) []string{
		"corpus build":    with("corpus", "build", a.texts),
		"tokenizer train": with("tokenizer", "train", a.corpus, "--vocab", "300"),
		"pretrain":        func(out string) []string { return a.pretrain(out, "--set", "steps=2") },
		"sft":             with("sft", "--base", a.base, "--dialogues", a.dialogues, "--set", "epochs=1"),
		"reward":          func(out string) []string { return a.rewards(out) },
		"ppo":             func(out string) []string { return a.byModel(out) },
		"classify train":  with("classify", "train", "--base", a.base, "--texts", texts, "--set", "epochs=1", "--set", "batch_texts=8"),
		"answers":         with("answers", "--model", a.sft, "--prompts", a.prompts, "--set", "max_tokens=4"),
		"rank rule":       with("rank", "rule", "--answers", filepath.Join(answers, "answers.jsonl")),
		"import":          with("import", base),
		"export hf":       with("export", a.base, "--format", "hf"),
		"export gguf": func(out string) []string {
			return []string{"export", a.base, "--format", "gguf", "--out", out + ".gguf"}
		},
		"eval models": with("eval", "models", a.base, a.sft, "--prompts", a.prompts, "--set", "max_tokens=4"),
		"run":         func(out string) []string { return life(t, out) },
		"report":      with("report", a.sft),
	}
}

// emptied tells that a folder holds nothing that a verb left.
func emptied(t *testing.T, verb, folder string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && path != folder {
			t.Errorf("%s left %s", verb, path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAFolderThatCannotBeWrittenIsNamedWithExitCode1(t *testing.T) {
	dir := diskOf(t, 64)
	if out, err := exec.Command("mount", "-o", "remount,ro", dir).CombinedOutput(); err != nil {
		t.Skipf("making a file system read-only: %v: %s", err, out)
	}
	for verb, args := range writers(t) {
		out := filepath.Join(dir, "out")
		o := alma(t, args(out)...)
		if o.code != 1 || !strings.Contains(o.stderr, out) || !strings.Contains(o.stderr, "read-only file system") {
			t.Errorf("%s: exit code %d, want 1 and the folder\n%s", verb, o.code, o.stderr)
		}
		emptied(t, verb, dir)
	}
}

// A disk may be full from the beginning, or become full at the first write of some size.
func TestADiskThatIsFullIsExitCode13OfEveryVerbThatWrites(t *testing.T) {
	dir := diskOf(t, 64)
	filler := filepath.Join(dir, "filler")
	for _, left := range []int{0, 8 << 10} {
		for verb, args := range writers(t) {
			write(t, filler, strings.Repeat("x", 64<<10-left))
			out := filepath.Join(dir, "out")
			o := alma(t, args(out)...)
			if o.code != 13 || !strings.Contains(o.stderr, out) || !strings.Contains(o.stderr, "space") {
				t.Errorf("%s with %d bytes: exit code %d, want 13 and the place\n%s", verb, left, o.code, o.stderr)
			}
			// What is whole may stay, for the stage goes on from it; nothing temporary does.
			if found, err := artifact.CleanTemporaries(dir); err != nil || len(found) > 0 {
				t.Errorf("%s with %d bytes left %v (%v)", verb, left, found, err)
			}
			if _, err := os.Stat(filepath.Join(out, "artifact.json")); err == nil {
				t.Errorf("%s with %d bytes: the folder says that it is complete", verb, left)
			}
			if err := os.RemoveAll(out); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The page of a stage of any kind, finished or not, is one command away.
func TestAReportIsMadeOfAnyStageAndOfAFolderOfStages(t *testing.T) {
	a := alignedFixture(t)
	life := filepath.Join(t.TempDir(), "life") // as verbs leave it: a folder for each
	made := map[string]string{}
	for verb, args := range writers(t) {
		if slices.Contains([]string{"run", "report", "export hf", "export gguf"}, verb) { // no stage of their own
			continue
		}
		out := filepath.Join(life, strings.ReplaceAll(verb, " ", "-"))
		if o := alma(t, args(out)...); o.code != 0 {
			t.Fatalf("alma %s: exit code %d\n%s", verb, o.code, o.stderr)
		}
		made[verb] = out
	}
	recipe := write(t, filepath.Join(t.TempDir(), "r.yaml"), fmt.Sprintf("name: r\nstages:\n  gguf: {use: export, model: %s}\n", a.sft))
	run := filepath.Join(t.TempDir(), "run")
	succeed(t, "run", recipe, "--out", run)
	made["export"] = filepath.Join(run, "gguf")
	page := func(folder string) string {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(folder, "report.md"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for verb, folder := range made {
		shown := succeed(t, "report", folder)
		if want := "report  " + filepath.Join(folder, "report.html") + "\n"; shown != want {
			t.Errorf("%s: it wrote %q, want %q", verb, shown, want)
		}
		if html, err := os.ReadFile(filepath.Join(folder, "report.html")); err != nil || !strings.Contains(string(html), "</html>") {
			t.Errorf("%s: no page (%v)", verb, err)
		}
		text := page(folder)
		m, err := artifact.Open(folder, true)
		if err != nil {
			t.Fatal(err)
		}
		for role, in := range m.Inputs {
			if !strings.Contains(text, "read "+role) || !strings.Contains(text, in.SHA256) {
				t.Errorf("%s: the page does not say what it read as %s\n%s", verb, role, text)
			}
		}
		if !strings.Contains(text, "wrote "+filepath.Base(folder)) || strings.Contains(text, "Configuration") != (string(m.Config) != "{}") {
			t.Errorf("%s: the page says\n%s", verb, text)
		}
		if strings.Contains(text, "| seed | 0 |\n| written by") {
			t.Errorf("%s: the page names a seed that nobody gave\n%s", verb, text)
		}
	}
	if text := page(made["pretrain"]); !strings.Contains(text, "Loss") || !strings.Contains(text, "parameters") {
		t.Errorf("the page of pretraining has no curve\n%s", text)
	}

	// All of them, in the order in which one was made from another.
	for from, to := range map[string]string{a.corpus: "0-corpus", a.tokenizer: "1-tokenizer", a.base: "a-base", a.sft: "0-sft", a.reward: "z/reward"} {
		to = filepath.Join(life, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	elsewhere := filepath.Join(t.TempDir(), "page")
	succeed(t, "report", life, "--out", elsewhere)
	if _, err := os.Stat(filepath.Join(life, "report.html")); !os.IsNotExist(err) {
		t.Errorf("with --out the page stands in the folder as well (%v)", err)
	}
	text := page(elsewhere)
	at := -1
	for _, name := range []string{"0-corpus", "1-tokenizer", "a-base", "0-sft", "z/reward", "ppo"} {
		next := strings.Index(text, "wrote "+name)
		if next <= at {
			t.Errorf("%s stands at %d, and what comes before it at %d", name, next, at)
		}
		at = next
	}

	// Neither run nor stage.
	empty := t.TempDir()
	if o := alma(t, "report", empty); o.code != 10 || !strings.Contains(o.stderr, empty) || !strings.Contains(o.stderr, "give the folder of a run") {
		t.Errorf("exit code %d\n%s", o.code, o.stderr)
	}
	if o := alma(t, "report", filepath.Join(empty, "none")); o.code != 10 {
		t.Errorf("exit code %d\n%s", o.code, o.stderr)
	}
	emptied(t, "report", empty)
	if o := alma(t, "report", others(t, a.base)); o.code != 10 || !strings.Contains(o.stderr, "alma lineage") {
		t.Errorf("of a model of others: exit code %d\n%s", o.code, o.stderr)
	}
}

func TestAReportShowsAStageUnderWayAsFarAsItHasCome(t *testing.T) {
	needSignals(t)
	f := fixtures(t)
	dir := t.TempDir()
	out := filepath.Join(dir, "model")
	args := f.pretrain(out, "--set", "steps=600")
	p := start(t, args...)
	p.until(t, "pretrain step ")
	p.signal(t, syscall.SIGSTOP)
	for _, folder := range []string{out, dir} {
		succeed(t, "report", folder)
		data, err := os.ReadFile(filepath.Join(folder, "report.md"))
		for _, want := range []string{"under way", "steps so far", "Loss", "600"} {
			if err != nil || !strings.Contains(string(data), want) {
				t.Errorf("%q is missing in the page of %s (%v)\n%s", want, folder, err, data)
			}
		}
	}
	p.signal(t, syscall.SIGCONT)
	p.signal(t, os.Interrupt)
	if code := p.wait(t); code != 130 {
		t.Fatalf("exit code %d\n%s", code, p.seen.String())
	}
	// Stopped it is shown as well, and the page does not come into what is finished.
	succeed(t, "report", out)
	succeed(t, args...)
	m, err := artifact.Open(out, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range m.Files {
		if strings.HasPrefix(file.Name, "report.") || strings.Contains(file.Name, "begun") {
			t.Errorf("%s is listed as a part of the model", file.Name)
		}
	}
	data, err := os.ReadFile(filepath.Join(out, "report.md"))
	if err != nil || strings.Contains(string(data), "under way") {
		t.Errorf("the page of the finished model says\n%s(%v)", data, err)
	}
}
