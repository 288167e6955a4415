package artifact

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
)

// A Claim is a locked folder that can be left as it was found.
type Claim struct {
	lock   *FolderLock
	folder string
	made   []string // folders that were missing, the claimed one first
	names  []string // in the folder before, without the lock file
	locked bool     // the folder had a lock file before
}

// claimTries is how often a folder is made again that another process, whose
// work was refused, took away before it was locked.
const claimTries = 10

// MakeAndLock makes a folder, with those above it, and takes its lock as [Lock]
// does. [Claim.End] ends the claim.
func MakeAndLock(folder string) (*Claim, error) {
	for try := 1; ; try++ {
		c, err := makeAndLock(folder)
		if err == nil || try == claimTries || !isNotExist(err) {
			return c, err
		}
	}
}

func makeAndLock(folder string) (_ *Claim, err error) {
	c := &Claim{folder: folder, made: missing(folder)}
	defer func() {
		if err != nil {
			c.removeMade()
		}
	}()
	if err := MakeFolder(folder); err != nil {
		return nil, err
	}
	_, err = os.Lstat(filepath.Join(folder, lockName))
	c.locked = err == nil
	if c.lock, err = Lock(folder); err != nil {
		return nil, err
	}
	if c.names, err = c.others(); err != nil {
		return nil, errors.Join(err, c.lock.Unlock())
	}
	return c, nil
}

// missing lists a folder and the ones above it that do not exist.
func missing(folder string) (folders []string) {
	for path := filepath.Clean(folder); ; path = filepath.Dir(path) {
		if _, err := os.Lstat(path); !isNotExist(err) || path == filepath.Dir(path) {
			return folders
		}
		folders = append(folders, path)
	}
}

// others lists what is in the folder besides the lock file.
func (c *Claim) others() ([]string, error) {
	entries, err := os.ReadDir(c.folder)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		if entry.Name() != lockName {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// End gives the lock up after work whose error is given. If it failed and nothing
// came into the folder or went from it, as of work that was refused, the lock
// file goes as well unless it was there before, and so do the folders that the
// claim made.
//
// The file goes while its lock is held, as the last thing that happens under it:
// a process that opened it before sees that it has lost its name ([Lock]). Where
// the system removes no open file, it stays.
func (c *Claim) End(failed error) error {
	if failed == nil || c.locked {
		return c.lock.Unlock()
	}
	names, err := c.others()
	if err == nil && slices.Equal(names, c.names) {
		// What cannot be removed harms nobody: it is the lock of a folder that
		// holds nothing new.
		_ = os.Remove(filepath.Join(c.folder, lockName))
		c.removeMade()
	}
	return errors.Join(err, c.lock.Unlock())
}

// removeMade removes the folders that the claim made, as far as they are empty.
func (c *Claim) removeMade() {
	for _, folder := range c.made {
		if os.Remove(folder) != nil {
			return
		}
	}
}
