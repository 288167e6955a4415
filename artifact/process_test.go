package artifact_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// The test binary doubles as a program that works in a run folder: with
// workerVariable set it runs one of workers instead of the tests.
const workerVariable = "ALMA_ARTIFACT_TEST_WORKER"

var workers = map[string]func(dir string) error{
	"hold":  holdLock,
	"train": trainAndFinish,
	"fill":  fillDisk,
}

func TestMain(m *testing.M) {
	name := os.Getenv(workerVariable)
	if name == "" {
		os.Exit(m.Run())
	}
	err := artifact.ArmFailpointFromEnvironment()
	if err == nil {
		err = workers[name](os.Args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(artifact.ExitCode(err))
}

func worker(t *testing.T, name, dir, failpoint string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, dir)
	cmd.Env = append(os.Environ(), workerVariable+"="+name, artifact.FailpointVariable+"="+failpoint)
	return cmd
}

// holdLock takes the lock, says so and waits for its input to end.
func holdLock(dir string) error {
	lock, err := artifact.Lock(dir)
	if err != nil {
		return err
	}
	fmt.Println("locked")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return nil
	}
	return lock.Unlock()
}

const trainingSteps = 6

// trainAndFinish is a stage in small: it continues from the latest checkpoint,
// computes a state that depends on every step, writes a checkpoint a step and
// finishes. It prints the step of every checkpoint that is durable.
func trainAndFinish(run string) error {
	lock, err := artifact.Lock(run)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	dir := filepath.Join(run, "stage")
	stage, err := artifact.Begin(dir, "test", map[string]int{"steps": trainingSteps})
	if err != nil {
		return err
	}
	state := []byte("begin")
	latest, damaged, err := artifact.LatestCheckpoint(dir)
	if err != nil {
		return err
	}
	if len(damaged) > 0 {
		return fmt.Errorf("a kill damaged a checkpoint: %v", damaged)
	}
	step := 0
	if latest != nil {
		step = latest.Step
		if state, err = latest.ReadFile("state"); err != nil {
			return err
		}
	}
	for step < trainingSteps {
		step++
		for i := range 2000 {
			state = append(state[:min(len(state), 60_000)], byte(step*i), state[i%len(state)]+1)
		}
		if err := artifact.WriteCheckpoint(dir, step, artifact.AllBytes(map[string][]byte{"state": state, "trainer.json": fmt.Append(nil, step)}), 2); err != nil {
			return err
		}
		fmt.Println(step)
	}
	if err := artifact.WriteFile(stage.Path("model"), state); err != nil {
		return err
	}
	_, err = stage.Finish("model")
	return err
}

// trainedModel runs trainAndFinish without any kill.
func trainedModel(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	if out, err := worker(t, "train", dir, "").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	model, err := os.ReadFile(filepath.Join(dir, "stage", "model"))
	if err != nil {
		t.Fatal(err)
	}
	return model
}

// checkFinished runs the worker to its end after it was killed with the given
// output, and checks that it lost nothing that it had reported.
func checkFinished(t *testing.T, dir string, killedOutput, want []byte) {
	t.Helper()
	reported := 0
	if lines := bytes.Fields(killedOutput); len(lines) > 0 {
		reported, _ = strconv.Atoi(string(lines[len(lines)-1]))
	}
	if latest, damaged, err := artifact.LatestCheckpoint(filepath.Join(dir, "stage")); err != nil || len(damaged) > 0 || reported > 0 && (latest == nil || latest.Step < reported) {
		t.Fatalf("step %d was reported, latest is %v, damaged %v, %v", reported, latest, damaged, err)
	}
	if out, err := worker(t, "train", dir, "").CombinedOutput(); err != nil {
		t.Fatalf("resuming: %v: %s", err, out)
	}
	model, err := os.ReadFile(filepath.Join(dir, "stage", "model"))
	if err != nil || !bytes.Equal(model, want) {
		t.Errorf("the model differs from that of a run that was never killed; %v", err)
	}
	if _, err := artifact.Open(filepath.Join(dir, "stage"), true); err != nil {
		t.Error(err)
	}
	noTemporaries(t, artifact.OS{}, dir)
}

func TestKillAtEveryFailpointLosesNothing(t *testing.T) {
	want := trainedModel(t)
	killed := 0
	for _, name := range artifact.Failpoints() {
		for _, count := range []int{1, 5} {
			dir := t.TempDir()
			cmd := worker(t, "train", dir, fmt.Sprintf("%s:%d", name, count))
			out, err := cmd.Output()
			if cmd.ProcessState.Exited() { // the failpoint is not on this path, or not that often
				if err != nil {
					t.Errorf("%s:%d: %v", name, count, err)
				}
				continue
			}
			killed++
			t.Run(fmt.Sprintf("%s:%d", name, count), func(t *testing.T) { checkFinished(t, dir, out, want) })
		}
	}
	if killed < 30 {
		t.Errorf("only %d kills happened", killed)
	}
	t.Logf("%d kills", killed)
}

