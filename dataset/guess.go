package dataset

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/rows"
)

// Kind says what a file of data holds.
type Kind string

// The kinds.
const (
	Dialogues   Kind = "dialogues"
	Prompts     Kind = "prompts"
	RankingKind Kind = "rankings"
	AnswerKind  Kind = "answers"
	Texts       Kind = "texts"
	ShardsKind  Kind = "shards"
)

// Guess tells what a file of data looks like by its first row that can be read; a
// folder holds shards.
func Guess(path string, how Reading) (Kind, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("opening the data: %w", err)
	}
	if info.IsDir() {
		return ShardsKind, nil
	}
	o, err := how.Options()
	if err != nil {
		return "", err
	}
	r, err := rows.Open(path, o)
	if err != nil {
		return "", readError("data", path, err)
	}
	defer r.Close()
	var first error // about a row
	for {
		row, err := r.Next()
		var bad *rows.Bad
		switch {
		case err == io.EOF && first != nil:
			return "", first
		case err == io.EOF:
			return "", artifact.Errorf(artifact.ErrUsage, "looking at %s: the file is empty; give rows, one JSON object a line", path)
		case errors.As(err, &bad):
			if first == nil {
				first = artifact.Errorf(artifact.ErrUsage, "telling what %s holds by its rows: line %d: %w; say it with --as", path, bad.Line, err)
			}
			continue
		case err != nil:
			return "", readError("data", path, err)
		}
		return kindOf(fields{row}), nil
	}
}

func kindOf(f fields) Kind {
	switch {
	case f.any("ranks", "chosen", "rejected") != "":
		return RankingKind
	case f.Has("completions"):
		if _, scores, _, err := readScored(f); err == nil && scores != nil {
			return RankingKind
		}
		return AnswerKind
	case f.Has("completion") && f.Has("ended"):
		return AnswerKind
	}
	if key := f.any("messages", "conversations", "conversation"); key != "" {
		value, _ := f.Value(key)
		if c, err := readMessages(key, value); err == nil && len(c.messages) > 0 && c.messages[len(c.messages)-1].Role == chat.User {
			return Prompts
		}
		return Dialogues
	}
	all, shape, err := readConversation(f, false)
	switch {
	case err == nil && all != nil && shape != "text":
		return Dialogues
	case f.any("text", "sentence") == "" && f.any("prompt", "instruction", "question") != "":
		return Prompts
	}
	return Texts
}
