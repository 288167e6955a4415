package progress

import (
	"bytes"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestTrainingLineLooksAsDocumented(t *testing.T) {
	line := Line{
		Label: "step", Done: 1240, Total: 20_000, Left: 3*time.Minute + 12*time.Second,
		Fields: TrainingFields(3.2141, 0.8391, 2.9e-4, 7012.4, 0.41, 3_000_000_000),
	}
	want := "step 1,240/20,000 6.2% | loss 3.214 | gnorm 0.84 | lr 2.9e-4 | 7,012 tok/s | 41% of peak | mem 2.8G | eta 3m12s"
	if got := line.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := (Line{Label: "documents", Done: 12, Fields: []string{"kept 9"}}).String(), "documents 12 | kept 9"; got != want {
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
		{Count(0), "0"},
		{Count(999), "999"},
		{Count(1000), "1,000"},
		{Count(1_234_567), "1,234,567"},
		{Count(-123_456), "-123,456"},
		{Count(math.MinInt64), "-9,223,372,036,854,775,808"},
		{Duration(0), "0s"},
		{Duration(400e6), "0s"},
		{Duration(59_600e6), "1m00s"},
		{Duration(192e9), "3m12s"},
		{Duration(3599_600e6), "1h00m"},
		{Duration(3900e9), "1h05m"},
		{Duration(183_600e9), "2d03h"},
		{Duration(-5e9), "-5s"},
		{Bytes(0), "0B"},
		{Bytes(1023), "1023B"},
		{Bytes(1024), "1.0K"},
		{Bytes(1<<20 - 1), "1.0M"},
		{Bytes(3_000_000_000), "2.8G"},
		{Bytes(math.MaxInt64), "8192.0P"},
		{Scientific(2.9e-4), "2.9e-4"},
		{Scientific(0), "0"},
		{Scientific(1), "1.0e0"},
		{Scientific(9.96e-4), "1.0e-3"},
		{Scientific(1.5e12), "1.5e12"},
		{Scientific(-3e-10), "-3.0e-10"},
		{Scientific(math.NaN()), "NaN"},
		{Scientific(math.Inf(1)), "+Inf"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

// clock is a time that only moves when told.
type clock struct{ now time.Time }

func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }

func newTestProgress(o Options) (*Progress, *bytes.Buffer, *clock) {
	out, c := &bytes.Buffer{}, &clock{time.Unix(1000, 0)}
	o.Out, o.Now = out, func() time.Time { return c.now }
	return NewTo(o), out, c
}

func TestProgressElsewhereIsPlainLinesAtIntervals(t *testing.T) {
	p, out, c := newTestProgress(Options{Interval: 10 * time.Second})
	for i := int64(0); i <= 100; i++ {
		p.Show(Line{Label: "step", Done: i, Total: 100})
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
	p, out, c := newTestProgress(Options{Terminal: true, Interval: time.Second, Width: func() int { return 18 }})
	p.Show(Line{Label: "step", Done: 1, Total: 4})
	c.advance(time.Second)
	p.Show(Line{Label: "step", Done: 2, Total: 4, Fields: []string{"loss 1"}})
	p.Show(Line{Label: "step", Done: 3, Total: 4}) // too soon
	p.Print("saved")
	p.Show(Line{Label: "step", Done: 4, Total: 4})
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
		p, out, _ := newTestProgress(Options{Terminal: true, Color: color})
		p.Show(Line{Label: "step", Done: 1, Fields: []string{"a"}})
		if got := strings.Contains(out.String(), "\x1b[2m"); got != color {
			t.Errorf("color %v: %q", color, out)
		}
	}
}

func TestProgressEstimatesFromThePaceOfThisRun(t *testing.T) {
	p, out, c := newTestProgress(Options{Interval: time.Nanosecond})
	p.Show(Line{Label: "step", Done: 900, Total: 1000}) // resumed
	c.advance(10 * time.Second)
	p.Show(Line{Label: "step", Done: 910, Total: 1000})
	p.Show(Line{Label: "prompt", Done: 0, Total: 10}) // another work: no pace yet
	c.advance(time.Minute)
	p.Show(Line{Label: "prompt", Done: 1, Total: 10})
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

func TestPrintableTextHasNoControlCharacters(t *testing.T) {
	if got := Printable("a\x1b[31mb\tc\n\x07"); got != "a\uFFFD[31mb\tc\n\uFFFD" {
		t.Errorf("printable: %q", got)
	}
}
