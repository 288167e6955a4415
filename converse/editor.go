package converse

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/peterh/liner"
)

// Editor is the line editor of a terminal: a LineReader with history and completion,
// which counts characters as a terminal shows them, whatever its settings. Where TERM
// says that the terminal cannot have one, or the window is too narrow, lines are read
// as the terminal gives them.
type Editor struct {
	state   *liner.State
	keys    *keys    // nil where the system has a console of its own
	end     func()   // ends what is read; nil with keys
	history *History // nil: none is kept
	told    bool     // that the history could not be written

	reading sync.Mutex
	closed  bool
}

// NewEditor takes standard input and output for line editing. Entries come from the
// history, nil for none, and go to it.
func NewEditor(history *History) (*Editor, error) {
	e := &Editor{history: history}
	var err error
	if e.state, e.keys, e.end, err = openLiner(); err != nil {
		return nil, err
	}
	e.state.SetCtrlCAborts(true)
	e.state.SetMultiLineMode(true)
	e.state.SetTabCompletionStyle(liner.TabPrints)
	e.state.SetBeep(false)
	e.state.SetCompleter(Complete)
	if history != nil {
		for _, entry := range history.Entries {
			e.state.AppendHistory(marked.Replace(entry))
		}
	}
	return e, nil
}

// Close gives the terminal back as it was, also while a line is being read: that ends
// first, since it would change the terminal once more.
func (e *Editor) Close() error {
	if e.end != nil {
		e.end()
		e.reading.Lock()
		defer e.reading.Unlock()
		e.closed = true
	}
	if liner.TerminalSupported() {
		fmt.Print(unmarkPastes)
	}
	return e.state.Close()
}

// ReadLine implements LineReader.
func (e *Editor) ReadLine(prompt, prefill string) (string, error) {
	e.reading.Lock()
	defer e.reading.Unlock()
	if e.closed {
		return "", io.EOF
	}
	if liner.TerminalSupported() {
		if e.keys != nil {
			fmt.Print(markPastes)
			defer fmt.Print(unmarkPastes)
		}
	} else if prefill != "" {
		fmt.Println(prefill) // it can be read, if not edited
	}
	line, err := e.state.PromptWithSuggestion(prompt, marked.Replace(prefill), -1)
	switch {
	case errors.Is(err, liner.ErrPromptAborted):
		if filled := e.keys != nil && e.keys.wasFilled(); filled || prefill != "" {
			return "", ErrDropped
		}
		return "", ErrInterrupt
	case errors.Is(err, io.EOF):
		fmt.Println() // the shell's prompt begins a line
		return "", io.EOF
	case err != nil:
		return "", fmt.Errorf("reading the terminal: %w", err)
	}
	return unmarked.Replace(line), nil
}

// Remember implements LineReader.
func (e *Editor) Remember(entry string) {
	e.state.AppendHistory(marked.Replace(entry))
	if e.history == nil {
		return
	}
	if err := e.history.Add(entry); err != nil && !e.told {
		e.told = true
		fmt.Fprintf(os.Stderr, "warning: %v; what is entered from here on is not kept\n", err)
	}
}
