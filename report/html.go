package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page's template, style, script and charts
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"

	"github.com/seed-b72bdb6c/alma/stage"
)

//go:embed assets/page.html
var pageTemplate string

//go:embed assets/page.css
var pageStyle string

//go:embed assets/page.js
var pageScript string

//go:embed assets/uplot.min.css
var uplotStyle string

//go:embed assets/uplot.iife.min.js
var uplotScript string

//go:embed assets/uplot.LICENSE
var uplotLicence string

// page is what the template sees.
type page struct {
	*Report
	Policy        template.HTMLAttr
	Style         template.CSS
	Uplot, Script template.JS
	Data          []chartData
	Licence       string
	Verdict       string
	AllMet        bool
	Rows          []computeRow
	Bars          []shareBar
	Sections      []stageSection
	ExpectLow     int
	ExpectHigh    int
}

// stageSection is a stage with what the template needs computed.
type stageSection struct {
	Stage
	Anchor  string
	Heading string
	Config  []Setting
	Plots   []plot
}

// plot is a chart with its index in the page's data and its numbers.
type plot struct {
	Chart
	Index  int
	Curves []curve
}

// chartData goes to the page's script as JSON.
type chartData struct {
	X      string       `json:"x"`
	Y      string       `json:"y"`
	LogY   bool         `json:"log,omitempty"`
	Series []seriesData `json:"series"`
}

type seriesData struct {
	Name string `json:"name"`
	X    points `json:"x"`
	Y    points `json:"y"`
}

// points are written with nine significant digits, so that neighbouring steps
// of a long run stay apart, and null where there is no finite number.
type points []float64

// MarshalJSON implements json.Marshaler.
func (p points) MarshalJSON() ([]byte, error) {
	out := []byte{'['}
	for i, v := range p {
		if i > 0 {
			out = append(out, ',')
		}
		if finite(v) {
			out = strconv.AppendFloat(out, v, 'g', 9, 64)
		} else {
			out = append(out, "null"...)
		}
	}
	return append(out, ']'), nil
}

// shareBar is a bar of stages, each part placed in per cent of the width.
type shareBar struct {
	Name  string
	Parts []sharePart
}

type sharePart struct {
	Stage         string
	Colour        int // 1-based
	Left, Width   string
	Percent       string
	LabelFits     bool // on a wide screen
	LabelTight    bool // but not on a phone
	LabelPosition string
}

