package ppo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

const (
	// maxScoreLine bounds a line of a reward program's output, in bytes.
	maxScoreLine = 1 << 10
	// maxComplaint bounds what is kept of its standard error, in bytes.
	maxComplaint = 4 << 10
	// commandGrace is how long the program's own children may hold its output
	// open after it has ended.
	commandGrace = 2 * time.Second
)

// CommandReward scores responses with a program of the user's. It is started
// once for each rollout, reads a line for each response on standard input,
//
//	{"prompt":"…","prefill":"…","completion":"…","ended":true}
//
// (docs/formats/rankings.md), and writes a number for each, a line each, in the
// same order. When the context ends the program is killed. The command is split
// at spaces outside of quotes; no shell reads it. A resumed run gives the same
// bits only if the program gives the same numbers.
func CommandReward(command string, tok *tokenizer.Tokenizer) (Reward, error) {
	args, err := splitCommand(command)
	if err == nil && len(args) == 0 {
		err = errors.New("it is empty")
	}
	if err == nil {
		args[0], err = exec.LookPath(args[0])
	}
	if err != nil {
		kind := artifact.ErrUsage
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			kind = artifact.ErrNotFound
		}
		return nil, artifact.Mark(kind, fmt.Errorf("preparing the reward program %q: %w; give a program that reads JSON lines and writes a number for each", command, err))
	}
	return func(ctx context.Context, texts []Text) ([]float32, error) {
		var input bytes.Buffer
		encoder := json.NewEncoder(&input)
		encoder.SetEscapeHTML(false)
		for i, t := range texts {
			text, err := tok.Text(t.Response)
			if err == nil {
				err = encoder.Encode(dataset.Completion{Prompt: t.Prompt, Text: text, Ended: t.Ended})
			}
			if err != nil {
				return nil, fmt.Errorf("rewarding response %d: %w", i, err)
			}
		}
		scores, err := runReward(ctx, args, &input, len(texts))
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("running the reward program %q: %w", command, err)
		}
		return scores, nil
	}, nil
}

// runReward runs a program on lines of input and reads n scores.
func runReward(ctx context.Context, args []string, input io.Reader, n int) ([]float32, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop() // what is left of the program after an error ends with it
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.WaitDelay = commandGrace
	var complaint tail
	cmd.Stdin, cmd.Stderr = input, &complaint
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	scores, scoreErr := readScores(output, n)
	if scoreErr != nil && scoreErr != errTooFew {
		stop()
		output.Close() // the program's own children end at their next write
		_ = cmd.Wait() // the fault in what it wrote is the one to tell
		return nil, scoreErr
	}
	err = cmd.Wait()
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, complaint.text())
	}
	if scoreErr != nil {
		return nil, fmt.Errorf("%d numbers for %d responses; write one a line for each%s", len(scores), n, complaint.text())
	}
	return scores, nil
}

// errTooFew is the end of the output before the last score.
var errTooFew = errors.New("too few numbers")

// readScores reads n lines with a number each, and that there are no more.
func readScores(output io.Reader, n int) ([]float32, error) {
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, maxScoreLine)
	var scores []float32
	for number := 1; lines.Scan(); number++ {
		text := strings.TrimSpace(lines.Text())
		if len(scores) == n {
			return nil, fmt.Errorf("line %d of its output, %.40q, is one more than there are responses", number, text)
		}
		score, err := strconv.ParseFloat(text, 32)
		if err != nil || math.IsNaN(score) || math.IsInf(score, 0) {
			return nil, fmt.Errorf("line %d of its output, %.40q, is not a finite number", number, text)
		}
		scores = append(scores, float32(score))
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d of its output: %w", len(scores)+1, err)
	}
	if len(scores) < n {
		return scores, errTooFew
	}
	return scores, nil
}

// tail keeps the end of what is written to it.
type tail struct{ data []byte }

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.data = append(t.data, p...)
	if over := len(t.data) - maxComplaint; over > 0 {
		t.data = append(t.data[:0], t.data[over:]...)
	}
	return len(p), nil
}

// text is what a program said last, for the end of an error.
func (t *tail) text() string {
	said := strings.TrimSpace(string(bytes.ToValidUTF8(t.data, []byte("\ufffd"))))
	if said == "" {
		return ""
	}
	return "; it said:\n" + said
}

// splitCommand splits a command line at spaces; '…' and "…" hold words
// together.
func splitCommand(command string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote rune
	open := false // a word has begun
	for _, r := range command {
		switch {
		case r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, open = r, true
		case r == ' ' || r == '\t' || r == '\n':
			if open {
				words = append(words, word.String())
				word.Reset()
				open = false
			}
		default:
			word.WriteRune(r)
			open = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("the quote %c is not closed", quote)
	}
	if open {
		words = append(words, word.String())
	}
	return words, nil
}
