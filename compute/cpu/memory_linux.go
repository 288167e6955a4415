package cpu

import "golang.org/x/sys/unix"

// adviseHugePages asks for large pages. A system that has none to give
// refuses, and the array works with small ones.
func adviseHugePages(b []byte) { _ = unix.Madvise(b, unix.MADV_HUGEPAGE) }
