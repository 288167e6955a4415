package artifact

import "fmt"

// A Temporary is a file of work in progress that nobody looks for again: a
// sorted run, a spill. It has a temporary's name and is never synced. What a
// killed process leaves of it, [CleanTemporaries] removes. Writing goes to the
// end; reading goes by offset and may begin once it is written. Its methods
// may be called by one goroutine at a time.
type Temporary struct {
	disk    Disk
	path    string // what the file is for, in errors
	name    string
	file    File
	written int64
	removed bool
}

var (
	stepTemporaryCreate = newDurableStep("temporary.create")
	stepTemporaryWrite  = newDurableStep("temporary.write")
)

// CreateTemporary creates an empty temporary file beside path, whose name it
// carries for people who look into the folder; path itself is never made.
func CreateTemporary(path string) (*Temporary, error) { return disk.CreateTemporary(path) }

// CreateTemporary is [CreateTemporary] on d.
func (d Disk) CreateTemporary(path string) (*Temporary, error) {
	t := &Temporary{disk: d, path: path}
	err := stepTemporaryCreate.do(func() error {
		var err error
		t.name, t.file, err = d.createTemporary(path)
		return err
	})
	if err != nil {
		if t.file != nil {
			_ = t.Remove() // the first error is the one to tell
		}
		return nil, failedAt("creating a temporary file for", path, 0, err)
	}
	return t, nil
}

// Write appends to the file. It does not buffer.
func (t *Temporary) Write(p []byte) (n int, err error) {
	err = stepTemporaryWrite.do(func() error {
		n, err = t.file.Write(p)
		if err == nil && n < len(p) {
			err = fmt.Errorf("%d of %d bytes were taken", n, len(p))
		}
		return err
	})
	t.written += int64(n)
	if err != nil {
		return n, failedAt("writing a temporary file for", t.path, t.written, err)
	}
	return n, nil
}

// Written returns the size of the file in bytes.
func (t *Temporary) Written() int64 { return t.written }

// ReadAt implements io.ReaderAt.
func (t *Temporary) ReadAt(p []byte, offset int64) (int, error) { return t.file.ReadAt(p, offset) }

// Remove closes and removes the file. A second call does nothing.
func (t *Temporary) Remove() error {
	if t.removed {
		return nil
	}
	t.removed = true
	err := t.file.Close()
	if removeErr := t.disk.FS.Remove(t.name); err == nil {
		err = removeErr
	}
	if err != nil {
		return fmt.Errorf("removing temporary file %s: %w", t.name, err)
	}
	return nil
}
