package preference

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/dataset"
)

func TestCommandsAreSplitAtSpacesOutsideOfQuotes(t *testing.T) {
	for _, tt := range []struct {
		command string
		want    []string
	}{
		{"score", []string{"score"}},
		{"  python3  score.py\t--fast\n", []string{"python3", "score.py", "--fast"}},
		{`sh -c 'wc -l' "a b"c ''`, []string{"sh", "-c", "wc -l", "a bc", ""}},
		{`it"'"s`, []string{"it's"}},
		{"", nil},
	} {
		if got, err := splitCommand(tt.command); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q (%v), want %q", tt.command, got, err, tt.want)
		}
	}
	if _, err := splitCommand("sh 'x"); err == nil {
		t.Error("an open quote was accepted")
	}
}

// program returns a command that runs a shell script.
func program(t *testing.T, script string) string {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no sh to write reward programs with")
	}
	path := filepath.Join(t.TempDir(), "reward.sh")
	if err := os.WriteFile(path, []byte(script), 0o666); err != nil {
		t.Fatal(err)
	}
	return "sh '" + path + "'"
}

// completions are what the programs of the tests score.
var completions = []dataset.Completion{
	{Prompt: dataset.UserPrompt("Is it <red>?", "It"), Text: " is red.", Ended: true},
	{Prompt: dataset.UserPrompt("Name a colour.", ""), Text: "Bl"},
}

func TestAProgramSeesPromptCompletionAndEndAndScoresInOrder(t *testing.T) {
	seen := filepath.Join(t.TempDir(), "seen.jsonl")
	p, err := NewProgram(program(t, "cat > '"+seen+"'\necho 0.5\necho ' -2e1 '\n"))
	if err != nil {
		t.Fatal(err)
	}
	if scores, err := p.Scores(t.Context(), completions); err != nil || !slices.Equal(scores, []float32{.5, -20}) {
		t.Errorf("scores %v (%v)", scores, err)
	}
	got, err := os.ReadFile(seen)
	const want = `{"prompt":"Is it <red>?","prefill":"It","completion":" is red.","ended":true}
{"prompt":"Name a colour.","completion":"Bl","ended":false}
`
	if err != nil || string(got) != want {
		t.Errorf("the program was given\n%swant\n%s(%v)", got, want, err)
	}
}

func TestFaultsOfARewardProgramAreNamed(t *testing.T) {
	for _, tt := range []struct{ name, script, says string }{
		{"no number", "echo 1\necho good\n", `line 2 of its output, "good", is not a finite number`},
		{"not finite", "echo NaN\n", `"NaN", is not a finite number`},
		{"too few", "echo 1\necho 'half way' >&2\n", "1 numbers for 2 responses; write one a line for each; it said:\nhalf way"},
		{"too many", "echo 1\necho 2\necho 3\n", `line 3 of its output, "3", is one more`},
		{"endless", "while echo 1; do :; done\n", "line 3"},
		{"a long line", "head -c 100000 /dev/zero\n", "line 1 of its output: bufio.Scanner: token too long"},
		{"an exit code", "echo 1\necho 2\necho 'no model' >&2\nexit 7\n", "exit status 7; it said:\nno model"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := NewProgram(program(t, tt.script))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Scores(t.Context(), completions); err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "reward.sh") {
				t.Errorf("%v, want the command and %q", err, tt.says)
			}
		})
	}
	for _, tt := range []struct {
		command string
		kind    *artifact.Kind
	}{{"", artifact.ErrUsage}, {"'x", artifact.ErrUsage}, {"/none/such", artifact.ErrNotFound}, {"no-such-program-of-alma", artifact.ErrNotFound}} {
		if _, err := NewProgram(tt.command); !errors.Is(err, tt.kind) {
			t.Errorf("%q: %v, want %v", tt.command, err, tt.kind)
		}
	}
}

func TestACancelledRunKillsItsRewardProgram(t *testing.T) {
	started := filepath.Join(t.TempDir(), "started")
	if err := exec.Command("mkfifo", started).Run(); err != nil {
		t.Skipf("no mkfifo to wait for the program with: %v", err)
	}
	p, err := NewProgram(program(t, "echo $$ > '"+started+"'\nexec sleep 600\n"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		_, err := os.ReadFile(started) // until the program has begun
		if err == nil {
			err = artifact.ErrTerminated
		}
		cancel(err)
	}()
	if _, err := p.Scores(ctx, completions); !errors.Is(err, artifact.ErrTerminated) {
		t.Errorf("%v, want the cause of the cancellation", err)
	}
}
