package converse

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// History is a file of what was entered before, an entry a line, the newest last. Only
// its owner can read it.
type History struct {
	path string
	// Entries are those that were there when it was opened.
	Entries []string
}

const (
	historyEntries = 1000    // that are read
	historyBytes   = 1 << 20 // of the file, from which on the oldest are dropped
)

// HistoryFile is where the history lies: alma/history in the folder for a program's
// state, XDG_STATE_HOME or ~/.local/state (XDG Base Directory Specification 0.8).
func HistoryFile() (string, error) {
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) { // the specification has relative ones ignored
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("looking for the history: %w", err)
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "alma", "history"), nil
}

// OpenHistory reads a history, empty if the file is not there yet. It makes the file's
// folder, and shortens a file that has become long.
func OpenHistory(path string) (*History, error) {
	h := &History{path: path}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("opening the history %s: %w", path, err)
	}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening the history %s: %w", path, err)
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		if line != "" && utf8.ValidString(line) {
			h.Entries = append(h.Entries, unmarked.Replace(line))
		}
	}
	h.Entries = h.Entries[max(0, len(h.Entries)-historyEntries):]
	if len(data) > historyBytes {
		var short bytes.Buffer
		for _, entry := range h.Entries {
			fmt.Fprintln(&short, marked.Replace(entry))
		}
		if err := artifact.WriteFile(path, short.Bytes()); err != nil {
			return nil, err
		}
	}
	// Also one that somebody else made, or that was just written anew.
	if err := os.Chmod(path, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening the history %s: %w", path, err)
	}
	return h, nil
}

// Add puts an entry at the end of the file. Other chats may add to it as well.
func (h *History) Add(entry string) error {
	file, err := os.OpenFile(h.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("adding to the history: %w", err)
	}
	_, err = file.WriteString(marked.Replace(entry) + "\n")
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("adding to the history %s: %w", h.path, err)
	}
	return nil
}

// An entry of several lines is edited, and kept, as one line, in which signs stand for
// what would end it or ask for completion.
var (
	marked   = strings.NewReplacer("\r\n", lineEndMark, "\n", lineEndMark, "\r", lineEndMark, "\t", tabMark)
	unmarked = strings.NewReplacer(lineEndMark, "\n", tabMark, "\t")
)

const (
	lineEndMark = "⏎"
	tabMark     = "⇥"
)
