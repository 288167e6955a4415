//go:build linux || darwin || openbsd || freebsd || netbsd || solaris

package converse

import (
	"fmt"
	"io"
	"os"

	"github.com/peterh/liner"
)

// openLiner opens the editor with keys between it and the terminal, and end, which
// makes it read the end of its input. It reads what os.Stdin is when it is opened.
func openLiner() (state *liner.State, k *keys, end func(), err error) {
	terminal := os.Stdin
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("opening the line editor: %w", err)
	}
	k = &keys{}
	os.Stdin = r
	state = liner.NewLiner()
	os.Stdin = terminal
	go func() {
		// The end of the terminal, and an error that ends it, are the end of the lines.
		_, _ = io.Copy(passing{w, k}, terminal)
		w.Close()
	}()
	return state, k, func() { w.Close() }, nil
}

// passing writes what keys let pass.
type passing struct {
	io.Writer
	keys *keys
}

// Write implements io.Writer.
func (p passing) Write(typed []byte) (int, error) {
	_, err := p.Writer.Write(p.keys.pass(typed))
	return len(typed), err
}
