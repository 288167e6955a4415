package ppo

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
	"github.com/seed-b72bdb6c/alma/tokenizer"
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

// letters is a tokenizer of bytes with the chat tokens.
func letters(t *testing.T) *tokenizer.Tokenizer {
	t.Helper()
	texts := func(yield func(string, error) bool) { yield("It is blue. It is red.", nil) }
	tok, _, err := tokenizer.Train(context.Background(), texts, tokenizer.Options{VocabSize: 262})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func answers(t *testing.T, tok *tokenizer.Tokenizer) []Text {
	t.Helper()
	end, ok := tok.TokenID(tokenizer.IMEnd)
	if !ok {
		t.Fatal("no end token")
	}
	return []Text{
		{Prompt: dataset.UserPrompt("Is it <red>?", "It"), Response: append(tok.Encode(" is red."), end), Ended: true},
		{Prompt: dataset.UserPrompt("Name a colour.", ""), Response: tok.Encode("Bl")},
	}
}

func TestARewardProgramSeesPromptCompletionAndEndAndScoresInOrder(t *testing.T) {
	tok := letters(t)
	texts := answers(t, tok)
	seen := filepath.Join(t.TempDir(), "seen.jsonl")
	reward, err := CommandReward(program(t, "cat > '"+seen+"'\necho 0.5\necho ' -2e1 '\n"), tok)
	if err != nil {
		t.Fatal(err)
	}
	scores, err := reward(t.Context(), texts)
	if err != nil || !slices.Equal(scores, []float32{.5, -20}) {
		t.Errorf("scores %v (%v)", scores, err)
	}
	got, err := os.ReadFile(seen)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"prompt":"Is it <red>?","prefill":"It","completion":" is red.","ended":true}
{"prompt":"Name a colour.","completion":"Bl","ended":false}
`
	if string(got) != want {
		t.Errorf("the program was given\n%swant\n%s", got, want)
	}
	if back, err := dataset.ReadCompletions(seen); err != nil || len(back) != 2 {
		t.Errorf("reading it back: %v (%v)", back, err)
	}
}

func TestFaultsOfARewardProgramAreNamed(t *testing.T) {
	tok := letters(t)
	texts := answers(t, tok)
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
			reward, err := CommandReward(program(t, tt.script), tok)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := reward(t.Context(), texts); err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "reward.sh") {
				t.Errorf("%v, want the command and %q", err, tt.says)
			}
		})
	}
	for _, tt := range []struct {
		command string
		kind    *artifact.Kind
	}{{"", artifact.ErrUsage}, {"'x", artifact.ErrUsage}, {"/none/such", artifact.ErrNotFound}, {"no-such-program-of-alma", artifact.ErrNotFound}} {
		if _, err := CommandReward(tt.command, tok); !errors.Is(err, tt.kind) {
			t.Errorf("%q: %v, want %v", tt.command, err, tt.kind)
		}
	}
}

func TestACancelledRunKillsItsRewardProgram(t *testing.T) {
	tok := letters(t)
	texts := answers(t, tok)
	started := filepath.Join(t.TempDir(), "started")
	if err := exec.Command("mkfifo", started).Run(); err != nil {
		t.Skipf("no mkfifo to wait for the program with: %v", err)
	}
	reward, err := CommandReward(program(t, "echo $$ > '"+started+"'\nexec sleep 600\n"), tok)
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
	if _, err := reward(ctx, texts); !errors.Is(err, artifact.ErrTerminated) {
		t.Errorf("%v, want the cause of the cancellation", err)
	}
}
