package artifact

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// FS is the part of a file system that durable writing needs, small enough
// that a test can fail every call of it or replay a power loss at any point
// (package faultfs). Paths are those of the operating system.
type FS interface {
	// CreateNew creates a file for writing; it fails with fs.ErrExist if the
	// name is taken.
	CreateNew(name string) (File, error)
	// Open opens a file for reading.
	Open(name string) (File, error)
	// SyncFile makes the content of an existing file durable.
	SyncFile(name string) error
	// Mkdir creates one folder; its parent must exist.
	Mkdir(name string) error
	// Rename gives a file or folder a new name, replacing a file of that
	// name at once.
	Rename(oldName, newName string) error
	// Remove removes a file or an empty folder.
	Remove(name string) error
	// SyncFolder makes the names in a folder durable.
	SyncFolder(name string) error
	// Stat describes a file or folder.
	Stat(name string) (fs.FileInfo, error)
	// ReadDir lists a folder in the order of names.
	ReadDir(name string) ([]fs.DirEntry, error)
}

// File is an open file of an [FS].
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.Closer
	// Sync makes what was written durable.
	Sync() error
}

// OS is the operating system's file system.
type OS struct{}

// CreateNew implements FS.
func (OS) CreateNew(name string) (File, error) {
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
}

// Open implements FS.
func (OS) Open(name string) (File, error) { return os.Open(name) }

// SyncFile implements FS. The file is opened for writing because Windows
// syncs no other.
func (OS) SyncFile(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = f.Sync()
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Mkdir implements FS.
func (OS) Mkdir(name string) error { return os.Mkdir(name, 0o777) }

// Rename implements FS.
func (OS) Rename(oldName, newName string) error { return os.Rename(oldName, newName) }

// Remove implements FS.
func (OS) Remove(name string) error { return os.Remove(name) }

// SyncFolder implements FS. Windows offers no sync of a folder: NTFS journals
// names by itself.
func (OS) SyncFolder(name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	err = f.Sync()
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Stat implements FS.
func (OS) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

// ReadDir implements FS.
func (OS) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }

// A Disk does durable work on a file system. The functions of this package
// of the same names work on the operating system's files; tests make a Disk
// on a file system of package faultfs.
type Disk struct{ FS FS }

// disk is the operating system's.
var disk = Disk{OS{}}

// readFile reads a whole file of at most limit bytes.
func (d Disk) readFile(name string, limit int64) (data []byte, err error) {
	info, err := d.FS.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, &CorruptError{Path: name, Reason: fmt.Sprintf("%d bytes, more than the limit of %d", info.Size(), limit)}
	}
	f, err := d.FS.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	data = make([]byte, info.Size())
	n, err := io.ReadFull(f, data)
	if err == io.ErrUnexpectedEOF || err == io.EOF {
		return nil, &CorruptError{Path: name, Reason: fmt.Sprintf("ends after %d of %d bytes", n, len(data))}
	}
	return data, err
}

// exists tells whether a file or folder of that name is there.
func (d Disk) exists(name string) (bool, error) {
	_, err := d.FS.Stat(name)
	switch {
	case err == nil:
		return true, nil
	case isNotExist(err):
		return false, nil
	}
	return false, err
}
