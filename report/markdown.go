package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/seed-b72bdb6c/alma/stage"
)

// Markdown writes the report as GitHub-flavoured Markdown with the content of
// the HTML; a curve becomes a line of numbers and a small picture in text.
func (r *Report) Markdown(w io.Writer) error {
	if err := r.check(); err != nil {
		return fmt.Errorf("building the report %q: %w", r.Title, err)
	}
	m := &markdown{}
	if err := m.report(r); err != nil {
		return fmt.Errorf("building the report %q: %w", r.Title, err)
	}
	if _, err := w.Write(m.out.Bytes()); err != nil {
		return fmt.Errorf("writing the report %q: %w", r.Title, err)
	}
	return nil
}

type markdown struct{ out bytes.Buffer }

func (m *markdown) report(r *Report) error {
	m.line("# %s", inline(r.Title))
	m.paragraphs(r.Intro)
	if verdict, _ := r.verdict(); verdict != "" {
		m.line("**%s**", verdict)
	}
	if len(r.Facts) > 0 {
		t := stage.Table{Columns: []string{"", ""}}
		for _, f := range r.Facts {
			t.Rows = append(t.Rows, []string{f.Name, f.Value})
		}
		m.table(t)
	}
	for _, c := range r.Commands {
		m.paragraphs(c.Does)
		m.fence(c.Line)
	}
	if len(r.Statement) > 0 {
		m.line("## What this shows")
		m.paragraphs(r.Statement...)
	}
	m.outcomes(r)
	m.samples(r.Samples)
	m.compute(r.Compute)
	for _, s := range r.Stages {
		if err := m.stage(s); err != nil {
			return err
		}
	}
	if len(r.Settings) > 0 {
		m.line("## Configuration")
		t := stage.Table{Columns: []string{"Key", "Value", "From"}}
		for _, s := range r.Settings {
			t.Rows = append(t.Rows, []string{s.Key, s.Value, s.Origin})
		}
		m.table(t)
	}
	if len(r.Artifacts) > 0 {
		m.line("## Artifacts")
		m.artifacts(r.Artifacts)
	}
	return nil
}

func (m *markdown) outcomes(r *Report) {
	if len(r.Outcomes) == 0 && len(r.Tables) == 0 {
		return
	}
	m.line("## Outcomes")
	if len(r.Outcomes) > 0 {
		t := stage.Table{Columns: []string{"Outcome", "Measured", "Threshold", "Result"}}
		for _, o := range r.Outcomes {
			name := o.Name
			if o.Note != "" {
				name += " (" + o.Note + ")"
			}
			threshold := o.Threshold
			if threshold == "" {
				threshold = "–"
			}
			t.Rows = append(t.Rows, []string{name, o.Measured, threshold, o.Mark() + " " + o.Status.String()})
		}
		m.table(t)
	}
	for _, t := range r.Tables {
		m.table(t)
	}
}

func (m *markdown) samples(s stage.Samples) {
	if len(s.Pairs) == 0 {
		return
	}
	m.line("## Samples")
	m.paragraphs(s.Note)
	for i, pair := range s.Pairs {
		m.line("### Prompt %d", i+1)
		m.fence(pair.Prompt)
		for _, a := range pair.Answers {
			if a.Unscored {
				m.line("%s:", inline(a.Model))
			} else {
				m.line("%s, score %s:", inline(a.Model), score(a.Score))
			}
			m.fence(a.Text)
		}
		if pair.Reference != "" {
			m.line("Written by a person:")
			m.fence(pair.Reference)
		}
		if len(pair.Answers) == 0 || len(pair.Answers[0].Items) == 0 {
			continue
		}
		t := stage.Table{Columns: []string{"Item"}}
		for _, a := range pair.Answers {
			t.Columns = append(t.Columns, a.Model)
		}
		for j, item := range pair.Answers[0].Items {
			row := []string{item.Name}
			for _, a := range pair.Answers {
				row = append(row, itemScore(a.Items[j]))
			}
			t.Rows = append(t.Rows, row)
		}
		sum := []string{"sum"}
		for _, a := range pair.Answers {
			sum = append(sum, score(a.Score))
		}
		t.Rows = append(t.Rows, sum)
		m.table(t)
	}
}

func (m *markdown) compute(stages []StageCompute) {
	rows := computeTable(stages)
	if len(rows) == 0 {
		return
	}
	m.line("## Compute")
	m.line("Pretraining is expected to take %d to %d times the compute of every other stage. The last column places each stage's multiple in FLOPs beside that.", expectedLow, expectedHigh)
	t := stage.Table{Columns: []string{"Stage", "FLOPs", "share", "time", "share", "tokens", "speed",
		"pretraining ÷ stage, FLOPs", "time", fmt.Sprintf("expected %d–%d ×", expectedLow, expectedHigh)}}
	for _, r := range rows {
		t.Rows = append(t.Rows, []string{r.Stage, r.FLOPs, r.FLOPShare, r.Seconds, r.SecondShare, r.Tokens, r.Speed, r.FLOPRatio, r.SecondRatio, r.Against})
	}
	m.table(t)
}

