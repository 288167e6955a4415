package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"slices"
)

// entry finds a file of the checkpoint.
func (c *Checkpoint) entry(name string) (FileEntry, error) {
	i := slices.IndexFunc(c.Files, func(f FileEntry) bool { return f.Name == name })
	if i < 0 {
		return FileEntry{}, Errorf(ErrNotFound, "reading checkpoint %s: it has no file %q", c.path, name)
	}
	return c.Files[i], nil
}

// ReadFile reads a file of the checkpoint into memory and checks it against the
// manifest once more, so that what is used is what was verified.
func (c *Checkpoint) ReadFile(name string) ([]byte, error) {
	var data []byte
	err := c.Read(name, func(_ string, r io.ReaderAt, size int64) error {
		data = make([]byte, size)
		return readAtFull(r, data, 0)
	})
	if err != nil {
		return nil, err
	}
	return data, nil
}

// Read passes a file of the checkpoint to use, which takes it piece by piece:
// the offsets of its reads must rise, without reading anything twice. Every byte
// of the file is hashed on the way, those that use leaves out as well, and the
// sum checked against the manifest once more, so that what is used is what was
// verified. If it differs, that is the error, whatever use says, and what use
// took is not to be trusted.
func (c *Checkpoint) Read(name string, use func(name string, r io.ReaderAt, size int64) error) (err error) {
	entry, err := c.entry(name)
	if err != nil {
		return err
	}
	file, err := disk.FS.Open(c.File(name))
	if err != nil {
		return fmt.Errorf("reading checkpoint %s: %w", c.path, err)
	}
	defer func() {
		if closeErr := file.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("reading checkpoint %s: %w", c.path, closeErr)
		}
	}()
	r := &hashedReader{file: file, hash: sha256.New()}
	failed := use(name, r, entry.Size)
	// A byte behind the size that the manifest gives is enough to see the damage.
	if err := r.skip(entry.Size + 1 - r.at); err != nil && err != io.EOF {
		return fmt.Errorf("reading checkpoint %s: file %s: %w", c.path, name, err)
	}
	if r.at != entry.Size || hex.EncodeToString(r.hash.Sum(nil)) != entry.SHA256 {
		return fmt.Errorf("reading checkpoint %s: %w", c.path, &CorruptError{Path: c.File(name), Reason: "checksum differs from manifest"})
	}
	return failed
}

// hashedReader is an io.ReaderAt for reads from front to back, which hashes all
// that it passes.
type hashedReader struct {
	file io.Reader
	hash hash.Hash
	at   int64 // bytes hashed so far
}

// ReadAt implements io.ReaderAt.
func (r *hashedReader) ReadAt(p []byte, offset int64) (int, error) {
	if offset < r.at {
		return 0, fmt.Errorf("reading at %d, behind which everything up to %d was read: the file can be read only once", offset, r.at)
	}
	if err := r.skip(offset - r.at); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(r.file, p)
	r.hash.Write(p[:n])
	r.at += int64(n)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}

// skip hashes the next n bytes; io.EOF says that there are fewer.
func (r *hashedReader) skip(n int64) error {
	if n <= 0 {
		return nil
	}
	done, err := io.CopyN(r.hash, r.file, n)
	r.at += done
	return err
}
