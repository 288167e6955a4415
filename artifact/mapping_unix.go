//go:build unix

package artifact

import (
	"fmt"
	"os"
	"syscall"
)

// mapFile gives the bytes of a file of the given size, which is not 0, without
// reading them: the system brings in what is looked at, and takes it back
// first when memory is short.
func mapFile(f *os.File, size int64) (data []byte, unmap func() error, err error) {
	if int64(int(size)) != size {
		return nil, nil, fmt.Errorf("mapping %s: %d bytes are more than this machine can address", f.Name(), size)
	}
	data, err = syscall.Mmap(int(f.Fd()), 0, int(size), syscall.PROT_READ, syscall.MAP_PRIVATE)
	if err != nil {
		return nil, nil, fmt.Errorf("mapping %s of %d bytes: %w", f.Name(), size, err)
	}
	return data, func() error { return syscall.Munmap(data) }, nil
}
