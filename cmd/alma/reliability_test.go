//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// lifeStages are the stages of the recipe in order.
var lifeStages = []string{"corpus", "tokenizer", "pretrain", "dialogues", "sft", "rankings", "reward", "ppo", "evaluate"}

// trainingStages are those with checkpoints.
var trainingStages = []string{"pretrain", "sft", "reward", "ppo"}

// life is the command line of a whole recipe that takes about a second, with
// several checkpoints in every training stage.
func life(t testing.TB, out string, more ...string) []string {
	t.Helper()
	args := []string{"--checkpoint-steps", "2"}
	for _, set := range []string{
		"pretrain.context=192", "pretrain.batch_tokens=384", "pretrain.micro_rows=2", "pretrain.steps=12", "pretrain.eval_every=5",
		"sft.epochs=0.05", "rankings.prompts=40", "reward.batch_prompts=4", "ppo.iterations=2", "ppo.minibatch=2",
	} {
		args = append(args, "--set", set)
	}
	return toyRun(t, out, append(args, more...)...)
}

// straightLife is a run that nothing has interrupted.
var straightLife struct {
	sync.Once
	failed bool
}

func straight(t testing.TB) string {
	t.Helper()
	folder := filepath.Join(scratch, "life")
	straightLife.Do(func() {
		straightLife.failed = true
		succeed(t, life(t, folder)...)
		straightLife.failed = false
	})
	if straightLife.failed {
		t.Fatal("the run that nothing interrupts failed")
	}
	return folder
}

