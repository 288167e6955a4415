package artifact

import (
	"io"
	"maps"
	"path/filepath"
	"slices"
)

// Contents are the files of a folder by name. Each is written by a function when
// its turn comes, so that a file can be larger than what memory has left.
type Contents map[string]func(io.Writer) error

// Bytes is the content of a file that lies in memory.
func Bytes(data []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
}

// AllBytes are the contents of files that lie in memory.
func AllBytes(files map[string][]byte) Contents {
	contents := make(Contents, len(files))
	for name, data := range files {
		contents[name] = Bytes(data)
	}
	return contents
}

// WriteContent is [WriteFile] for what content writes, and returns how many
// bytes that was. An error of content leaves the file as it was.
func WriteContent(path string, content func(io.Writer) error) (written int64, err error) {
	w, err := Create(path)
	if err != nil {
		return 0, err
	}
	defer w.Abort()
	if err := content(w); err != nil {
		return w.Written(), err
	}
	return w.Written(), w.Commit()
}

// WriteContents writes files into a folder, each as [WriteContent] does, in the
// order of names.
func WriteContents(folder string, files Contents) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if _, err := WriteContent(filepath.Join(folder, name), files[name]); err != nil {
			return err
		}
	}
	return nil
}
