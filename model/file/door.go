package file

import (
	"fmt"
	"slices"
	"sync"
)

// door is how the whole program opens model files. It is set once, by the command
// line, and not by what opens a model: stages, verbs and checks are to see one model
// in one folder.
var door struct {
	mu     sync.Mutex
	accept []string
	tell   func(line string)
	told   map[string]bool
}

// Accept lets keys of config.json, or of GGUF's metadata, pass that alma does not
// know, for the rest of the process: their owner says that they change nothing that
// is computed. A key that alma knows, and whose value it does not compute, is refused
// all the same.
func Accept(keys ...string) {
	door.mu.Lock()
	defer door.mu.Unlock()
	door.accept = append(door.accept, keys...)
}

// Accepted lists the keys of Accept in order, each once.
func Accepted() []string {
	door.mu.Lock()
	defer door.mu.Unlock()
	return slices.Compact(slices.Sorted(slices.Values(door.accept)))
}

// OnNote has tell called with what model files hold and alma does not use, or say
// otherwise than they hold: a line each, each once in a process. nil, as at the
// beginning: nobody is told.
func OnNote(tell func(line string)) {
	door.mu.Lock()
	defer door.mu.Unlock()
	door.tell, door.told = tell, map[string]bool{}
}

// note tells a line that was not told before.
func note(format string, args ...any) {
	door.mu.Lock()
	defer door.mu.Unlock()
	line := fmt.Sprintf(format, args...)
	if door.tell == nil || door.told[line] {
		return
	}
	door.told[line] = true
	door.tell(line)
}

// accepted reports whether a key was let pass.
func accepted(key string) bool {
	door.mu.Lock()
	defer door.mu.Unlock()
	return slices.Contains(door.accept, key)
}