// HTML writes the report as one file that needs nothing else.
func (r *Report) HTML(w io.Writer) error {
	p, err := r.page()
	if err != nil {
		return fmt.Errorf("building the report %q: %w", r.Title, err)
	}
	t, err := template.New("page").Funcs(template.FuncMap{"score": score, "barWidth": barWidth, "itemScore": itemScore}).Parse(pageTemplate)
	if err != nil {
		return fmt.Errorf("building the report %q: %w", r.Title, err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, p); err != nil {
		return fmt.Errorf("building the report %q: %w", r.Title, err)
	}
	if _, err := w.Write(out.Bytes()); err != nil {
		return fmt.Errorf("writing the report %q: %w", r.Title, err)
	}
	return nil
}

func (r *Report) page() (*page, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	style := uplotStyle + "\n" + pageStyle
	p := &page{
		Report: r,
		Policy: template.HTMLAttr(fmt.Sprintf(`content="default-src 'none'; style-src %s; script-src %s %s; base-uri 'none'; form-action 'none'"`,
			sourceHash(style), sourceHash(uplotScript), sourceHash(pageScript))),
		Style: template.CSS(style), Uplot: template.JS(uplotScript), Script: template.JS(pageScript),
		Licence: uplotLicence, Rows: computeTable(r.Compute), ExpectLow: expectedLow, ExpectHigh: expectedHigh,
	}
	p.Verdict, p.AllMet = r.verdict()
	p.Bars = shareBars(p.Rows)
	anchors := map[string]int{}
	for _, s := range r.Stages {
		config, err := flatten(s.Config)
		if err != nil {
			return nil, fmt.Errorf("stage %s: %w", s.Name, err)
		}
		section := stageSection{Stage: s, Anchor: "stage-" + slug(s.Name), Heading: s.Title, Config: config}
		if anchors[section.Anchor]++; anchors[section.Anchor] > 1 {
			section.Anchor += "-" + strconv.Itoa(anchors[section.Anchor])
		}
		if section.Heading == "" {
			section.Heading = s.Name
		}
		for _, c := range s.Charts {
			data := chartData{X: c.XLabel, Y: c.YLabel, LogY: c.LogY}
			drawn := plot{Chart: c, Index: len(p.Data)}
			for _, series := range c.Series {
				drawn.Curves = append(drawn.Curves, sumUp(series))
				thinned := thin(series)
				data.Series = append(data.Series, seriesData{series.Name, thinned.X, thinned.Y})
			}
			p.Data = append(p.Data, data)
			section.Plots = append(section.Plots, drawn)
		}
		p.Sections = append(p.Sections, section)
	}
	return p, nil
}

// check refuses shapes that could not be drawn.
func (r *Report) check() error {
	tables := r.Tables
	for _, s := range r.Stages {
		tables = append(tables[:len(tables):len(tables)], s.Tables...)
		for _, c := range s.Charts {
			for _, series := range c.Series {
				if len(series.X) != len(series.Y) {
					return fmt.Errorf("stage %s: chart %q: series %q has %d x and %d y", s.Name, c.Title, series.Name, len(series.X), len(series.Y))
				}
			}
		}
	}
	for _, t := range tables {
		for i, row := range t.Rows {
			if len(row) != len(t.Columns) {
				return fmt.Errorf("table %q: row %d has %d cells, the table has %d columns", t.Title, i, len(row), len(t.Columns))
			}
		}
	}
	for i, s := range r.Samples.Pairs {
		for _, a := range s.Answers {
			if len(a.Items) != len(s.Answers[0].Items) {
				return fmt.Errorf("sample %d: %s has %d items, %s has %d", i, a.Model, len(a.Items), s.Answers[0].Model, len(s.Answers[0].Items))
			}
			for j := range a.Items {
				if a.Items[j].Name != s.Answers[0].Items[j].Name {
					return fmt.Errorf("sample %d: item %d is %q for %s and %q for %s", i, j, a.Items[j].Name, a.Model, s.Answers[0].Items[j].Name, s.Answers[0].Model)
				}
			}
		}
	}
	return nil
}

// verdict counts the thresholds that are met; "" when there is none.
func (r *Report) verdict() (text string, all bool) {
	met, held := 0, 0
	for _, o := range r.Outcomes {
		switch o.Status {
		case Passed:
			met++
			held++
		case Failed:
			held++
		}
	}
	switch {
	case held == 0:
		return "", false
	case met == held:
		return fmt.Sprintf("All %d thresholds are met.", held), true
	}
	return fmt.Sprintf("%d of %d thresholds are met.", met, held), false
}

func shareBars(rows []computeRow) []shareBar {
	if len(rows) == 0 {
		return nil
	}
	build := func(name string, share func(computeRow) float64, text func(computeRow) string) shareBar {
		bar, left := shareBar{Name: name}, 0.0
		for i, r := range rows[:len(rows)-1] {
			width := 100 * share(r)
			bar.Parts = append(bar.Parts, sharePart{
				Stage: r.Stage, Colour: i%8 + 1, Percent: text(r),
				Left: strconv.FormatFloat(left, 'f', 2, 64) + "%", Width: strconv.FormatFloat(width, 'f', 2, 64) + "%",
				LabelFits: width >= 8, LabelTight: width < 20, LabelPosition: strconv.FormatFloat(left+width/2, 'f', 2, 64) + "%",
			})
			left += width
		}
		return bar
	}
	return []shareBar{
		build("FLOPs", func(r computeRow) float64 { return r.flopShare }, func(r computeRow) string { return r.FLOPShare }),
		build("time", func(r computeRow) float64 { return r.secondShare }, func(r computeRow) string { return r.SecondShare }),
	}
}

// sourceHash is the source expression of the content security policy that
// allows exactly this text.
func sourceHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// slug turns a name into an anchor: letters and digits, dashes between.
func slug(name string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			b.WriteRune(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	return strings.TrimSuffix(b.String(), "-")
}

// Short returns the first twelve digits of the hash, enough to compare by eye.
func (a Artifact) Short() string { return a.SHA256[:min(12, len(a.SHA256))] }

// barWidth is how much of a bar of 48 units an item fills.
func barWidth(i stage.Item) string {
	return strconv.FormatFloat(48*min(max(i.Score/i.Max, 0), 1), 'f', 1, 64)
}

// itemScore writes an item's score with three decimals and, if there is one, the
// most that it could be.
func itemScore(i stage.Item) string {
	if i.Max == 0 {
		return score(i.Score)
	}
	return score(i.Score) + " / " + score(i.Max)
}
