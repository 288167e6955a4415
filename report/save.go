package report

import (
	"io"
	"path/filepath"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// The files of a report.
const (
	HTMLFile     = "report.html"
	MarkdownFile = "report.md"
)

// Save writes both files of the report into a folder, durably.
func (r *Report) Save(folder string) error {
	for name, write := range map[string]func(io.Writer) error{HTMLFile: r.HTML, MarkdownFile: r.Markdown} {
		w, err := artifact.Create(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		err = write(w)
		if err == nil {
			err = w.Commit()
		}
		w.Abort()
		if err != nil {
			return err
		}
	}
	return nil
}
