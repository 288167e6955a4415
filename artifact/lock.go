package artifact

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/gofrs/flock"
)

// lockName is the name of the lock file in a run folder. The file stays after
// the lock is given up, unless [Claim.End] removes it.
const lockName = ".alma.lock"

// A FolderLock is a held lock on a folder.
type FolderLock struct{ lock *flock.Flock }

// A LockedError says which process holds a folder. It is an [ErrLocked].
type LockedError struct {
	Path string // the folder
	PID  int    // the process that holds it, 0 if it has not yet said so
}

func (e *LockedError) Error() string {
	who := "another process"
	if e.PID != 0 {
		who = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("locking %s: %s is working in this folder; wait until it ends, or choose another folder with --out", e.Path, who)
}

// Unwrap makes the error an ErrLocked.
func (e *LockedError) Unwrap() error { return ErrLocked }

// Lock takes the lock of an existing folder without waiting. If a process
// (this one included) holds it, the error is a [*LockedError] that names it. The system
// gives the lock up when the process ends, however it ends.
func Lock(folder string) (*FolderLock, error) {
	path := filepath.Join(folder, lockName)
	lock := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o666))
	for current := false; !current; {
		ok, err := lock.TryLock()
		if err != nil {
			return nil, failedAt("locking", folder, 0, err)
		}
		if !ok {
			held := &LockedError{Path: folder}
			// A lock whose pid cannot be read is as locked as any other.
			if text, err := os.ReadFile(path); err == nil {
				held.PID, _ = strconv.Atoi(string(bytes.TrimSpace(text)))
			}
			return nil, held
		}
		if current, err = isCurrent(lock); err != nil {
			return nil, errors.Join(failedAt("locking", folder, 0, err), lock.Unlock())
		}
		if !current {
			if err := lock.Unlock(); err != nil {
				return nil, failedAt("locking", folder, 0, err)
			}
		}
	}
	// The pid is for people: it needs no durability, the lock is the system's.
	if err := os.WriteFile(path, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o666); err != nil {
		return nil, errors.Join(failedAt("writing the pid into", path, 0, err), lock.Unlock())
	}
	return &FolderLock{lock}, nil
}

// isCurrent tells whether a locked file still has its name. Who holds the lock may
// remove the file between its opening and its locking here, and the next process
// would lock another file of that name.
func isCurrent(lock *flock.Flock) (bool, error) {
	locked, err := lock.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(lock.Path())
	if isNotExist(err) {
		return false, nil
	}
	return err == nil && os.SameFile(locked, named), err
}

// Unlock gives the lock up.
func (l *FolderLock) Unlock() error {
	if err := l.lock.Unlock(); err != nil {
		return fmt.Errorf("unlocking %s: %w", l.lock.Path(), err)
	}
	return nil
}
