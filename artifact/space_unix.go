//go:build linux || darwin || freebsd

package artifact

import "syscall"

// FreeSpace returns how many bytes the file system of a folder has for files of this
// user, known false where it does not say. What a quota leaves is not in it.
func FreeSpace(folder string) (bytes int64, known bool) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(folder, &fs); err != nil || fs.Blocks == 0 { // some network file systems count no blocks
		return 0, false
	}
	return int64(fs.Bavail) * int64(fs.Bsize), true
}
