package artifact

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
)

// A temporary is named .alma-tmp-PID-N-NAME: the process that made it, a
// counter within the process, and the name that it is to become.
const temporaryPrefix = ".alma-tmp-"

var temporaryCounter atomic.Int64

// writerBuffer is how much a Writer collects before it writes, in bytes.
const writerBuffer = 256 << 10

var (
	stepCreate     = newDurableStep("file.create")
	stepWrite      = newDurableStep("file.write")
	stepSync       = newDurableStep("file.sync")
	stepRename     = newDurableStep("file.rename")
	stepSyncFolder = newDurableStep("file.sync-folder")

	stepRemoveFolder = newDurableStep("folder.remove")
)

var errWriterDone = errors.New("the writer was committed or aborted before")

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// temporaryName returns a fresh temporary name beside path.
func temporaryName(path string) string {
	folder, base := filepath.Split(path)
	if len(base) > 128 { // leave room for the prefix within a name's 255 bytes
		base = base[:128]
	}
	return filepath.Join(folder, fmt.Sprintf("%s%d-%d-%s", temporaryPrefix, os.Getpid(), temporaryCounter.Add(1), base))
}

// isTemporary tells whether a base name is one that temporaryName makes.
func isTemporary(base string) bool {
	rest, ok := strings.CutPrefix(base, temporaryPrefix)
	if !ok {
		return false
	}
	parts := strings.SplitN(rest, "-", 3)
	if len(parts) != 3 || parts[2] == "" {
		return false
	}
	for _, number := range parts[:2] {
		if _, err := strconv.ParseUint(number, 10, 63); err != nil {
			return false
		}
	}
	return true
}

// A Writer writes one file durably. What is written goes to a temporary file
// beside the target; Commit makes it durable and gives it its name, Abort
// gives it up. Exactly one of them decides; the other is then a no-op, so
// that `defer w.Abort()` after [Create] is the usual form. A Writer buffers.
// It is not safe for use by several goroutines.
type Writer struct {
	disk      Disk
	path      string
	temporary string
	file      File
	buffer    *bufio.Writer
	written   int64
	err       error // the first failure; nothing is tried after it
	done      bool
}

// Create starts a durable write of path. Its folder must exist.
func Create(path string) (*Writer, error) { return disk.Create(path) }

// WriteFile writes data to path durably: after a crash at any moment path
// holds what it held before or data, and once WriteFile has returned nil it
// holds data. An error names path and how many bytes were written.
func WriteFile(path string, data []byte) error { return disk.WriteFile(path, data) }

// Create is [Create] on d.
func (d Disk) Create(path string) (*Writer, error) {
	w := &Writer{disk: d, path: path}
	err := stepCreate.do(func() error {
		var err error
		w.temporary, w.file, err = d.createTemporary(path)
		return err
	})
	if err != nil {
		if w.file != nil {
			w.discard()
		}
		return nil, failedAt("creating a temporary file for", path, 0, err)
	}
	w.buffer = bufio.NewWriterSize(w.file, writerBuffer)
	return w, nil
}

// createTemporary creates a file with a fresh temporary name. A name can be
// taken by the leftover of a killed process that had the same pid.
func (d Disk) createTemporary(path string) (string, File, error) {
	for {
		name := temporaryName(path)
		file, err := d.FS.CreateNew(name)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		return name, file, err
	}
}

// WriteFile is [WriteFile] on d.
func (d Disk) WriteFile(path string, data []byte) error {
	w, err := d.Create(path)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(data); err != nil {
		return err
	}
	return w.Commit()
}

// Write implements io.Writer. After an error every later call returns the
// same error.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err == nil && w.done {
		w.err = fmt.Errorf("writing %s: %w", w.path, errWriterDone)
	}
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.buffer.Write(p)
	w.written += int64(n)
	if err != nil {
		w.err = failedAt("writing", w.path, w.written, err)
	}
	return n, w.err
}

// Written returns the number of bytes given to Write so far.
func (w *Writer) Written() int64 { return w.written }