func (m *markdown) stage(s Stage) error {
	title := s.Title
	if title == "" {
		title = s.Name
	}
	if s.State != "" {
		title += " (" + s.State + ")"
	}
	m.line("## %s", inline(title))
	m.paragraphs(s.Description)
	if len(s.Charts) > 0 {
		t := stage.Table{Columns: []string{"Curve", "over", "", "points", "first", "lowest", "highest", "last"}}
		for _, c := range s.Charts {
			for _, series := range c.Series {
				sum := sumUp(series)
				name := c.Title
				if len(c.Series) > 1 || series.Name != c.Title {
					name += ": " + series.Name
				}
				if c.YLabel != "" && c.YLabel != series.Name {
					name += " (" + c.YLabel + ")"
				}
				t.Rows = append(t.Rows, []string{name, c.XLabel, sum.sparkline, grouped(int64(sum.Points)), sum.First, sum.Lowest, sum.Highest, sum.Last})
			}
		}
		m.table(t)
	}
	for _, t := range s.Tables {
		m.table(t)
	}
	for _, n := range s.Notes {
		fmt.Fprintf(&m.out, "- %s\n", inline(n))
	}
	if len(s.Notes) > 0 {
		m.out.WriteByte('\n')
	}
	config, err := flatten(s.Config)
	if err != nil {
		return fmt.Errorf("stage %s: %w", s.Name, err)
	}
	if len(config) > 0 {
		t := stage.Table{Title: "Configuration of this stage", Columns: []string{"Key", "Value"}}
		for _, c := range config {
			t.Rows = append(t.Rows, []string{c.Key, c.Value})
		}
		m.table(t)
	}
	var files []Artifact
	if s.Artifact.SHA256 != "" {
		files = append(files, Artifact{"wrote " + s.Artifact.Name, s.Artifact.Path, s.Artifact.SHA256})
	}
	for _, in := range s.Inputs {
		files = append(files, Artifact{"read " + in.Name, in.Path, in.SHA256})
	}
	if len(files) > 0 {
		m.artifacts(files)
	}
	return nil
}

func (m *markdown) artifacts(list []Artifact) {
	t := stage.Table{Columns: []string{"Artifact", "Path", "SHA-256"}}
	for _, a := range list {
		t.Rows = append(t.Rows, []string{a.Name, a.Path, a.SHA256})
	}
	m.table(t)
}

// line writes a block; its arguments are Markdown already.
func (m *markdown) line(format string, args ...any) {
	fmt.Fprintf(&m.out, format, args...)
	m.out.WriteString("\n\n")
}

func (m *markdown) paragraphs(texts ...string) {
	for _, text := range texts {
		if text != "" {
			m.line("%s", inline(text))
		}
	}
}

// fence writes text as a code block whose fence is longer than any run of
// backticks inside.
func (m *markdown) fence(text string) {
	longest, run := 2, 0
	for _, c := range text {
		if c != '`' {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	fence := strings.Repeat("`", longest+1)
	m.line("%s\n%s\n%s", fence, strings.TrimRight(text, "\n"), fence)
}

func (m *markdown) table(t stage.Table) {
	if t.Title != "" {
		m.line("**%s**", inline(t.Title))
	}
	row := func(cells []string) {
		for _, c := range cells {
			m.out.WriteString("| ")
			m.out.WriteString(inline(c))
			m.out.WriteByte(' ')
		}
		m.out.WriteString("|\n")
	}
	row(t.Columns)
	for _, right := range t.Right() {
		if right {
			m.out.WriteString("|--:")
		} else {
			m.out.WriteString("|---")
		}
	}
	m.out.WriteString("|\n")
	for _, r := range t.Rows {
		row(r)
	}
	m.out.WriteByte('\n')
	m.paragraphs(t.Note)
}

var inlineEscapes = strings.NewReplacer(
	"\\", "\\\\", "`", "\\`", "*", "\\*", "_", "\\_", "|", "\\|", "[", "\\[", "]", "\\]",
	"<", "&lt;", ">", "&gt;", "&", "&amp;", "~", "\\~", "#", "\\#", "!", "\\!",
	"\r\n", " ", "\n", " ", "\r", " ",
)

// inline makes text stand for itself inside a paragraph or a table cell.
func inline(text string) string { return inlineEscapes.Replace(text) }
