//go:build !(linux || darwin || freebsd || windows)

package artifact

// FreeSpace is not known on this system.
func FreeSpace(string) (bytes int64, known bool) { return 0, false }
