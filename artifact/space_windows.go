package artifact

import "golang.org/x/sys/windows"

// FreeSpace returns how many bytes the file system of a folder has for files of this
// user, known false where it does not say.
func FreeSpace(folder string) (bytes int64, known bool) {
	path, err := windows.UTF16PtrFromString(folder)
	if err != nil {
		return 0, false
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(path, &free, nil, nil); err != nil {
		return 0, false
	}
	return int64(free), true
}