func TestKillAtARandomTimeLosesNothing(t *testing.T) {
	want := trainedModel(t)
	for i := range 20 {
		dir := t.TempDir()
		cmd := worker(t, "train", dir, "")
		var out bytes.Buffer
		cmd.Stdout = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		delay := time.Duration(rand.New(rand.NewPCG(1, uint64(i))).IntN(60)) * time.Millisecond
		timer := time.AfterFunc(delay, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // killed or, if it was fast, done
		timer.Stop()
		checkFinished(t, dir, out.Bytes(), want)
	}
}

func TestFailpointCanMakeAStepFail(t *testing.T) {
	for action, want := range map[string]int{"error": 1, "nospace": 13} {
		cmd := worker(t, "train", t.TempDir(), "checkpoint.rename.before:2:"+action)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		_ = cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != want || !strings.Contains(stderr.String(), "step-00000002") {
			t.Errorf("%s: exit code %d, want %d: %s", action, got, want, &stderr)
		}
	}
}

func TestArmFailpointRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, description := range []string{"file.sync.before", "nothing:1", "file.sync.before:0", "file.sync.before:x", "file.sync.before:1:burn", "a:1:kill:x", ":1"} {
		if err := artifact.ArmFailpoint(description); !errors.Is(err, artifact.ErrUsage) {
			t.Errorf("%q gives %v", description, err)
			_ = artifact.ArmFailpoint("")
		}
	}
}

func TestSecondProcessInAFolderFailsAtOnceAndNamesTheFirst(t *testing.T) {
	dir := t.TempDir()
	holder := worker(t, "hold", dir, "")
	stdin, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "locked\n" {
		t.Fatalf("the holder says %q, %v", line, err)
	}

	begin := time.Now()
	second := worker(t, "hold", dir, "")
	var stderr bytes.Buffer
	second.Stderr = &stderr
	_ = second.Run()
	if took := time.Since(begin); took > time.Second {
		t.Errorf("the second process took %v", took)
	}
	if got := second.ProcessState.ExitCode(); got != 11 || !strings.Contains(stderr.String(), fmt.Sprintf("process %d ", holder.Process.Pid)) {
		t.Errorf("exit code %d: %s", got, &stderr)
	}
	var locked *artifact.LockedError
	if _, err := artifact.Lock(dir); !errors.As(err, &locked) || locked.PID != holder.Process.Pid {
		t.Errorf("locking here gives %v", err)
	}

	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	stdin.Close()
	_ = holder.Wait()
	lock, err := artifact.Lock(dir)
	if err != nil {
		t.Fatalf("after the holder was killed: %v", err)
	}
	if _, err := artifact.Lock(dir); !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Errorf("locking twice in one process gives %v", err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	if lock, err = artifact.Lock(dir); err != nil {
		t.Fatalf("after Unlock: %v", err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
}

func TestCleanTemporariesRemovesOnlyOurs(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		".alma-tmp-1-1-x", "sub/.alma-tmp-22-333-step-00000001/model/a", // ours
		".alma-tmp-x-1-a", ".alma-tmp-1-a", ".alma-tmp-", ".alma-tmp-1-1-", "alma-tmp-1-1-x", "x.tmp", ".alma.lock", "sub/keep",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		rewrite(t, path, []byte("x"))
	}
	outside := filepath.Join(t.TempDir(), ".alma-tmp-1-1-x")
	rewrite(t, outside, nil)
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(dir, "link")); err != nil {
		t.Log("no symbolic links here:", err)
	}
	removed, err := artifact.CleanTemporaries(dir)
	if err != nil || len(removed) != 2 {
		t.Errorf("removed %v, %v", removed, err)
	}
	for _, name := range []string{".alma-tmp-x-1-a", ".alma-tmp-1-a", ".alma-tmp-", ".alma-tmp-1-1-", "alma-tmp-1-1-x", "x.tmp", ".alma.lock", "sub/keep"} {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(outside); err != nil {
		t.Errorf("a link was followed: %v", err)
	}
}

// fillDisk writes checkpoints until the disk is full.
func fillDisk(dir string) error {
	if _, err := artifact.CleanTemporaries(dir); err != nil {
		return err
	}
	for step := 1; step < 1000; step++ {
		if err := artifact.WriteCheckpoint(dir, step, artifact.AllBytes(map[string][]byte{"state": pattern(step, 100_000)}), 100); err != nil {
			return err
		}
	}
	return nil
}
