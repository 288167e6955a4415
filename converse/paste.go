package converse

import (
	"bytes"
	"sync"
)

// What a terminal is told so that it marks what is pasted, and the marks (bracketed
// paste, xterm's control sequences).
const (
	markPastes   = "\x1b[?2004h"
	unmarkPastes = "\x1b[?2004l"
	pasteBegins  = "\x1b[200~"
	pasteEnds    = "\x1b[201~"
)

const ctrlC = 3

// keys stand between a terminal and the editor of a line. In what is pasted, line ends
// and tabs become their signs, so that it neither submits a half nor asks for
// completion, and other control characters are dropped. They also know whether Ctrl-C
// came in an empty line, which the editor does not tell.
type keys struct {
	pasting bool
	held    []byte // the beginning of a mark, or of none
	ended   bool   // the last byte of a paste was a carriage return, which a line feed may follow

	mu      sync.Mutex
	filled  bool   // something was typed since the line began
	dropped []bool // for each Ctrl-C that was not asked about: whether the line was filled
}

// pass returns what the editor is to see of the next bytes.
func (k *keys) pass(typed []byte) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []byte
	for _, b := range typed {
		mark := pasteBegins
		if k.pasting {
			mark = pasteEnds
		}
		k.held = append(k.held, b)
		for len(k.held) > 0 && !bytes.HasPrefix([]byte(mark), k.held) {
			out = k.key(out, k.held[0])
			k.held = k.held[1:]
		}
		if len(k.held) == len(mark) {
			k.pasting, k.held, k.ended = !k.pasting, nil, false
		}
	}
	return out
}

// key appends what a byte that is no part of a mark means.
func (k *keys) key(out []byte, b byte) []byte {
	if k.pasting {
		after := k.ended
		k.ended = b == '\r'
		switch {
		case b == '\n' && after:
			return out
		case b == '\r' || b == '\n':
			k.filled = true
			return append(out, lineEndMark...)
		case b == '\t':
			k.filled = true
			return append(out, tabMark...)
		case b < ' ' || b == 0x7f:
			return out
		}
		k.filled = true
		return append(out, b)
	}
	switch b {
	case '\r', '\n':
		k.filled = false
	case ctrlC:
		k.dropped = append(k.dropped, k.filled)
		k.filled = false
	default:
		k.filled = true
	}
	return append(out, b)
}

// wasFilled tells of the next Ctrl-C that the editor reports whether it gave up a line
// with something in it.
func (k *keys) wasFilled() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.dropped) == 0 {
		return false
	}
	filled := k.dropped[0]
	k.dropped = k.dropped[1:]
	return filled
}