// before returns a run folder in which all stages before one are complete.
func before(t testing.TB, stage string) string {
	t.Helper()
	from, to := straight(t), filepath.Join(t.TempDir(), "run")
	for _, name := range lifeStages[:slices.Index(lifeStages, stage)] {
		if err := os.CopyFS(filepath.Join(to, name), os.DirFS(filepath.Join(from, name))); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// results are the SHA-256 of what a finished stage made. When it was made, how
// long it took and how often it was interrupted are no part of that: the
// manifest and the TensorBoard events are left out.
func results(t testing.TB, run, stage string) map[string]string {
	t.Helper()
	m, err := artifact.Open(filepath.Join(run, stage), true)
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{}
	for _, f := range m.Files {
		if !strings.Contains(f.Name, "tfevents") {
			sums[f.Name] = f.SHA256
		}
	}
	return sums
}

// sameAsStraight compares finished stages with those of the straight run.
func sameAsStraight(t testing.TB, run string, stages ...string) {
	t.Helper()
	for _, stage := range stages {
		got, want := results(t, run, stage), results(t, straight(t), stage)
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if got[name] != want[name] {
				t.Errorf("%s/%s differs from that of the run that nothing interrupted", stage, name)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s holds %v, want %v", stage, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
	}
}

// at runs a command with a failpoint armed.
func at(t testing.TB, failpoint string, args []string) outcome {
	t.Helper()
	cmd := command(args...)
	cmd.Env = append(cmd.Env, "ALMA_FAILPOINT="+failpoint)
	return finish(t, cmd)
}

var begun = regexp.MustCompile(`(?m)^\[\d/9\] (\w+): `)

// lastBegun is the stage that a run's progress named last.
func lastBegun(stderr string) string {
	all := begun.FindAllStringSubmatch(stderr, -1)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1][1]
}

// nothingLeftBehind looks for temporaries, which each start of a run cleans up.
func nothingLeftBehind(t testing.TB, run string) {
	t.Helper()
	if left, err := artifact.CleanTemporaries(run); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

// completeStage has a run go on until a stage is complete, and no further.
func completeStage(t testing.TB, run, stage string) {
	t.Helper()
	if o := at(t, "stage.finish.after:1", life(t, run)); o.code != -1 || lastBegun(o.stderr) != stage {
		t.Fatalf("%s did not become complete: exit code %d in %s\n%s", stage, o.code, lastBegun(o.stderr), o.stderr)
	}
	nothingLeftBehind(t, run)
}

// Failpoints at which a stage is killed, so that it gets further each time.
// Writing recipe.json at the start of the program reaches those of files once.
var (
	killsInTraining = []string{
		"train.after_step:1", "train.before_checkpoint:1", "checkpoint.make-folder.after:1", "checkpoint.write-file.after:3", "checkpoint.write-manifest.after:1",
		"checkpoint.rename.before:1", "checkpoint.rename.after:1", "train.after_checkpoint:1", "checkpoint.prune.before:1",
		"file.sync.after:3", "stage.sync-files.before:1", "stage.finish.before:1",
	}
	killsInOthers = []string{
		"file.write.before:2", "file.rename.before:2", "file.sync-folder.after:2", "stage.sync-files.before:1", "stage.sync-files.after:1", "stage.finish.before:1",
	}
)

// killsWanted is how often a stage is killed at random times: some times, or as
// often as the environment's ALMA_KILLS says.
func killsWanted(t testing.TB) int {
	text := os.Getenv("ALMA_KILLS")
	if text == "" {
		return 3
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("ALMA_KILLS is %q, want a number of kills above 0", text)
	}
	return n
}

// RELIABILITY, row 1: a stage that is killed at durable steps and at random
// times, again and again, ends with the bits of one that was not.
func TestEveryStageThatIsKilledEndsWithTheSameBits(t *testing.T) {
	needSignals(t)
	for _, stage := range lifeStages {
		t.Run(stage, func(t *testing.T) {
			failpoints, least := killsInOthers, 3
			if slices.Contains(trainingStages, stage) {
				failpoints, least = killsInTraining, 5
			}
			run := before(t, stage)
			kills := 0
			for _, failpoint := range failpoints {
				switch o := at(t, failpoint, life(t, run)); {
				case o.code != -1 && o.code != 0:
					t.Fatalf("%s: exit code %d\n%s", failpoint, o.code, o.stderr)
				case o.code == -1 && lastBegun(o.stderr) == stage:
					kills++
				default:
					t.Errorf("%s: it was not %s that was killed there, but %q (exit code %d)", failpoint, stage, lastBegun(o.stderr), o.code)
				}
			}
			completeStage(t, run, stage)
			sameAsStraight(t, run, stage)
			if kills++; kills < least {
				t.Errorf("killed %d times at failpoints, want %d or more", kills, least)
			}
			killedAtRandom(t, stage, killsWanted(t))
		})
	}
}

// killedAtRandom kills a stage at random times after its beginning until it was
// killed so often. When it gets to its end in spite of that, it is compared with
// the straight run's and begins again.
func killedAtRandom(t *testing.T, stage string, wanted int) {
	t.Helper()
	random := rand.New(rand.NewPCG(uint64(slices.Index(lifeStages, stage)), 7))
	run := before(t, stage)
	manifest := func() string { return filepath.Join(run, stage, "artifact.json") }
	// From beginning to end it takes so long.
	p := startWith(t, []string{"ALMA_FAILPOINT=stage.finish.after:1"}, life(t, run)...)
	p.until(t, "] "+stage+": ")
	began := time.Now()
	p.wait(t)
	took := time.Since(began)
	run = before(t, stage)
	ends := 0
	for kills := 0; kills < wanted; {
		p = start(t, life(t, run)...)
		p.until(t, "] "+stage+": ")
		timer := time.AfterFunc(time.Duration(random.Float64()*float64(took)), func() { p.cmd.Process.Kill() })
		code := p.wait(t)
		timer.Stop()
		if code != -1 && code != 0 {
			t.Fatalf("after %d kills: exit code %d\n%s", kills, code, p.seen.String())
		}
		if _, err := os.Stat(manifest()); err == nil {
			if sameAsStraight(t, run, stage); t.Failed() {
				t.Fatalf("after %d kills", kills)
			}
			ends++
			run = before(t, stage)
			continue
		}
		kills++
	}
	completeStage(t, run, stage)
	sameAsStraight(t, run, stage)
	t.Logf("%d kills at random times, %d ends between them", wanted, ends)
}

// A whole life that is killed every few durable steps, wherever that is.
func TestALifeThatIsKilledAgainAndAgainEndsWithTheSameBits(t *testing.T) {
	needSignals(t)
	run := filepath.Join(t.TempDir(), "run")
	random := rand.New(rand.NewPCG(11, 7))
	kills := 0
	for ; ; kills++ {
		o := at(t, fmt.Sprintf("any:%d", 20+random.IntN(120)), life(t, run))
		if o.code == 0 {
			break
		}
		if o.code != -1 || kills == 100 {
			t.Fatalf("after %d kills: exit code %d\n%s", kills, o.code, o.stderr)
		}
	}
	sameAsStraight(t, run, lifeStages...)
	nothingLeftBehind(t, run)
	if kills < 5 {
		t.Errorf("killed %d times, want 5 or more", kills)
	}
	t.Logf("%d kills", kills)
}

// RELIABILITY, row 6.
func TestThreadsChangeNoBitOfALife(t *testing.T) {
	for _, threads := range []int{1, 2, 4, 8} {
		run := filepath.Join(t.TempDir(), "run")
		succeed(t, life(t, run, "--threads", strconv.Itoa(threads))...)
		if sameAsStraight(t, run, lifeStages...); t.Failed() {
			t.Fatalf("with %d threads", threads)
		}
	}
}

// RELIABILITY, row 4: damage to the newest checkpoint is named, and the one
// before it is used.
func TestEveryTrainingStagePassesOverADamagedCheckpoint(t *testing.T) {
	needSignals(t)
	for _, stage := range trainingStages {
		t.Run(stage, func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(len(stage)), 7))
			run := before(t, stage)
			if o := at(t, "train.after_checkpoint:3", life(t, run)); o.code != -1 {
				t.Fatalf("exit code %d\n%s", o.code, o.stderr)
			}
			checkpoint, _, err := artifact.LatestCheckpoint(filepath.Join(run, stage, "checkpoints"))
			if err != nil || checkpoint == nil || checkpoint.Step != 6 {
				t.Fatalf("newest checkpoint is %v (%v), want that of step 6", checkpoint, err)
			}
			// That every file is checked is the artifact package's to show.
			for _, i := range random.Perm(len(checkpoint.Files))[:3] {
				f := checkpoint.Files[i]
				broken := filepath.Join(t.TempDir(), "run")
				if err := os.CopyFS(broken, os.DirFS(run)); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(broken, stage, "checkpoints", filepath.Base(checkpoint.Path()), f.Name)
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				data[random.IntN(len(data))] ^= 1 << random.IntN(8)
				write(t, path, string(data))
				o := at(t, "stage.finish.after:1", life(t, broken))
				if o.code != -1 || !strings.Contains(o.stderr, path) || !strings.Contains(o.stderr, "passed over") || !strings.Contains(o.stderr, stage+": continuing from step 4") {
					t.Errorf("%s: exit code %d, want it named and passed over\n%s", f.Name, o.code, o.stderr)
					continue
				}
				sameAsStraight(t, broken, stage)
			}
		})
	}
}

