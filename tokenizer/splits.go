package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A pre-tokenizer that is a sequence: each step cuts the pieces that the one before
// left, each piece as if it were a text of its own. Sequences that one function of
// scan.go does, which is many times faster, are recognised before (fastSequence).

// step is one cut: at what it finds, and what becomes of the parts.
type step struct {
	program  []instruction                                 // of an expression, or
	find     func(text string, yield func(start, end int)) // another way to find
	behavior string                                        // Isolated, Removed, MergedWithPrevious, MergedWithNext, Contiguous
	invert   bool                                          // what lies between is what was found
	written  bool                                          // behind ByteLevel: it looks at bytes as they are written
}

// behaviors are the values of "behavior" of a Split.
var behaviors = []string{`"Isolated"`, `"Removed"`, `"MergedWithPrevious"`, `"MergedWithNext"`, `"Contiguous"`}

// span is a part of a text: one that was found, or what lies before it.
type span struct {
	start, end int
	found      bool
}

// level is the working space of a step.
type level struct {
	matcher *matcher
	spans   []span
}

// cutBySteps cuts text by the steps from n on and calls yield with each piece that
// is left.
func (e *encoder) cutBySteps(n int, text string, yield func(piece string)) {
	steps := e.t.pipeline.steps
	if n == len(steps) {
		yield(text)
		return
	}
	for len(e.levels) < len(steps) {
		l := level{}
		if program := steps[len(e.levels)].program; program != nil {
			l.matcher = newMatcher(program)
		}
		e.levels = append(e.levels, l)
	}
	s, l := &steps[n], &e.levels[n]
	spans := s.spans(l, text)
	for _, part := range spans {
		if part.end > part.start {
			e.cutBySteps(n+1, text[part.start:part.end], yield)
		}
	}
	if cap(spans) <= maxScratch {
		l.spans = spans[:0]
	}
}

// spans lists the parts of a text as the step leaves them.
func (s *step) spans(l *level, text string) []span {
	looked := text
	if s.written {
		looked = string(appendWritten(nil, text))
	}
	spans, done := l.spans[:0], 0
	found := func(start, end int) {
		if start > done {
			spans = append(spans, span{done, start, s.invert})
		}
		spans = append(spans, span{start, end, !s.invert})
		done = end
	}
	if s.program != nil {
		l.matcher.matches(looked, found)
	} else {
		s.find(looked, found)
	}
	if done < len(looked) {
		spans = append(spans, span{done, len(looked), s.invert})
	}
	if s.written {
		unwrite(looked, spans)
	}
	return joined(spans, s.behavior)
}

// unwrite turns places in a written text to places in the bytes: each character is
// one.
func unwrite(written string, spans []span) {
	at, bytes := 0, 0
	place := func(to int) int {
		bytes += utf8.RuneCountInString(written[at:to])
		at = to
		return bytes
	}
	for i := range spans {
		spans[i].start = place(spans[i].start)
		spans[i].end = place(spans[i].end)
	}
}

// joined puts neighbouring parts together, or leaves them out, as a behavior says.
func joined(spans []span, behavior string) []span {
	out := spans[:0]
	switch behavior {
	case "Removed":
		for _, s := range spans {
			if !s.found {
				out = append(out, s)
			}
		}
	case "Contiguous":
		for _, s := range spans {
			if n := len(out); n > 0 && out[n-1].found == s.found {
				out[n-1].end = s.end
			} else {
				out = append(out, s)
			}
		}
	case "MergedWithPrevious":
		before := false
		for _, s := range spans {
			if n := len(out); n > 0 && s.found && !before {
				out[n-1].end = s.end
			} else {
				out = append(out, s)
			}
			before = s.found
		}
	case "MergedWithNext":
		for i, s := range spans {
			if n := len(out); n > 0 && !s.found && spans[i-1].found && out[n-1].start == spans[i-1].start {
				out[n-1].end = s.end
			} else {
				out = append(out, s)
			}
		}
	default:
		return spans
	}
	return out
}

// compileSteps reads the entries of a Sequence for a byte-level vocabulary. One of them
// is ByteLevel; those behind it look at bytes as they are written.
func compileSteps(where string, entries []json.RawMessage, p *pipeline) error {
	written := false
	for i, entry := range entries {
		at := fmt.Sprintf("%s.pretokenizers[%d]", where, i)
		name, err := typeOf(at, entry)
		if err != nil {
			return err
		}
		s := step{behavior: "Isolated", written: written}
		switch name {
		case "ByteLevel":
			if written {
				return fmt.Errorf("%s is a second ByteLevel", at)
			}
			written = true
			var regex bool
			if regex, err = byteLevelStep(at, entry, i == 0, p); err == nil && regex {
				s.find = findPieces
			}
		case "Split":
			err = splitStep(at, entry, &s)
		case "Digits":
			alone := false
			err = checkObject(at+".", entry, map[string]rule{"type": ignored, "individual_digits": into(&alone)})
			s.find = findEach(func(r rune) bool { return classOf(r) == number })
			if !alone {
				s.behavior = "Contiguous"
			}
		case "Punctuation":
			s.find = findEach(func(r rune) bool { return r < utf8.RuneSelf && asciiPunctuation(r) || properties["P"](r) })
			err = checkObject(at+".", entry, map[string]rule{"type": ignored, "behavior": behavior(&s.behavior)})
		case "WhitespaceSplit":
			s.find, s.behavior = findEach(unicode.IsSpace), "Removed"
			err = checkObject(at+".", entry, map[string]rule{"type": ignored})
		default:
			err = unsupported(at, name, `"ByteLevel", "Split", "Digits", "Punctuation" and "WhitespaceSplit"`)
		}
		if err != nil {
			return err
		}
		if s.find != nil || s.program != nil {
			p.steps = append(p.steps, s)
		}
	}
	if !written {
		return fmt.Errorf("%s.pretokenizers has no ByteLevel, which a byte-level vocabulary wants", where)
	}
	p.cut = wholeText
	return nil
}

