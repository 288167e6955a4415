package ppo

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

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
	if back, err := dataset.ReadCompletions(seen, dataset.Reading{BadRows: dataset.Stop}); err != nil || len(back.Rows) != 2 {
		t.Errorf("reading it back: %v (%v)", back, err)
	}
}