// RELIABILITY, row 3: a full disk ends a stage with code 13, the file is named,
// nothing that was there is damaged, and with room it goes on.
func TestEveryStageWithoutSpaceSaysSoAndGoesOn(t *testing.T) {
	for i, stage := range lifeStages {
		t.Run(stage, func(t *testing.T) {
			run := before(t, stage)
			failpoints := []string{"file.write.before:2", "stage.finish.before:1"}
			if slices.Contains(trainingStages, stage) {
				failpoints = slices.Concat([]string{"checkpoint.write-file.before:2", "checkpoint.rename.before:2"}, failpoints)
			}
			for _, failpoint := range failpoints {
				o := at(t, failpoint+":nospace", life(t, run))
				if o.code != 13 || !strings.Contains(o.stderr, "no space left") || !strings.Contains(o.stderr, filepath.Join(run, stage)) {
					t.Errorf("%s: exit code %d, want 13 and the file\n%s", failpoint, o.code, o.stderr)
				}
				sameAsStraight(t, run, lifeStages[:i]...)
			}
			// The program kills itself once the stage is complete, where the
			// system can.
			if o := at(t, "stage.finish.after:1", life(t, run)); lastBegun(o.stderr) != stage {
				t.Errorf("exit code %d in %s\n%s", o.code, lastBegun(o.stderr), o.stderr)
			}
			sameAsStraight(t, run, stage)
		})
	}
}

