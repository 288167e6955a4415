package progress

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// Line says how far a piece of work has come.
type Line struct {
	Label  string   // what is counted: "step", "documents", "prompts"
	Done   int64    // how many are done
	Total  int64    // of how many; 0 if unknown
	Fields []string // what else to show: "loss 3.214"
	// Left is the time that is still needed, 0 if unknown. [Progress] fills it
	// in from the pace since the label first came.
	Left time.Duration
}

// String formats the line:
//
//	step 1,240/20,000 6.2% | loss 3.214 | eta 3m12s
func (l Line) String() string {
	var b strings.Builder
	b.WriteString(l.Label)
	b.WriteByte(' ')
	b.WriteString(Count(l.Done))
	if l.Total > 0 {
		fmt.Fprintf(&b, "/%s %.1f%%", Count(l.Total), 100*float64(l.Done)/float64(l.Total))
	}
	for _, field := range l.Fields {
		b.WriteString(" | ")
		b.WriteString(field)
	}
	if l.Left > 0 {
		b.WriteString(" | eta ")
		b.WriteString(Duration(l.Left))
	}
	return b.String()
}

// TrainingFields returns the fields of a training line: loss in nats per
// token, gradient norm, learning rate, tokens per second, share of the
// machine's peak in [0, 1], resident memory in bytes. A share or memory that
// is not above 0 is unknown and left out, and so is a share above 1: the peak was
// measured while other programs ran.
func TrainingFields(loss, gradientNorm, lr, tokensPerSecond, peakShare float64, memory int64) []string {
	fields := []string{
		fmt.Sprintf("loss %.3f", loss),
		fmt.Sprintf("gnorm %.2f", gradientNorm),
		"lr " + Scientific(lr),
		Count(int64(math.Round(tokensPerSecond))) + " tok/s",
	}
	if peakShare > 0 && peakShare <= 1 {
		fields = append(fields, fmt.Sprintf("%.0f%% of peak", 100*peakShare))
	}
	if memory > 0 {
		fields = append(fields, "mem "+Bytes(memory))
	}
	return fields
}

// Count writes a whole number with commas between thousands.
func Count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	var b strings.Builder
	b.WriteString(sign)
	for i, d := range []byte(digits) {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteByte(d)
	}
	return b.String()
}

// Duration writes a duration, rounded to seconds, in its two largest
// units: 12s, 3m12s, 1h05m, 2d03h.
func Duration(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	switch {
	case s < 0:
		return "-" + Duration(-d)
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%02dm", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s%86400/3600)
}

// Bytes writes a size in powers of 1024 with one decimal: 512B, 2.8G.
func Bytes(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%dB", n)
	}
	value := float64(n)
	unit := 0
	// 1023.95 and above would be written as 1024.0.
	for value /= 1024; value >= 1023.95 && unit < len("KMGTP")-1; value /= 1024 {
		unit++
	}
	return fmt.Sprintf("%.1f%c", value, "KMGTP"[unit])
}

// Scientific writes a number with two digits and an exponent without
// leading zeros: 2.9e-4.
func Scientific(v float64) string {
	if v == 0 {
		return "0"
	}
	text := strconv.FormatFloat(v, 'e', 1, 64)
	mantissa, digits, _ := strings.Cut(text, "e")
	exponent, err := strconv.Atoi(digits)
	if err != nil {
		return text // NaN, +Inf, -Inf have none
	}
	return fmt.Sprintf("%se%d", mantissa, exponent)
}

// ResidentMemory returns the process's resident memory in bytes, 0 where the
// system does not tell it through /proc.
func ResidentMemory() int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(data) // in pages: size, resident, …
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// Options say where progress goes and how.
type Options struct {
	Out      io.Writer
	Terminal bool             // one line that is drawn over, instead of a line now and then
	Color    bool             // separators are dimmed; only on a terminal
	Width    func() int       // columns of the terminal; nil or 0: a line is never cut
	Interval time.Duration    // least time between two lines; 0: 100 ms on a terminal, 10 s elsewhere
	Now      func() time.Time // nil: time.Now
}

// Progress shows how far work has come: on a terminal as one line that is
// drawn over, otherwise as plain lines at intervals. It is safe for use by
// several goroutines. Its output is for people: errors in writing it are
// passed over.
type Progress struct {
	o Options

	mu    sync.Mutex
	label string    // of the work shown last
	begin time.Time // when its label first came
	first int64     // how many were done then
	shown time.Time // when a line was shown last
	drawn bool      // a line without its end is on the terminal
}

// New returns a Progress for a file such as os.Stderr: drawn over if
// it is a terminal (and TERM is not "dumb"), in color unless NO_COLOR is set
// (no-color.org).
func New(file *os.File) *Progress {
	fd := int(file.Fd())
	terminal := term.IsTerminal(fd) && os.Getenv("TERM") != "dumb"
	return NewTo(Options{
		Out:      file,
		Terminal: terminal,
		Color:    terminal && os.Getenv("NO_COLOR") == "",
		Width: func() int {
			width, _, err := term.GetSize(fd)
			if err != nil {
				return 0
			}
			return width
		},
	})
}

// NewTo returns a Progress with the given options.
func NewTo(o Options) *Progress {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Interval == 0 {
		o.Interval = 10 * time.Second
		if o.Terminal {
			o.Interval = 100 * time.Millisecond
		}
	}
	return &Progress{o: o}
}

// Show shows a line, unless one was shown less than the interval ago. The
// first line of a label and one whose work is done are always shown.
func (p *Progress) Show(line Line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.o.Now()
	if line.Label != p.label || line.Done < p.first {
		p.end()
		p.label, p.begin, p.first, p.shown = line.Label, now, line.Done, time.Time{}
	}
	finished := line.Total > 0 && line.Done >= line.Total
	if !finished && !p.shown.IsZero() && now.Sub(p.shown) < p.o.Interval {
		return
	}
	p.shown = now
	if line.Left == 0 && line.Done > p.first && line.Done < line.Total {
		each := float64(now.Sub(p.begin)) / float64(line.Done-p.first)
		line.Left = time.Duration(each * float64(line.Total-line.Done))
	}
	text := line.String()
	if !p.o.Terminal {
		fmt.Fprintln(p.o.Out, text)
		return
	}
	if p.o.Width != nil {
		// The last column stays free: writing it makes some terminals wrap.
		text = cutColumns(text, p.o.Width()-1)
	}
	if p.o.Color {
		text = strings.ReplaceAll(text, " | ", " \x1b[2m|\x1b[0m ")
	}
	fmt.Fprint(p.o.Out, "\r", text, "\x1b[K")
	p.drawn = true
}

// cutColumns cuts text to n characters; n below 1 cuts nothing.
func cutColumns(text string, n int) string {
	if n < 1 || utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n])
}

// Print writes a line that stays, above the progress line.
func (p *Progress) Print(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.drawn {
		fmt.Fprint(p.o.Out, "\r\x1b[K")
		p.drawn = false
		p.shown = time.Time{} // the progress line comes back with the next Show
	}
	fmt.Fprintln(p.o.Out, text)
}

// Done leaves the line as it is and goes to the next. The label is forgotten:
// the next Show begins new work.
func (p *Progress) Done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
	p.label = ""
}

func (p *Progress) end() {
	if p.drawn {
		fmt.Fprintln(p.o.Out)
		p.drawn = false
	}
}

// Printable replaces the control characters in text that a model or a file brought
// along: a terminal would obey them.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
