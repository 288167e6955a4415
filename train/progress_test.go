package train

import (
	"bytes"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestTrainingLineLooksAsDocumented(t *testing.T) {
	line := ProgressLine{
		Label: "step", Done: 1240, Total: 20_000, Left: 3*time.Minute + 12*time.Second,
		Fields: TrainingFields(3.2141, 0.8391, 2.9e-4, 7012.4, 0.41, 3_000_000_000),
	}
	want := "step 1,240/20,000 6.2% | loss 3.214 | gnorm 0.84 | lr 2.9e-4 | 7,012 tok/s | 41% of peak | mem 2.8G | eta 3m12s"
	if got := line.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := (ProgressLine{Label: "documents", Done: 12, Fields: []string{"kept 9"}}).String(), "documents 12 | kept 9"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, share := range []float64{0, 1.3} {
		if got := TrainingFields(1, 1, 1, 1, share, 0); len(got) != 4 {
			t.Errorf("unknown share (%v) and memory are shown: %v", share, got)
		}
	}
}

func TestFormatting(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{FormatCount(0), "0"},
		{FormatCount(999), "999"},
		{FormatCount(1000), "1,000"},
		{FormatCount(1_234_567), "1,234,567"},
		{FormatCount(-123_456), "-123,456"},
		{FormatCount(math.MinInt64), "-9,223,372,036,854,775,808"},
		{FormatDuration(0), "0s"},
		{FormatDuration(400e6), "0s"},
		{FormatDuration(59_600e6), "1m00s"},
		{FormatDuration(192e9), "3m12s"},
		{FormatDuration(3599_600e6), "1h00m"},
		{FormatDuration(3900e9), "1h05m"},
		{FormatDuration(183_600e9), "2d03h"},
		{FormatDuration(-5e9), "-5s"},
		{FormatBytes(0), "0B"},
		{FormatBytes(1023), "1023B"},
		{FormatBytes(1024), "1.0K"},
		{FormatBytes(1<<20 - 1), "1.0M"},
		{FormatBytes(3_000_000_000), "2.8G"},
		{FormatBytes(math.MaxInt64), "8192.0P"},
		{FormatScientific(2.9e-4), "2.9e-4"},
		{FormatScientific(0), "0"},
		{FormatScientific(1), "1.0e0"},
		{FormatScientific(9.96e-4), "1.0e-3"},
		{FormatScientific(1.5e12), "1.5e12"},
		{FormatScientific(-3e-10), "-3.0e-10"},
		{FormatScientific(math.NaN()), "NaN"},
		{FormatScientific(math.Inf(1)), "+Inf"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

// clock is a time that only moves when told.
type clock struct{ now time.Time }

func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }

func newTestProgress(o ProgressOptions) (*Progress, *bytes.Buffer, *clock) {
	out, c := &bytes.Buffer{}, &clock{time.Unix(1000, 0)}
	o.Out, o.Now = out, func() time.Time { return c.now }
	return NewProgressTo(o), out, c
}

func TestProgressElsewhereIsPlainLinesAtIntervals(t *testing.T) {
	p, out, c := newTestProgress(ProgressOptions{Interval: 10 * time.Second})
	for i := int64(0); i <= 100; i++ {
		p.Show(ProgressLine{Label: "step", Done: i, Total: 100})
		if i == 50 {
			p.Print("checkpoint written")
		}
		c.advance(500 * time.Millisecond)
	}
	p.Done()
	want := "step 0/100 0.0%\n" +
		"step 20/100 20.0% | eta 40s\n" +
		"step 40/100 40.0% | eta 30s\n" +
		"checkpoint written\n" +
		"step 60/100 60.0% | eta 20s\n" +
		"step 80/100 80.0% | eta 10s\n" +
		"step 100/100 100.0%\n"
	if got := out.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestProgressOnATerminalDrawsOverOneLine(t *testing.T) {
	p, out, c := newTestProgress(ProgressOptions{Terminal: true, Interval: time.Second, Width: func() int { return 18 }})
	p.Show(ProgressLine{Label: "step", Done: 1, Total: 4})
	c.advance(time.Second)
	p.Show(ProgressLine{Label: "step", Done: 2, Total: 4, Fields: []string{"loss 1"}})
	p.Show(ProgressLine{Label: "step", Done: 3, Total: 4}) // too soon
	p.Print("saved")
	p.Show(ProgressLine{Label: "step", Done: 4, Total: 4})
	p.Done()
	want := "\rstep 1/4 25.0%\x1b[K" +
		"\rstep 2/4 50.0% | \x1b[K" + // cut to 17 columns
		"\r\x1b[Ksaved\n" +
		"\rstep 4/4 100.0%\x1b[K\n"
	if got := out.String(); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestProgressUsesColorOnlyWhereAsked(t *testing.T) {
	for _, color := range []bool{false, true} {
		p, out, _ := newTestProgress(ProgressOptions{Terminal: true, Color: color})
		p.Show(ProgressLine{Label: "step", Done: 1, Fields: []string{"a"}})
		if got := strings.Contains(out.String(), "\x1b[2m"); got != color {
			t.Errorf("color %v: %q", color, out)
		}
	}
}

func TestProgressEstimatesFromThePaceOfThisRun(t *testing.T) {
	p, out, c := newTestProgress(ProgressOptions{Interval: time.Nanosecond})
	p.Show(ProgressLine{Label: "step", Done: 900, Total: 1000}) // resumed
	c.advance(10 * time.Second)
	p.Show(ProgressLine{Label: "step", Done: 910, Total: 1000})
	p.Show(ProgressLine{Label: "prompt", Done: 0, Total: 10}) // another work: no pace yet
	c.advance(time.Minute)
	p.Show(ProgressLine{Label: "prompt", Done: 1, Total: 10})
	want := "step 900/1,000 90.0%\nstep 910/1,000 91.0% | eta 1m30s\nprompt 0/10 0.0%\nprompt 1/10 10.0% | eta 9m00s\n"
	if got := out.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestResidentMemoryIsThatOfAProcess(t *testing.T) {
	got := ResidentMemory()
	if runtime.GOOS != "linux" {
		t.Skipf("%s tells %d", runtime.GOOS, got)
	}
	if got < 1<<20 || got > 1<<40 {
		t.Errorf("%d bytes", got)
	}
}