// Commit makes the file durable under its name. If it fails, the temporary
// file is removed and the target is as it was before, unless the failure came
// after the rename, when the target already has the new content but a power
// loss could still undo it. A file whose sync failed is never synced again:
// the kernel may have dropped the very pages that it reported (see "Can
// applications recover from fsync failures?", Rebello et al., ATC 2020), so a
// caller who wants to try once more begins with [Create].
func (w *Writer) Commit() error {
	if w.err != nil || w.done {
		w.discard()
		return w.err
	}
	err := stepWrite.do(w.buffer.Flush)
	if err == nil {
		err = stepSync.do(w.file.Sync)
	}
	if err == nil {
		file := w.file
		w.file = nil
		err = file.Close()
	}
	if err == nil {
		err = stepRename.do(func() error { return w.disk.FS.Rename(w.temporary, w.path) })
	}
	if err == nil {
		w.temporary = ""
		err = stepSyncFolder.do(func() error { return w.disk.FS.SyncFolder(filepath.Dir(w.path)) })
	}
	if err != nil {
		w.err = failedAt("writing", w.path, w.written, err)
	}
	w.discard()
	return w.err
}

// Abort gives the write up and removes the temporary file. After Commit it
// does nothing.
func (w *Writer) Abort() { w.discard() }

// discard closes and removes the temporary. A removal that fails leaves a
// file that CleanTemporaries will find, so its error is not worth hiding the
// first one.
func (w *Writer) discard() {
	w.done = true
	if w.file != nil {
		_ = w.file.Close() // the content is not wanted
		w.file = nil
	}
	if w.temporary != "" {
		_ = w.disk.FS.Remove(w.temporary)
		w.temporary = ""
	}
}

// CleanTemporaries removes what interrupted durable writes left in folder and
// below it, and returns the removed paths. It removes only names that this
// package makes, follows no symbolic link, and is called under the folder's
// lock ([Lock]), because another process's write in progress would look the
// same. A folder that does not exist has nothing to clean.
func CleanTemporaries(folder string) ([]string, error) { return disk.CleanTemporaries(folder) }

// CleanTemporaries is [CleanTemporaries] on d.
func (d Disk) CleanTemporaries(folder string) ([]string, error) {
	entries, err := d.FS.ReadDir(folder)
	if isNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for leftover temporaries in %s: %w", folder, err)
	}
	var removed []string
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		switch {
		case isTemporary(entry.Name()):
			if err := d.removeAll(path, entry.IsDir()); err != nil {
				return removed, fmt.Errorf("removing leftover temporary %s: %w", path, err)
			}
			removed = append(removed, path)
		case entry.IsDir():
			more, err := d.CleanTemporaries(path)
			removed = append(removed, more...)
			if err != nil {
				return removed, err
			}
		}
	}
	return removed, nil
}

// removeAll removes a file, or a folder with what is in it.
func (d Disk) removeAll(path string, isFolder bool) error {
	if isFolder {
		entries, err := d.FS.ReadDir(path)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if err := d.removeAll(filepath.Join(path, entry.Name()), entry.IsDir()); err != nil {
				return err
			}
		}
	}
	return d.FS.Remove(path)
}

// RemoveFolder removes a folder with everything in it. It becomes a temporary
// first, so that a crash leaves all of it under its name or nothing; what it
// leaves under the temporary name, CleanTemporaries finds. A folder that does
// not exist is no error.
func RemoveFolder(path string) error { return disk.RemoveFolder(path) }

// RemoveFolder is [RemoveFolder] on d.
func (d Disk) RemoveFolder(path string) error {
	there, err := d.exists(path)
	if err != nil || !there {
		return err
	}
	temporary := temporaryName(path)
	err = stepRemoveFolder.do(func() error {
		if err := d.FS.Rename(path, temporary); err != nil {
			return err
		}
		return d.FS.SyncFolder(filepath.Dir(path))
	})
	if err == nil {
		err = d.removeAll(temporary, true)
	}
	if err != nil {
		return failedAt("removing folder", path, 0, err)
	}
	return nil
}

// MakeFolder creates a folder and the folders above it that are missing, and
// makes their names durable. A folder that exists is left alone.
func MakeFolder(path string) error { return disk.MakeFolder(path) }

// MakeFolder is [MakeFolder] on d.
func (d Disk) MakeFolder(path string) error {
	path = filepath.Clean(path)
	info, err := d.FS.Stat(path)
	if err == nil {
		if !info.IsDir() {
			return Errorf(ErrUsage, "creating folder %s: a file of that name exists; move it away or choose another folder", path)
		}
		return nil
	}
	if !isNotExist(err) {
		return fmt.Errorf("creating folder %s: %w", path, err)
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := d.MakeFolder(parent); err != nil {
			return err
		}
	}
	if err := d.FS.Mkdir(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return failedAt("creating folder", path, 0, err)
	}
	if err := d.FS.SyncFolder(parent); err != nil {
		return failedAt("creating folder", path, 0, err)
	}
	return nil
}
