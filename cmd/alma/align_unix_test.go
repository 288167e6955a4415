//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestAnInterruptedPPOEndsItsRewardProgramAndGoesOn(t *testing.T) {
	needSignals(t)
	a := alignedFixture(t)
	dir := t.TempDir()
	straight, out, pipe := filepath.Join(dir, "straight"), filepath.Join(dir, "out"), filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skipf("no named pipe to wait for the program with: %v", err)
	}
	script := write(t, filepath.Join(dir, "score.sh"), fmt.Sprintf(`if [ "$ALMA_TEST_HANG" ]; then echo $$ > '%s'; exec sleep 600; fi
while read line; do echo ${#line}; done`, pipe))
	args := func(out string) []string {
		return a.ppo(out, "--reward-command", "sh "+script, "--set", "pretrain_coefficient=0")
	}
	succeed(t, args(straight)...)
	run := startWith(t, []string{"ALMA_TEST_HANG=1"}, args(out)...)
	said, err := os.ReadFile(pipe) // until the program has begun
	if err != nil {
		t.Fatal(err)
	}
	run.signal(t, syscall.SIGTERM)
	if code := run.wait(t); code != 143 {
		t.Errorf("exit code %d, want 143\n%s", code, run.seen.String())
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(said)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		t.Errorf("the program, process %d, is still there (%v)", pid, err)
	}
	succeed(t, args(out)...)
	if weightsOf(t, out) != weightsOf(t, straight) {
		t.Error("the weights differ from those of the run that was never interrupted")
	}
}
