package report

import "github.com/seed-b72bdb6c/alma/artifact"

// The files of a report.
const (
	HTMLFile     = "report.html"
	MarkdownFile = "report.md"
)

// Save writes both files of the report into a folder, durably.
func (r *Report) Save(folder string) error {
	return artifact.WriteContents(folder, artifact.Contents{HTMLFile: r.HTML, MarkdownFile: r.Markdown})
}
