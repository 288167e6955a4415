//go:build !(linux || darwin || openbsd || freebsd || netbsd || solaris)

package converse

import "github.com/peterh/liner"

// openLiner opens the editor, which reads the system's console itself.
func openLiner() (*liner.State, *keys, func(), error) { return liner.NewLiner(), nil, nil, nil }
