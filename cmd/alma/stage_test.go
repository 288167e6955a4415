package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// started is a running program whose standard error is read line by line.
type started struct {
	cmd    *exec.Cmd
	stderr *bufio.Reader
	seen   bytes.Buffer
}

func start(t *testing.T, args ...string) *started {
	t.Helper()
	return startWith(t, nil, args...)
}

// startWith starts the program with more variables in its environment.
func startWith(t *testing.T, variables []string, args ...string) *started {
	t.Helper()
	cmd := command(args...)
	cmd.Env = append(cmd.Env, variables...)
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return &started{cmd: cmd, stderr: bufio.NewReader(pipe)}
}

// until reads standard error up to a line that holds text.
func (s *started) until(t *testing.T, text string) {
	t.Helper()
	for {
		line, err := s.stderr.ReadString('\n')
		s.seen.WriteString(line)
		if strings.Contains(line, text) {
			return
		}
		if err != nil {
			t.Fatalf("waiting for %q: %v\n%s", text, err, s.seen.String())
		}
	}
}

func (s *started) signal(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// wait returns the exit code, −1 for a process that a signal killed.
func (s *started) wait(t *testing.T) int {
	t.Helper()
	if _, err := io.Copy(&s.seen, s.stderr); err != nil {
		t.Fatal(err)
	}
	s.cmd.Wait()
	return s.cmd.ProcessState.ExitCode()
}

func weightsOf(t *testing.T, folder string) string {
	t.Helper()
	_, sum, err := artifact.HashFile(filepath.Join(folder, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func needSignals(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("processes cannot be sent signals on Windows")
	}
}

// Steps enough that the program is amid them when a signal comes.
const manySteps = "steps=600"

func TestAnInterruptedStageGoesOnAndEndsWithTheSameBits(t *testing.T) {
	needSignals(t)
	f := fixtures(t)
	straight, out := filepath.Join(t.TempDir(), "straight"), filepath.Join(t.TempDir(), "out")
	succeed(t, f.pretrain(straight, "--set", manySteps)...)
	for _, c := range []struct {
		signal os.Signal
		code   int
	}{{os.Interrupt, 130}, {syscall.SIGTERM, 143}} {
		run := start(t, f.pretrain(out, "--set", manySteps)...)
		run.until(t, "pretrain step ")
		// While it works, the folder is its own.
		if o := alma(t, f.pretrain(out, "--set", manySteps)...); o.code != 11 || !strings.Contains(o.stderr, fmt.Sprint("process ", run.cmd.Process.Pid)) {
			t.Errorf("second process: exit code %d, want 11 and the pid\n%s", o.code, o.stderr)
		}
		run.signal(t, c.signal)
		if code := run.wait(t); code != c.code {
			t.Errorf("%v: exit code %d, want %d\n%s", c.signal, code, c.code, run.seen.String())
		}
		if !strings.Contains(run.seen.String(), "alma pretrain --corpus ") {
			t.Errorf("%v: it does not say how to go on:\n%s", c.signal, run.seen.String())
		}
		if c, _, err := artifact.LatestCheckpoint(filepath.Join(out, "checkpoints")); err != nil || c == nil {
			t.Errorf("no checkpoint: %v", err)
		}
	}
	o := alma(t, f.pretrain(out, "--set", manySteps, "--threads", "1")...)
	if o.code != 0 || !strings.Contains(o.stderr, "continuing from step") {
		t.Errorf("exit code %d, want 0 from the checkpoint\n%s", o.code, o.stderr)
	}
	if weightsOf(t, out) != weightsOf(t, straight) {
		t.Error("the weights differ from those of the run that was never interrupted")
	}
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	needSignals(t)
	f := fixtures(t)
	// A step of about a second.
	run := start(t, f.pretrain(filepath.Join(t.TempDir(), "out"), "--set", "batch_tokens=131072", "--set", "steps=50")...)
	run.until(t, "pretrain step ")
	run.signal(t, os.Interrupt)
	run.until(t, "stops at once")
	run.signal(t, os.Interrupt)
	if code := run.wait(t); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
	if strings.Contains(run.seen.String(), "is saved") {
		t.Errorf("it took its time to save:\n%s", run.seen.String())
	}
}

func TestAFinishedStageIsLeftAlone(t *testing.T) {
	f := fixtures(t)
	base := copied(t, f.base)
	before, err := os.Stat(filepath.Join(base, "artifact.json"))
	if err != nil {
		t.Fatal(err)
	}
	o := alma(t, f.pretrain(base, "--set", "steps=4")...)
	if o.code != 0 || !strings.Contains(o.stderr, "unchanged") {
		t.Errorf("exit code %d, want 0 and unchanged\n%s", o.code, o.stderr)
	}
	after, err := os.Stat(filepath.Join(base, "artifact.json"))
	if err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("the artifact was written again (%v)", err)
	}
}

func TestADamagedResultIsMadeAgain(t *testing.T) {
	f := fixtures(t)
	base := copied(t, f.base)
	if err := os.Truncate(filepath.Join(base, "model.safetensors"), 100); err != nil {
		t.Fatal(err)
	}
	o := alma(t, f.pretrain(base, "--set", "steps=4")...)
	if o.code != 0 || !strings.Contains(o.stderr, "warning: ") {
		t.Errorf("exit code %d, want 0 and a warning\n%s", o.code, o.stderr)
	}
	if weightsOf(t, base) != weightsOf(t, f.base) {
		t.Error("the weights differ from those before the damage")
	}
	// The page of before is no part of what was made.
	if _, err := artifact.Open(base, true); err != nil {
		t.Error(err)
	}
}

func TestSeedAndRecipeConfigureAStage(t *testing.T) {
	f := fixtures(t)
	dir := t.TempDir()
	recipe := write(t, filepath.Join(dir, "recipe.yaml"), "stages:\n  p: {use: pretrain, corpus: c, tokenizer: t, steps: 2, seed: 1}\n")
	args := f.pretrain(filepath.Join(dir, "a"))
	succeed(t, append([]string{"pretrain", recipe}, args[1:]...)...)
	succeed(t, f.pretrain(filepath.Join(dir, "b"), "--set", "steps=2", "--seed", "1")...)
	succeed(t, f.pretrain(filepath.Join(dir, "c"), "--set", "steps=2", "--seed", "2")...)
	a, b, c := weightsOf(t, filepath.Join(dir, "a")), weightsOf(t, filepath.Join(dir, "b")), weightsOf(t, filepath.Join(dir, "c"))
	if a != b {
		t.Error("the recipe and the flags with the same values made other weights")
	}
	if b == c {
		t.Error("another seed made the same weights")
	}
}

func TestRejectedInputIsListedAndExits3(t *testing.T) {
	f := fixtures(t)
	texts, out := copied(t, f.texts), filepath.Join(t.TempDir(), "corpus")
	write(t, filepath.Join(texts, "bad.txt"), "not UTF-8: \xff\xfe")
	o := alma(t, "corpus", "build", texts, "--out", out)
	if o.code != 3 || !strings.Contains(o.stderr, "1 × bad UTF-8") || !strings.Contains(o.stdout, "bad.txt at byte 11") {
		t.Errorf("exit code %d, want 3 with file and offset\n%s%s", o.code, o.stdout, o.stderr)
	}
	if _, err := artifact.Open(out, true); err != nil {
		t.Errorf("the corpus is not complete: %v", err)
	}
}

func TestThePrecisionOfAFlagGoesBeforeThatOfTheRecipe(t *testing.T) {
	f := fixtures(t)
	recipe := write(t, filepath.Join(t.TempDir(), "bf16.yaml"), "precision: bf16\nstages:\n  p: {use: pretrain, corpus: c, tokenizer: t}\n")
	for _, tt := range []struct {
		flags []string
		want  string // what the stage records, "" for fp32
	}{{nil, "bf16"}, {[]string{"--precision", "fp32"}, ""}, {[]string{"--precision", "bf16"}, "bf16"}} {
		out := filepath.Join(t.TempDir(), "out")
		succeed(t, append(append([]string{"pretrain", recipe}, f.pretrain(out, "--set", "steps=2")[1:]...), tt.flags...)...)
		m, err := artifact.Open(out, false)
		if err != nil {
			t.Fatal(err)
		}
		var config struct {
			Precision string `json:"precision"`
		}
		if err := json.Unmarshal(m.Config, &config); err != nil {
			t.Fatal(err)
		}
		if want := cmp.Or(tt.want, "fp32"); config.Precision != tt.want || m.Environment["precision"] != want {
			t.Errorf("%q: the stage records %q, the environment %q; want %q", tt.flags, config.Precision, m.Environment["precision"], want)
		}
	}
}
