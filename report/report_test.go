package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"html"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/stage"
)

var (
	update = flag.Bool("update", false, "write the golden files anew")
	show   = flag.String("show", "", "folder to write an example report to, for looking at it")
)

func render(t *testing.T, r *Report) (page, text string) {
	t.Helper()
	var h, m bytes.Buffer
	if err := r.HTML(&h); err != nil {
		t.Fatal(err)
	}
	if err := r.Markdown(&m); err != nil {
		t.Fatal(err)
	}
	return h.String(), m.String()
}

func TestSmallReportMatchesTheGoldenFiles(t *testing.T) {
	page, text := render(t, small())
	// The charting library is checked by its hash in the policy; the golden
	// file stays readable without it.
	page = strings.Replace(page, uplotScript, "/* uPlot */", 1)
	for name, got := range map[string]string{"small.html": page, "small.md": text} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("%v; run go test ./report -update", err)
		}
		if got != string(want) {
			t.Errorf("%s differs from the golden file; if that is meant, run go test ./report -update\n%s", name, firstDifference(got, string(want)))
		}
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return "got  " + g[i] + "\nwant " + w[i]
		}
	}
	return "one continues after the other's end"
}

func TestShowWritesAnExample(t *testing.T) {
	if *show == "" {
		t.Skip("only with -show FOLDER")
	}
	page, text := render(t, large())
	for name, content := range map[string]string{"report.html": page, "report.md": text} {
		if err := os.WriteFile(filepath.Join(*show, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestThePageLoadsNothing(t *testing.T) {
	page, _ := render(t, large())
	own := strings.Replace(page, uplotScript, "", 1)
	if i := strings.Index(own, "://"); i >= 0 {
		t.Errorf("an address: ...%s...", own[max(0, i-40):i+40])
	}
	for name, pattern := range map[string]string{
		"a source":             `(?i)<[^>]*\s(src|srcset|data|poster|action|background)\s*=`,
		"a link that leaves":   `(?i)<[^>]*\s(xlink:)?href\s*=\s*"?[^"#]`,
		"a loading element":    `(?i)<(link|iframe|img|object|embed|base|form|video|audio)\b`,
		"a style that loads":   `(?i)url\(|@import|@font-face`,
		"an inline style":      `(?i)<[^>]*\sstyle\s*=`,
		"an inline handler":    `(?i)<[^>]*\son[a-z]+\s*=`,
		"a script that loads":  `(?i)\b(fetch|XMLHttpRequest|WebSocket|EventSource|sendBeacon|importScripts)\b`,
		"a script from string": `(?i)\beval\(|new Function`,
	} {
		if found := regexp.MustCompile(pattern).FindString(own); found != "" {
			t.Errorf("%s: %q", name, found)
		}
	}
	if strings.Count(page, uplotScript) != 1 {
		t.Error("the charting library is not in the page once")
	}
}

func TestThePolicyAllowsExactlyTheEmbeddedScriptsAndStyle(t *testing.T) {
	page, _ := render(t, small())
	policy := html.UnescapeString(regexp.MustCompile(`Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(page)[1])
	if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") {
		t.Fatalf("policy %q", policy)
	}
	allowed := regexp.MustCompile(`'sha256-[^']*'`).FindAllString(policy, -1)
	var present []string
	for _, m := range regexp.MustCompile(`(?s)<(?:style|script)>(.*?)</(?:style|script)>`).FindAllStringSubmatch(page, -1) {
		sum := sha256.Sum256([]byte(m[1]))
		present = append(present, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	}
	if !slices.Equal(allowed, present) || len(present) != 3 {
		t.Errorf("allowed %v, present %v", allowed, present)
	}
}

func TestWhatModelsWriteStaysText(t *testing.T) {
	const attack = `"><img src=x onerror=alert(1)></script><script>alert(2)</script><!--`
	r := &Report{
		Title: attack, Intro: attack, Facts: []Fact{{attack, attack}}, Statement: []string{attack},
		Outcomes:  []Outcome{{attack, attack, attack, Passed, attack}},
		Tables:    []stage.Table{{Title: attack, Columns: []string{attack}, Rows: [][]string{{attack}}, Note: attack}},
		Samples:   stage.Samples{Note: attack, Pairs: []stage.Sample{{Prompt: attack, Reference: attack, Answers: []stage.Answer{{Model: attack, Text: attack, Score: 1, Items: []stage.Item{{Name: attack, Score: 1, Max: 1}}}}}}},
		Compute:   []StageCompute{{attack, 1, 1, 1, true}},
		Stages:    []Stage{{Name: attack, Title: attack, Description: attack, State: attack, Artifact: Artifact{attack, attack, attack}, Inputs: []Artifact{{attack, attack, attack}}, Config: map[string]string{attack: attack}, Charts: []Chart{{attack, attack, attack, false, []Series{{attack, []float64{1}, []float64{1}}}}}, Notes: []string{attack}}},
		Settings:  []Setting{{attack, attack, attack}},
		Artifacts: []Artifact{{attack, attack, attack}},
		Commands:  []Command{{attack, attack}},
	}
	page, text := render(t, r)
	for _, bad := range []string{"<img", "<script>alert", "<!--", `onerror=alert(1)>`} {
		if strings.Contains(page, bad) {
			t.Errorf("the page contains %s", bad)
		}
	}
	if n := strings.Count(page, "</script>"); n != 3 {
		t.Errorf("the page closes %d scripts, want 3", n)
	}
	outside := regexp.MustCompile("(?s)```+\n.*?\n```+").ReplaceAllString(text, "")
	if strings.Contains(outside, "<") {
		t.Errorf("the Markdown contains markup outside of code:\n%s", outside)
	}
}

func TestAFenceIsLongerThanWhatItHolds(t *testing.T) {
	_, text := render(t, &Report{Title: "x", Commands: []Command{{"", "a ```` b"}}})
	if !strings.Contains(text, "`````\na ```` b\n`````") {
		t.Errorf("got %s", text)
	}
}

func TestHTMLAndMarkdownHoldTheSameFigures(t *testing.T) {
	page, text := render(t, large())
	page = html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(page, " "))
	for _, want := range []string{"1.826", "0.538 [0.507, 0.568]", "5 of 6", "0.616", "one whole sentence", "53.0 T", "55.0 %", "2.41 ×", "below", "6 min 42 s",
		"recipes/godoc.yaml:1", "derived from budget 15m", "alma chat runs/godoc/ppo", "parseDirective parses the text at pos", "412 of 13,974"} {
		// Markdown escapes punctuation.
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
		plain := strings.NewReplacer(`\`, "", "&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(text)
		if !strings.Contains(plain, want) {
			t.Errorf("the Markdown lacks %q", want)
		}
	}
}

func TestEqualReportsAreEqualBytes(t *testing.T) {
	p1, t1 := render(t, large())
	p2, t2 := render(t, large())
	if p1 != p2 || t1 != t2 {
		t.Error("two renderings differ")
	}
}

func TestLongCurvesAreThinnedWithoutLosingSpikes(t *testing.T) {
	s := Series{Name: "loss"}
	for i := range 20_000 {
		s.X, s.Y = append(s.X, float64(i)), append(s.Y, 1+.001*float64(i%7))
	}
	s.Y[12_345], s.Y[777], s.Y[9_000] = 50, -50, math.NaN()
	got := thin(s)
	if len(got.X) > MaxPoints || len(got.X) != len(got.Y) {
		t.Fatalf("%d x and %d y", len(got.X), len(got.Y))
	}
	for x, want := range map[float64]float64{12_345: 50, 777: -50, 0: 1, 19_999: s.Y[19_999]} {
		if i := slices.Index(got.X, x); i < 0 || got.Y[i] != want {
			t.Errorf("the point at %v is lost", x)
		}
	}
	if !slices.IsSorted(got.X) {
		t.Error("x no longer ascends")
	}
}

func TestShortCurvesStayAsTheyAre(t *testing.T) {
	for _, n := range []int{0, 1, 2, MaxPoints} {
		s := Series{X: make([]float64, n), Y: make([]float64, n)}
		if got := thin(s); len(got.X) != n {
			t.Errorf("%d points became %d", n, len(got.X))
		}
	}
	if got := thin(Series{X: make([]float64, MaxPoints+1), Y: make([]float64, MaxPoints+1)}); len(got.X) > MaxPoints {
		t.Errorf("one point too many became %d", len(got.X))
	}
}

func TestAStretchOfGapsSurvivesThinning(t *testing.T) {
	var s Series
	for i := range 5000 {
		y := 1.0
		if i >= 1000 && i < 2000 {
			y = math.NaN()
		}
		s.X, s.Y = append(s.X, float64(i)), append(s.Y, y)
	}
	got := thin(s)
	gaps := 0
	for _, y := range got.Y {
		if math.IsNaN(y) {
			gaps++
		}
	}
	if gaps < 90 {
		t.Errorf("%d gaps left", gaps)
	}
}

func TestPointsBecomeJSONWithGapsAsNull(t *testing.T) {
	data, err := json.Marshal(points{1, math.NaN(), 1234567, math.Inf(1), 3e-4})
	if err != nil || string(data) != "[1,null,1234567,null,0.0003]" {
		t.Errorf("%s, %v", data, err)
	}
}

func TestSparkline(t *testing.T) {
	for _, c := range []struct {
		y    []float64
		want string
	}{
		{nil, ""},
		{[]float64{1, 1, 1}, "▄▄▄"},
		{[]float64{0, 1, 2, 3, 4, 5, 6, 7}, "▁▂▃▄▅▆▇█"},
		{[]float64{0, math.NaN(), 7}, "▁ █"},
	} {
		if got := sparkline(c.y, 8); got != c.want {
			t.Errorf("sparkline(%v) = %q, want %q", c.y, got, c.want)
		}
	}
	long := make([]float64, 1000)
	for i := range long {
		long[i] = float64(-i)
	}
	if got := sparkline(long, 8); got != "█▇▆▅▄▃▂▁" {
		t.Errorf("a falling line is %q", got)
	}
}

func TestComputeSharesAndRatios(t *testing.T) {
	rows := computeTable([]StageCompute{
		{"pretrain", 9e13, 800, 1000, true}, {"sft", 9e12, 100, 0, false}, {"ppo", 9e11, 99, 0, false},
		{"eval", 9e10, 1, 0, false}, {"corpus", 0, 0, 0, false},
	})
	type line struct{ stage, flops, share, time, ratio, timeRatio, against string }
	var got []line
	for _, r := range rows {
		got = append(got, line{r.Stage, r.FLOPs, r.FLOPShare, r.Seconds, r.FLOPRatio, r.SecondRatio, r.Against})
	}
	want := []line{
		{"pretrain", "90.0 T", "90.0 %", "13 min 20 s", "–", "–", ""},
		{"sft", "9.00 T", "9.0 %", "1 min 40 s", "10.0 ×", "8.00 ×", "within"},
		{"ppo", "900 G", "0.9 %", "1 min 39 s", "100 ×", "8.08 ×", "within"},
		{"eval", "90.0 G", "0.1 %", "1.00 s", "1000 ×", "800 ×", "above"},
		{"corpus", "0", "0.0 %", "0.00 s", "–", "–", ""},
		{"all", "100 T", "100.0 %", "16 min 40 s", "–", "–", ""},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
	for _, r := range computeTable([]StageCompute{{"sft", 1e9, 1, 0, false}}) {
		if r.FLOPRatio != "–" || r.Against != "" {
			t.Errorf("without pretraining there is a ratio: %+v", r)
		}
	}
}

func TestFigures(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0", 1: "1", 1.23456: "1.235", 12.3456: "12.35", 123.456: "123.5", 1234.5: "1,235", 999_999: "999,999",
		1e6: "1e6", 5.3e13: "5.3e13", 3e-4: "3e-4", .05: "0.05", -.4: "-0.4", -1234: "-1,234", math.Inf(1): "–",
	} {
		if got := figure(x); got != want {
			t.Errorf("figure(%v) = %q, want %q", x, got, want)
		}
	}
	for s, want := range map[float64]string{0: "0.00 s", .84: "0.84 s", 12.34: "12.3 s", 59.99: "60.0 s", 485: "8 min 05 s", 7800: "2 h 10 min"} {
		if got := span(s); got != want {
			t.Errorf("span(%v) = %q, want %q", s, got, want)
		}
	}
}

func TestConfigurationIsFlattenedInItsOwnOrder(t *testing.T) {
	type inner struct {
		Z int    `json:"z"`
		A string `json:"a"`
	}
	got, err := flatten(struct {
		Zeta  inner   `json:"zeta"`
		Alpha []int   `json:"alpha"`
		List  []inner `json:"list"`
		None  *int    `json:"none"`
		Empty []int   `json:"empty"`
		Big   int64   `json:"big"`
	}{inner{1, "x"}, []int{1, 2}, []inner{{3, "y"}}, nil, []int{}, 1<<53 + 1})
	want := []Setting{{Key: "zeta.z", Value: "1"}, {Key: "zeta.a", Value: "x"}, {Key: "alpha", Value: "[1, 2]"},
		{Key: "list[0].z", Value: "3"}, {Key: "list[0].a", Value: "y"}, {Key: "none", Value: "none"}, {Key: "empty", Value: "[]"}, {Key: "big", Value: "9007199254740993"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\ngot  %v\nwant %v", err, got, want)
	}
}

func TestShapesThatCannotBeDrawnAreRefused(t *testing.T) {
	for want, r := range map[string]*Report{
		`series "a" has 2 x and 1 y`:               {Stages: []Stage{{Name: "s", Charts: []Chart{{Series: []Series{{"a", []float64{1, 2}, []float64{1}}}}}}}},
		`row 0 has 1 cells, the table has 2`:       {Tables: []stage.Table{{Columns: []string{"a", "b"}, Rows: [][]string{{"x"}}}}},
		`sample 0: PPO has 0 items, SFT has 1`:     {Samples: stage.Samples{Pairs: []stage.Sample{{Answers: []stage.Answer{{Model: "SFT", Items: []stage.Item{{Name: "a"}}}, {Model: "PPO"}}}}}},
		`item 0 is "b" for PPO and "a" for SFT`:    {Samples: stage.Samples{Pairs: []stage.Sample{{Answers: []stage.Answer{{Model: "SFT", Items: []stage.Item{{Name: "a"}}}, {Model: "PPO", Items: []stage.Item{{Name: "b"}}}}}}}},
		`stage s: writing the configuration of ty`: {Stages: []Stage{{Name: "s", Config: func() {}}}},
	} {
		for _, write := range []func(io.Writer) error{r.HTML, r.Markdown} {
			if err := write(io.Discard); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want ...%s...", err, want)
			}
		}
	}
}

func TestAWriterThatFailsIsReported(t *testing.T) {
	full := errors.New("no space")
	for _, write := range []func(io.Writer) error{small().HTML, small().Markdown} {
		if err := write(failing{full}); !errors.Is(err, full) || !strings.Contains(err.Error(), "A small run") {
			t.Errorf("got %v", err)
		}
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestAnEmptyReportStillRenders(t *testing.T) {
	page, text := render(t, &Report{Title: "nothing"})
	if strings.Contains(page, "<section") || strings.Contains(page, "<script") || strings.TrimSpace(text) != "# nothing" {
		t.Errorf("got %s", text)
	}
}

func TestRepeatedStagesHaveTheirOwnAnchors(t *testing.T) {
	page, _ := render(t, &Report{Stages: []Stage{{Name: "eval"}, {Name: "eval"}, {Name: "PPO & more"}}})
	for _, id := range []string{`id="stage-eval"`, `id="stage-eval-2"`, `id="stage-ppo-more"`} {
		if strings.Count(page, id) != 1 {
			t.Errorf("%s is not there once", id)
		}
	}
}