// RELIABILITY, rows 10 and 11.
func TestATerminatedLifeHoldsItsFoldersUntilItsCheckpointAndGoesOn(t *testing.T) {
	needSignals(t)
	long := []string{"--checkpoint-steps", "100", "--set", "pretrain.steps=200", "--set", "ppo.iterations=20"}
	dir, texts := t.TempDir(), fixtures(t).texts
	whole, run := filepath.Join(dir, "whole"), filepath.Join(dir, "run")
	succeed(t, life(t, whole, long...)...)
	for _, stage := range []string{"pretrain", "ppo"} {
		p := start(t, life(t, run, long...)...)
		p.until(t, stage+" step ")
		p.signal(t, syscall.SIGSTOP) // it is alive and gets no further
		pid := fmt.Sprint("process ", p.cmd.Process.Pid)
		for _, args := range [][]string{
			life(t, run, long...),
			{"sft", "--base", filepath.Join(straight(t), "pretrain"), "--dialogues", filepath.Join(straight(t), "dialogues", "train.jsonl"), "--out", filepath.Join(run, "sft")},
			{"corpus", "build", texts, "--out", filepath.Join(run, "corpus")},
		} {
			began := time.Now()
			o := alma(t, args...)
			if took := time.Since(began); o.code != 11 || !strings.Contains(o.stderr, pid) || took > time.Second {
				t.Errorf("alma %s beside the run: exit code %d after %v, want 11 within a second and the pid\n%s", args[0], o.code, took, o.stderr)
			}
		}
		// Who looks at it is not kept waiting.
		if shown := succeed(t, "report", run); !strings.Contains(shown, "report.html") {
			t.Errorf("alma report beside the run wrote\n%s", shown)
		}
		if page, err := os.ReadFile(filepath.Join(run, "report.md")); err != nil || !strings.Contains(string(page), "Not finished yet: "+stage+" (under way") {
			t.Errorf("the page of the run does not say that %s is under way (%v)", stage, err)
		}
		p.signal(t, syscall.SIGTERM)
		p.signal(t, syscall.SIGCONT)
		if code := p.wait(t); code != 143 || !strings.Contains(p.seen.String(), "give the same command again") {
			t.Errorf("exit code %d, want 143 and how to go on\n%s", code, p.seen.String())
		}
		if c, _, err := artifact.LatestCheckpoint(filepath.Join(run, stage, "checkpoints")); err != nil || c == nil || c.Step < 1 {
			t.Errorf("%s: checkpoint %v (%v)", stage, c, err)
		}
	}
	o := alma(t, life(t, run, long...)...)
	if o.code != 0 || !strings.Contains(o.stderr, "ppo: continuing from step") {
		t.Fatalf("exit code %d, want 0 from the checkpoint\n%s", o.code, o.stderr)
	}
	for _, stage := range lifeStages {
		if got, want := results(t, run, stage), results(t, whole, stage); !maps.Equal(got, want) {
			t.Errorf("%s differs from that of the run that nothing interrupted: %v, want %v", stage, got, want)
		}
	}
}

// A verb at work in a stage's folder keeps the run out as well.
func TestARunWaitsForAVerbInItsFolder(t *testing.T) {
	needSignals(t)
	run := before(t, "sft")
	sft := filepath.Join(run, "sft")
	p := start(t, "sft", "--base", filepath.Join(run, "pretrain"), "--dialogues", filepath.Join(run, "dialogues", "train.jsonl"), "--out", sft, "--set", "epochs=50")
	p.until(t, "sft step ")
	p.signal(t, syscall.SIGSTOP)
	if o := alma(t, life(t, run)...); o.code != 11 || !strings.Contains(o.stderr, fmt.Sprint("process ", p.cmd.Process.Pid)) {
		t.Errorf("exit code %d, want 11\n%s", o.code, o.stderr)
	}
	if _, err := os.Stat(filepath.Join(sft, "metrics.jsonl")); err != nil {
		t.Errorf("what the verb wrote is gone: %v", err)
	}
}

