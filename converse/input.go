package converse

import (
	"errors"
	"strings"
)

// A LineReader is where a person's lines come from.
type LineReader interface {
	// ReadLine shows a prompt and returns the next line, which may hold line ends if
	// they were pasted. Prefill is what stands in the line to begin with. It fails with
	// io.EOF at the end, [ErrInterrupt] or [ErrDropped].
	ReadLine(prompt, prefill string) (string, error)
	// Remember puts a turn or a command into the history.
	Remember(entry string)
}

var (
	// ErrInterrupt is Ctrl-C in an empty line.
	ErrInterrupt = errors.New("interrupted")
	// ErrDropped is Ctrl-C in a line with something in it, which is given up.
	ErrDropped = errors.New("the line was given up")
)

const (
	prompt     = "> "
	morePrompt = ". "  // in a turn of several lines
	quotes     = `"""` // around a turn of several lines
)

// entry is what a person entered: a line, or several that belong together.
type entry struct {
	text    string
	literal bool // it stood between quotes: no command, whatever it begins with
}

// readEntry reads a line, and those after it that belong to it: a line that ends in a
// single \ goes on in the next one, and what begins with """ goes on to """.
func readEntry(lines LineReader, prefill string) (entry, error) {
	line, err := lines.ReadLine(prompt, prefill)
	if err != nil {
		return entry{}, err
	}
	more := func() (string, error) {
		line, err := lines.ReadLine(morePrompt, "")
		if errors.Is(err, ErrInterrupt) { // it ends the turn that was begun, and no more
			err = ErrDropped
		}
		return line, err
	}
	if rest, ok := strings.CutPrefix(strings.TrimSpace(line), quotes); ok {
		text := rest
		for {
			if before, ok := strings.CutSuffix(strings.TrimRight(text, " \t"), quotes); ok {
				return entry{strings.Trim(before, "\n"), true}, nil
			}
			next, err := more()
			if err != nil {
				return entry{}, err
			}
			text += "\n" + next
		}
	}
	text := line
	for continues(text) {
		next, err := more()
		if err != nil {
			return entry{}, err
		}
		text = text[:len(text)-1] + "\n" + next
	}
	return entry{strings.TrimSpace(text), false}, nil
}

// continues tells whether a line ends in an odd number of backslashes.
func continues(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}