// byteLevelStep reads a ByteLevel in a sequence, and whether it cuts as GPT-2 does.
func byteLevelStep(at string, entry json.RawMessage, first bool, p *pipeline) (regex bool, err error) {
	regex = true
	prefix := false
	err = checkObject(at+".", entry, map[string]rule{
		"type": ignored, "trim_offsets": anyBool, "use_regex": into(&regex), "add_prefix_space": into(&prefix),
	})
	if err == nil && prefix {
		if !first {
			return false, fmt.Errorf("%s.add_prefix_space is true: behind another step only false is supported", at)
		}
		p.prepare = spaceBefore
	}
	return regex, err
}

func spaceBefore(s string, _ bool) string {
	if strings.HasPrefix(s, " ") {
		return s
	}
	return " " + s
}

// splitStep reads a Split at an expression or at a text.
func splitStep(at string, entry json.RawMessage, s *step) error {
	var pattern struct{ Regex, String *string }
	err := checkObject(at+".", entry, map[string]rule{
		"type":     ignored,
		"pattern":  into(&pattern),
		"behavior": behavior(&s.behavior),
		"invert":   into(&s.invert),
	})
	switch {
	case err != nil:
		return err
	case pattern.String != nil && pattern.Regex == nil && *pattern.String != "":
		s.find = findText(*pattern.String)
	case pattern.Regex != nil && pattern.String == nil:
		if s.find = knownFinders[*pattern.Regex]; s.find != nil {
			return nil
		}
		if s.program, err = compileExpression(*pattern.Regex); err != nil {
			return fmt.Errorf("%s.pattern is %q, which alma cannot follow: %w", at, *pattern.Regex, err)
		}
	default:
		return errors.New(at + `.pattern is neither {"Regex": …} nor {"String": …}`)
	}
	return nil
}

func behavior(to *string) rule {
	return func(value json.RawMessage) error {
		if err := oneOf(behaviors...)(value); err != nil {
			return err
		}
		return json.Unmarshal(value, to)
	}
}

// findPieces finds GPT-2's pieces.
func findPieces(text string, yield func(start, end int)) {
	for i := 0; i < len(text); {
		end := pieceEnd(text, i)
		yield(i, end)
		i = end
	}
}

// findEach finds single characters.
func findEach(has func(r rune) bool) func(string, func(start, end int)) {
	return func(text string, yield func(start, end int)) {
		for i, r := range text {
			if has(r) {
				_, size := utf8.DecodeRuneInString(text[i:])
				yield(i, i+size)
			}
		}
	}
}

// findText finds a text.
func findText(what string) func(string, func(start, end int)) {
	return func(text string, yield func(start, end int)) {
		for i := 0; ; {
			n := strings.Index(text[i:], what)
			if n < 0 {
				return
			}
			yield(i+n, i+n+len(what))
			i += n + len(what)
		}
	}
}

// knownFinders do what expressions do that look ahead without end.
var knownFinders = map[string]func(string, func(start, end int)){
	patternThousands:     thousands{digit: isDigit}.places,
	patternWordThousands: thousands{digit: isDigit, word: true}.groups,
	patternAnyThousands:  thousands{digit: properties["N"]}.groups,
}

const (
	patternThousands     = `(?=(\d{3})+(?!\d))`
	patternWordThousands = `\d{1,3}(?=(?:\d{3})*\b)`
	patternAnyThousands  = `\p{N}{1,3}(?=(?:\p{N}{3})*(?:\P{N}|\z))`
)

// thousands cuts runs of digits into groups of three from their ends; word: runs that
// end a word.
type thousands struct {
	digit func(r rune) bool
	word  bool
}

// runs calls yield with each run, and with the number of its digits.
func (t thousands) runs(text string, yield func(start, end, digits int)) {
	for i := 0; i < len(text); {
		start, n := i, 0
		for i < len(text) {
			r, size := utf8.DecodeRuneInString(text[i:])
			if !t.digit(r) {
				break
			}
			i += size
			n++
		}
		if n == 0 {
			_, size := utf8.DecodeRuneInString(text[i:])
			i += size
			continue
		}
		if r, size := utf8.DecodeRuneInString(text[i:]); !t.word || size == 0 || !isWordCharacter(r) {
			yield(start, i, n)
		}
	}
}

// places finds those that have a multiple of three digits behind them.
func (t thousands) places(text string, yield func(start, end int)) {
	t.runs(text, func(start, end, digits int) {
		for at := range text[start:end] {
			if digits%3 == 0 {
				yield(start+at, start+at)
			}
			digits--
		}
	})
}

// groups finds the groups.
func (t thousands) groups(text string, yield func(start, end int)) {
	t.runs(text, func(start, end, digits int) {
		from := start
		for at := range text[start:end] {
			if digits%3 == 0 && at > 0 {
				yield(from, start+at)
				from = start + at
			}
			digits--
		}
		yield(from, end)
	})
}

func asciiPunctuation(r rune) bool {
	return '!' <= r && r <= '/' || ':' <= r && r <= '@' || '[' <= r && r <= '`' || '{' <= r && r <= '~'
}

// isWordCharacter is Oniguruma's \w: what is alphabetic, marks, decimal digits, what
// connects them, and of other numbers those of Latin-1.
func isWordCharacter(r rune) bool {
	return classOf(r) == letter || isMark(r) || isDigit(r) || classOf(r) == number && r < 0x100 ||
		unicode.In(r, unicode.Pc, unicode.Nl, unicode.Other_Alphabetic)
}