// files are the times and sizes of all files of stages.
func files(t testing.TB, run string, stages ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, stage := range stages {
		err := filepath.WalkDir(filepath.Join(run, stage), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if err == nil {
				all[path] = fmt.Sprint(info.ModTime().UnixNano(), " ", info.Size())
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestALifeGivenAgainRewritesNothingAndAChangeOnlyWhatFollowsFromIt(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	succeed(t, life(t, run)...)
	old := files(t, run, lifeStages...)
	var reports []string
	for range 2 {
		o := alma(t, life(t, run)...)
		if o.code != 0 || strings.Count(o.stderr, ": unchanged") != len(lifeStages) {
			t.Errorf("exit code %d, want 0 and all unchanged\n%s", o.code, o.stderr)
		}
		if !maps.Equal(files(t, run, lifeStages...), old) {
			t.Error("files of finished stages were written again")
		}
		_, sum, err := artifact.HashFile(filepath.Join(run, "report.html"))
		if err != nil {
			t.Fatal(err)
		}
		reports = append(reports, sum)
	}
	if reports[0] != reports[1] {
		t.Error("the same run has two reports")
	}

	// Settings that cannot work cost nothing that is finished.
	rankings := write(t, filepath.Join(t.TempDir(), "own.jsonl"), `{"prompt":"A","completions":["b"],"ranks":[1]}`+"\n")
	for _, tt := range []struct{ set, says string }{
		{"pretrain.heads=3", "width 16 is not a multiple of 3 heads"},
		{"pretrain.batch_tokens=400", "batch_tokens 400 is not a multiple of context 192"},
		{"sft.context=193", "sft: configuring sft: context 193 is longer than the model's"},
		{"sft.batch_rows=9", "batch_rows 9 is not a multiple of micro_rows 8"},
		{"reward.context=1000", "reward: configuring reward: context 1000 is longer"},
		{"ppo.context=1000", "ppo: configuring ppo: context 1000 is longer"},
		{"ppo.max_tokens=192", "leaves no room for a prompt"},
		{"reward.rankings=" + rankings, "own.jsonl:1: one completion only"},
	} {
		if o := alma(t, life(t, run, "--set", tt.set)...); o.code != 4 || !strings.Contains(o.stderr, tt.says) {
			t.Errorf("%s: exit code %d, want 4 and %q\n%s", tt.set, o.code, tt.says, o.stderr)
		}
	}
	if !maps.Equal(files(t, run, lifeStages...), old) {
		t.Error("settings that were refused changed files of finished stages")
	}

	kept := lifeStages[:7]
	o := alma(t, life(t, run, "--set", "ppo.beta=0.3")...)
	if o.code != 0 || strings.Count(o.stderr, ": unchanged") != len(kept) {
		t.Errorf("exit code %d after a new ppo.beta\n%s", o.code, o.stderr)
	}
	if !containsAll(old, files(t, run, kept...)) {
		t.Error("a new ppo.beta changed stages before ppo")
	}
	changed := results(t, run, "ppo")
	if changed["model.safetensors"] == results(t, straight(t), "ppo")["model.safetensors"] {
		t.Error("a new ppo.beta left the weights as they were")
	}

	// Killed while the stale stages go, it still does not continue them.
	needSignals(t)
	again := filepath.Join(t.TempDir(), "again")
	if err := os.CopyFS(again, os.DirFS(straight(t))); err != nil {
		t.Fatal(err)
	}
	for _, failpoint := range []string{"folder.remove.after:1", "folder.remove.before:1", "folder.remove.after:1", "stage.finish.before:1"} {
		if o := at(t, failpoint, life(t, again, "--set", "ppo.beta=0.3")); o.code != -1 {
			t.Errorf("%s: exit code %d\n%s", failpoint, o.code, o.stderr)
		}
	}
	succeed(t, life(t, again, "--set", "ppo.beta=0.3")...)
	if got := results(t, again, "ppo"); !maps.Equal(got, changed) {
		t.Errorf("killed while stale stages were removed, it ends as %v, want %v", got, changed)
	}
}

func containsAll(all, some map[string]string) bool {
	for name, value := range some {
		if all[name] != value {
			return false
		}
	}
	return true
}

// RELIABILITY, row 5: what would break the bits is refused by name.
func TestAKeyThatChangesAmidAStageIsRefusedByName(t *testing.T) {
	needSignals(t)
	for _, stage := range trainingStages {
		run := before(t, stage)
		if o := at(t, "train.after_checkpoint:1", life(t, run)); o.code != -1 {
			t.Fatalf("%s: exit code %d\n%s", stage, o.code, o.stderr)
		}
		o := alma(t, life(t, run, "--set", stage+".lr=0.0123")...)
		if o.code != 4 || !strings.Contains(o.stderr, "config.lr was ") || !strings.Contains(o.stderr, "is 0.0123") || !strings.Contains(o.stderr, filepath.Join(run, stage)) {
			t.Errorf("%s: exit code %d, want 4 and the key with both values\n%s", stage, o.code, o.stderr)
		}
		completeStage(t, run, stage)
		sameAsStraight(t, run, stage)
	}
}

func TestDamageToAFinishedStageIsNamedBeforeItIsUsed(t *testing.T) {
	for _, name := range []string{"corpus/train/documents.jsonl", "pretrain/model.safetensors", "pretrain/shards/train/00000.bin", "rankings/rankings.jsonl", "evaluate/evaluation.json"} {
		run := filepath.Join(t.TempDir(), "run")
		if err := os.CopyFS(run, os.DirFS(straight(t))); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(run, filepath.FromSlash(name))
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 4
		write(t, path, string(data))
		o := alma(t, life(t, run)...)
		if o.code != 12 || !strings.Contains(o.stderr, path) || !strings.Contains(o.stderr, "to run the stage again") {
			t.Errorf("%s: exit code %d, want 12, the file and the remedy\n%s", name, o.code, o.stderr)
		}
	}
}

// Shards of another text are not trained on: nothing but the shards tells of
// what a run that stopped before its first checkpoint had read.
func TestAStageThatStoppedBeforeItsFirstCheckpointReadsItsInputsAgain(t *testing.T) {
	needSignals(t)
	f := fixtures(t)
	dir := t.TempDir()
	texts, corpus := filepath.Join(dir, "texts"), filepath.Join(dir, "corpus")
	if err := os.Mkdir(texts, 0o777); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		write(t, filepath.Join(texts, fmt.Sprintf("%02d.txt", i)), strings.Repeat(fmt.Sprintf("The colour of car %d is grey. ", i), 8))
	}
	succeed(t, "corpus", "build", texts, "--out", corpus, "--validation", ".2")
	out, want := filepath.Join(dir, "out"), filepath.Join(dir, "want")
	if o := at(t, "train.after_step:1", f.pretrain(out, "--set", "steps=3")); o.code != -1 {
		t.Fatalf("exit code %d\n%s", o.code, o.stderr)
	}
	f.corpus = corpus
	succeed(t, f.pretrain(out, "--set", "steps=3")...)
	succeed(t, f.pretrain(want, "--set", "steps=3")...)
	if weightsOf(t, out) != weightsOf(t, want) {
		t.Error("it was trained on what it had read before the corpus changed")
	}
}

func TestAFileSystemThatIsFullEndsALifeWithCode13AndRoomLetsItGoOn(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "alma-test", dir).CombinedOutput(); err != nil {
		t.Skipf("mounting a file system of 1 MiB: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("unmounting: %v: %s", err, out)
		}
	})
	run := filepath.Join(dir, "run")
	seen := map[string]bool{}
	for size := 1; ; size++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if out, err := exec.CommandContext(ctx, "mount", "-o", fmt.Sprintf("remount,size=%dm", size), dir).CombinedOutput(); err != nil {
			t.Fatalf("giving more room: %v: %s", err, bytes.TrimSpace(out))
		}
		cancel()
		o := alma(t, life(t, run)...)
		if o.code == 0 {
			break
		}
		stage := lastBegun(o.stderr)
		if o.code != 13 || !strings.Contains(o.stderr, "space") || !strings.Contains(o.stderr, run) || size == 30 {
			t.Fatalf("with %d MiB: exit code %d in %s, want 13 and the file\n%s", size, o.code, stage, o.stderr)
		}
		seen[stage] = true
		for _, name := range lifeStages[:max(0, slices.Index(lifeStages, stage))] {
			if _, err := artifact.Open(filepath.Join(run, name), true); err != nil {
				t.Error(err)
			}
		}
	}
	sameAsStraight(t, run, lifeStages...)
	nothingLeftBehind(t, run)
	t.Logf("without space in %v", slices.Sorted(maps.Keys(seen)))
}
