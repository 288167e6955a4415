package artifact

import (
	"errors"
	"fmt"
	"io/fs"
)

// A Kind says what sort of failure an error is, and with it the exit code of
// the program. The kinds are compared with errors.Is:
//
//	if errors.Is(err, artifact.ErrNoSpace) { ... }
type Kind struct {
	code int
	text string
}

// Error names the kind.
func (k *Kind) Error() string { return k.text }

// Code is the exit code that goes with the kind.
func (k *Kind) Code() int { return k.code }

// The exit codes that have no error of their own.
const (
	CodeDone   = 0 // everything asked for was done
	CodeFailed = 1 // an error of no particular kind
)

// The kinds of failure. The numbers are a contract with scripts that call
// alma and do not change.
var (
	ErrSomeRejected = &Kind{3, "done, but some inputs were rejected"}
	ErrUsage        = &Kind{4, "usage or configuration"}
	ErrCheckNotMet  = &Kind{5, "a check or threshold was not met"}
	ErrNotFound     = &Kind{10, "not found"}
	ErrLocked       = &Kind{11, "locked by a live process"}
	ErrCorrupt      = &Kind{12, "corrupt artifact"}
	ErrNoSpace      = &Kind{13, "no space left"}
	ErrDiverged     = &Kind{20, "training diverged"}
	ErrInterrupted  = &Kind{130, "interrupted (SIGINT) with a checkpoint"}
	ErrTerminated   = &Kind{143, "terminated (SIGTERM) with a checkpoint"}
)

// Mark gives err a kind without changing its message. Mark of a nil error is
// nil.
func Mark(kind *Kind, err error) error {
	if err == nil {
		return nil
	}
	return &marked{kind, err}
}

// Errorf is Mark(kind, fmt.Errorf(format, args...)).
func Errorf(kind *Kind, format string, args ...any) error {
	return &marked{kind, fmt.Errorf(format, args...)}
}

type marked struct {
	kind *Kind
	err  error
}

func (m *marked) Error() string   { return m.err.Error() }
func (m *marked) Unwrap() []error { return []error{m.kind, m.err} }

// ExitCode returns the exit code for err: 0 for nil, the code of the
// outermost kind that err carries, and 1 for an error without one. Errors of
// the operating system that plainly mean "not found" or "no space" count as
// those kinds even where nobody marked them.
func ExitCode(err error) int {
	var kind *Kind
	switch {
	case err == nil:
		return CodeDone
	case errors.As(err, &kind):
		return kind.code
	case isNoSpace(err):
		return ErrNoSpace.code
	case errors.Is(err, fs.ErrNotExist):
		return ErrNotFound.code
	}
	return CodeFailed
}

// A NoSpaceError reports a write that found no room. It is an [ErrNoSpace].
type NoSpaceError struct {
	Op    string // what was being done, a gerund: "writing"
	Path  string // the file, by the name that the caller gave it
	Bytes int64  // bytes that were given for the file before it failed
	Err   error  // the operating system's error
}

func (e *NoSpaceError) Error() string {
	return fmt.Sprintf("%s %s: no space left after %d bytes; free some space on that disk and run the same command again: %v", e.Op, e.Path, e.Bytes, e.Err)
}

// Unwrap makes the error an ErrNoSpace and keeps its cause.
func (e *NoSpaceError) Unwrap() []error { return []error{ErrNoSpace, e.Err} }

// A CorruptError reports a file whose content is not what was written. It is
// an [ErrCorrupt].
type CorruptError struct {
	Path   string // the damaged file
	Reason string // what was found and what was expected
	Err    error  // cause, where there is one
}

func (e *CorruptError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("reading %s: %s: %v", e.Path, e.Reason, e.Err)
	}
	return fmt.Sprintf("reading %s: %s", e.Path, e.Reason)
}

// Unwrap makes the error an ErrCorrupt and keeps its cause.
func (e *CorruptError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrCorrupt}
	}
	return []error{ErrCorrupt, e.Err}
}

// failedAt describes a failed operation on path after n bytes, as a
// NoSpaceError where the disk is full.
func failedAt(op, path string, n int64, err error) error {
	if isNoSpace(err) {
		return &NoSpaceError{Op: op, Path: path, Bytes: n, Err: err}
	}
	return fmt.Errorf("%s %s: after %d bytes: %w", op, path, n, err)
}
