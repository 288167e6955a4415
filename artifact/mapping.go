package artifact

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
)

// mapping is a file that lies in memory, as an [io.ReaderAt]. It may be used
// by several goroutines, but not after Close.
type mapping struct {
	name  string
	data  []byte
	unmap func() error
}

// openMapped opens a regular file for reading at any place: mapped where the
// system can, else read. close releases it.
func openMapped(path string) (r io.ReaderAt, size int64, close func() error, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", path)
	}
	if err != nil {
		f.Close()
		return nil, 0, nil, err
	}
	size = info.Size()
	if size == 0 {
		return f, 0, f.Close, nil
	}
	data, unmap, err := mapFile(f, size)
	if err != nil {
		f.Close()
		return nil, 0, nil, err
	}
	if data == nil {
		return f, size, f.Close, nil
	}
	m := &mapping{path, data, unmap}
	return m, size, m.unmap, f.Close() // a mapping outlives its descriptor
}

// look calls use with n bytes from offset, which lie within the file as it was
// when it was opened. A file that is cut in the meantime, or a device that
// fails, is an error.
func (m *mapping) look(offset, n int64, use func([]byte)) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if fault := recover(); fault != nil {
			addressed, ok := fault.(interface{ Addr() uintptr })
			if !ok {
				panic(fault)
			}
			err = fmt.Errorf("reading %s at %d: the file was cut or its device failed while it was open (fault at %#x): %w", m.name, offset, addressed.Addr(), io.ErrUnexpectedEOF)
		}
	}()
	use(m.data[offset : offset+n])
	return nil
}

// ReadAt implements [io.ReaderAt].
func (m *mapping) ReadAt(p []byte, offset int64) (n int, err error) {
	if offset < 0 || offset > int64(len(m.data)) {
		return 0, fmt.Errorf("reading %s at %d: outside its %d bytes", m.name, offset, len(m.data))
	}
	n = min(len(p), len(m.data)-int(offset))
	if err := m.look(offset, int64(n), func(b []byte) { copy(p, b) }); err != nil {
		return 0, err
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
