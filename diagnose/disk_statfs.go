//go:build linux || darwin

package diagnose

import "golang.org/x/sys/unix"

// diskFree returns the bytes that may still be written to the disk of a
// folder, 0 if the system does not tell.
func diskFree(folder string) int64 {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return 0
	}
	return int64(s.Bavail) * int64(s.Bsize)
}
