package faultfs

import (
	"io/fs"
	"sync"
	"syscall"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// A Fault is a way for a call to fail.
type Fault int

// The faults. A call that a fault does not fit fails with EIO in its place.
const (
	// NoSpace fails with ENOSPC, a write after half of its bytes.
	NoSpace Fault = iota
	// IOError fails with EIO.
	IOError
	// ShortWrite makes a write take half of its bytes and report no error.
	ShortWrite
)

// Failing makes a file system fail. Calls that change or sync something are
// counted from 1 in the order in which they come; the At-th fails, and with
// Sticky every one after it. It is safe for use by several goroutines.
type Failing struct {
	FS     artifact.FS
	Fault  Fault
	At     int
	Sticky bool

	mu         sync.Mutex
	calls      int
	failed     bool
	syncFailed map[string]bool
	resynced   []string
}

// Calls returns the number of counted calls so far.
func (f *Failing) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// Failed tells whether a call was made to fail.
func (f *Failing) Failed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// Resynced lists the files that were synced again after a sync of theirs had
// failed: what nobody should do, because the second sync may succeed without
// the data.
func (f *Failing) Resynced() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.resynced
}

// fails counts a call and tells whether it is to fail.
func (f *Failing) fails() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.calls == f.At || f.Sticky && f.calls > f.At {
		f.failed = true
		return true
	}
	return false
}

// sync is fails for a sync of the named file.
func (f *Failing) sync(name string) bool {
	failed := f.fails()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.syncFailed[name] {
		f.resynced = append(f.resynced, name)
	}
	if failed {
		if f.syncFailed == nil {
			f.syncFailed = map[string]bool{}
		}
		f.syncFailed[name] = true
	}
	return failed
}

func (f *Failing) error(op, name string) error {
	if f.Fault == NoSpace {
		return pathError(op, name, syscall.ENOSPC)
	}
	return pathError(op, name, syscall.EIO)
}

// CreateNew implements artifact.FS.
func (f *Failing) CreateNew(name string) (artifact.File, error) {
	if f.fails() {
		return nil, f.error("create", name)
	}
	file, err := f.FS.CreateNew(name)
	if err != nil {
		return nil, err
	}
	return &failingFile{file, f, name}, nil
}

// Open implements artifact.FS; it does not fail on purpose.
func (f *Failing) Open(name string) (artifact.File, error) { return f.FS.Open(name) }

// SyncFile implements artifact.FS.
func (f *Failing) SyncFile(name string) error {
	if f.sync(name) {
		return f.error("sync", name)
	}
	return f.FS.SyncFile(name)
}

// Mkdir implements artifact.FS.
func (f *Failing) Mkdir(name string) error {
	if f.fails() {
		return f.error("mkdir", name)
	}
	return f.FS.Mkdir(name)
}

// Rename implements artifact.FS.
func (f *Failing) Rename(oldName, newName string) error {
	if f.fails() {
		return f.error("rename", oldName)
	}
	return f.FS.Rename(oldName, newName)
}

// Remove implements artifact.FS.
func (f *Failing) Remove(name string) error {
	if f.fails() {
		return f.error("remove", name)
	}
	return f.FS.Remove(name)
}

// SyncFolder implements artifact.FS. A folder may be synced again after a
// failure: its names are what a new file's rename adds to.
func (f *Failing) SyncFolder(name string) error {
	if f.fails() {
		return f.error("sync", name)
	}
	return f.FS.SyncFolder(name)
}

// Stat implements artifact.FS; it does not fail on purpose.
func (f *Failing) Stat(name string) (fs.FileInfo, error) { return f.FS.Stat(name) }

// ReadDir implements artifact.FS; it does not fail on purpose.
func (f *Failing) ReadDir(name string) ([]fs.DirEntry, error) { return f.FS.ReadDir(name) }

type failingFile struct {
	artifact.File
	fs   *Failing
	name string
}

func (f *failingFile) Write(p []byte) (int, error) {
	if !f.fs.fails() {
		return f.File.Write(p)
	}
	if f.fs.Fault == IOError {
		return 0, f.fs.error("write", f.name)
	}
	n, err := f.File.Write(p[:len(p)/2])
	if err == nil && f.fs.Fault == NoSpace {
		err = f.fs.error("write", f.name)
	}
	return n, err
}

func (f *failingFile) Sync() error {
	if f.fs.sync(f.name) {
		return f.fs.error("sync", f.name)
	}
	return f.File.Sync()
}

func (f *failingFile) Close() error {
	err := f.File.Close() // the descriptor is gone even if closing reports an error
	if f.fs.fails() {
		return f.fs.error("close", f.name)
	}
	return err
}
