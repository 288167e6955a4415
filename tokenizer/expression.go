package tokenizer

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The regular expressions of tokenizer.json, whose language is Oniguruma's (its Ruby
// syntax): characters, classes with ranges, properties, unions and intersections,
// groups, repeats that are greedy, lazy or possessive, lookahead, anchors. What is
// outside of it is refused by its text. A program of them runs in match.go.
//
// Matching costs time in the order of the text's length, whatever the expression: a
// state that has failed at a place is not tried there again. Lookahead may therefore
// not repeat without end, since what it found is not remembered.

const (
	maxExpression   = 1 << 16 // bytes of an expression
	maxInstructions = 1 << 14
	maxNesting      = 64
)

// instruction is a step of a program; it goes on with the next one unless it says
// otherwise.
type instruction struct {
	op    operation
	set   *charSet // opSet
	x, y  int      // where to go on: x first, then y; the body of opLook and opAtomic ends at x
	empty bool     // opLook: not
}

type operation uint8

const (
	opSet        operation = iota // one character of set
	opSplit                       // x, or else y
	opJump                        // x
	opLook                        // the program behind this one matches here, or with empty does not
	opAtomic                      // the program behind this one, as it matches first
	opLineStart                   // ^
	opLineEnd                     // $
	opTextStart                   // \A
	opTextEnd                     // \z
	opBoundary                    // \b
	opNoBoundary                  // \B
	opEnd                         // of a program, or of a body
)

// charSet is a set of characters.
type charSet struct {
	ascii [128]bool
	has   func(r rune) bool
}

func newCharSet(has func(r rune) bool) *charSet {
	s := &charSet{has: has}
	for r := range s.ascii {
		s.ascii[r] = has(rune(r))
	}
	return s
}

// expressionParser makes a program of an expression by recursive descent.
type expressionParser struct {
	text    string
	at      int
	fold    bool // (?i)
	depth   int
	looking int // lookaheads that are open
	program []instruction
}

// compileExpression makes a program that ends in opEnd.
func compileExpression(text string) ([]instruction, error) {
	if len(text) > maxExpression {
		return nil, fmt.Errorf("%d bytes are more than the limit of %d", len(text), maxExpression)
	}
	p := &expressionParser{text: text}
	if err := p.alternatives(); err != nil {
		return nil, err
	}
	if p.at < len(text) {
		return nil, fmt.Errorf("%q closes no group", text[p.at:])
	}
	p.emit(instruction{op: opEnd})
	if len(p.program) > maxInstructions {
		return nil, errors.New("its repeats make it too long")
	}
	return p.program, nil
}

func (p *expressionParser) emit(i instruction) int {
	p.program = append(p.program, i)
	return len(p.program) - 1
}

func (p *expressionParser) next(s string) bool {
	if strings.HasPrefix(p.text[p.at:], s) {
		p.at += len(s)
		return true
	}
	return false
}

// alternatives are a|b|c up to a closing parenthesis, or the end.
func (p *expressionParser) alternatives() error {
	if p.depth++; p.depth > maxNesting {
		return errors.New("its groups are nested too deeply")
	}
	fold := p.fold
	defer func() { p.depth--; p.fold = fold }()
	var ends []int
	for {
		split := p.emit(instruction{op: opSplit})
		if err := p.sequence(); err != nil {
			return err
		}
		if !p.next("|") {
			// The last alternative has no other behind it.
			p.program[split] = instruction{op: opJump, x: split + 1}
			break
		}
		ends = append(ends, p.emit(instruction{op: opJump}))
		p.program[split].x, p.program[split].y = split+1, len(p.program)
	}
	for _, end := range ends {
		p.program[end].x = len(p.program)
	}
	return nil
}

func (p *expressionParser) sequence() error {
	for p.at < len(p.text) && p.text[p.at] != '|' && p.text[p.at] != ')' {
		if len(p.program) > maxInstructions {
			return errors.New("its repeats make it too long")
		}
		start := len(p.program)
		anchor, err := p.atom()
		if err != nil {
			return err
		}
		if err := p.repeat(start, anchor); err != nil {
			return err
		}
	}
	return nil
}

// atom emits one thing that a repeat may follow; anchor says that it takes no text.
func (p *expressionParser) atom() (anchor bool, err error) {
	rest := p.text[p.at:]
	switch rest[0] {
	case '(':
		return p.group()
	case '[':
		p.at++
		set, err := p.class()
		if err == nil {
			p.emit(instruction{op: opSet, set: set})
		}
		return false, err
	case '.':
		p.at++
		p.emit(instruction{op: opSet, set: newCharSet(func(r rune) bool { return r != '\n' })})
		return false, nil
	case '^', '$':
		p.at++
		p.emit(instruction{op: map[byte]operation{'^': opLineStart, '$': opLineEnd}[rest[0]]})
		return true, nil
	case '*', '+', '?':
		return false, fmt.Errorf("%q repeats nothing", rest)
	case '\\':
		if op, ok := map[string]operation{`\A`: opTextStart, `\z`: opTextEnd, `\b`: opBoundary, `\B`: opNoBoundary}[rest[:min(2, len(rest))]]; ok {
			p.at += 2
			p.emit(instruction{op: op})
			return true, nil
		}
		has, r, err := p.escape()
		if err != nil {
			return false, err
		}
		if has == nil {
			has = p.character(r)
		}
		p.emit(instruction{op: opSet, set: newCharSet(has)})
		return false, nil
	}
	r, size := utf8.DecodeRuneInString(rest)
	p.at += size
	p.emit(instruction{op: opSet, set: newCharSet(p.character(r))})
	return false, nil
}

// character is the set of one, in any case if cases are folded.
func (p *expressionParser) character(r rune) func(rune) bool {
	if !p.fold {
		return func(c rune) bool { return c == r }
	}
	return func(c rune) bool {
		for f := r; ; {
			if f == c {
				return true
			}
			if f = unicode.SimpleFold(f); f == r {
				return false
			}
		}
	}
}

// group emits what stands in parentheses. Groups are not counted: nothing refers to
// them.
func (p *expressionParser) group() (anchor bool, err error) {
	fold := p.fold
	defer func() { p.fold = fold }()
	body := -1
	switch {
	case p.next("(?i:"):
		p.fold = true
	case p.next("(?-i:"):
		p.fold = false
	case p.next("(?:"):
	case p.next("(?i)"):
		// It holds to the end of the group around it, which here is one of its own.
		p.fold = true
		return true, p.alternatives()
	case p.next("(?="), p.next("(?!"):
		p.looking++
		defer func() { p.looking-- }()
		anchor = true
		body = p.emit(instruction{op: opLook, empty: p.text[p.at-1] == '!'})
	case p.next("(?>"):
		body = p.emit(instruction{op: opAtomic})
	case p.next("(?"):
		return false, fmt.Errorf("%q begins a group of a kind that is not supported", p.text[p.at-2:min(len(p.text), p.at+2)])
	default:
		p.next("(")
	}
	if err := p.alternatives(); err != nil {
		return false, err
	}
	if !p.next(")") {
		return false, errors.New("a group is not closed")
	}
	if body >= 0 {
		p.emit(instruction{op: opEnd})
		p.program[body].x = len(p.program)
	}
	return anchor, nil
}

// repeat emits the repeats of what was emitted from start on.
func (p *expressionParser) repeat(start int, anchor bool) error {
	for p.at < len(p.text) {
		least, most, counted := 0, -1, false
		switch p.text[p.at] {
		case '*':
			p.at++
		case '+':
			least = 1
			p.at++
		case '?':
			most = 1
			p.at++
		case '{':
			n, err := p.count(&least, &most)
			if err != nil {
				return err
			}
			if n == 0 {
				return nil // it stands for itself
			}
			p.at += n
			counted = true
		default:
			return nil
		}
		switch {
		case anchor:
			return errors.New("an anchor or lookahead is repeated, which is not supported")
		case p.looking > 0 && most < 0:
			return errors.New("a lookahead that repeats without end is not supported")
		}
		lazy := !counted && p.next("?")
		possessive := !counted && !lazy && p.next("+")
		if counted && p.at < len(p.text) && p.text[p.at] == '?' {
			return errors.New("a lazy repeat of a count is not supported")
		}
		if err := p.emitRepeat(start, least, most, lazy, possessive); err != nil {
			return err
		}
	}
	return nil
}

// count reads {n}, {n,}, {,m} or {n,m} and returns its length; 0 for another text.
func (p *expressionParser) count(least, most *int) (n int, err error) {
	rest := p.text[p.at:]
	end := strings.IndexByte(rest, '}')
	if end < 2 {
		return 0, nil
	}
	low, high, ranged := strings.Cut(rest[1:end], ",")
	digits := func(s string) bool { return strings.Trim(s, "0123456789") == "" }
	if !digits(low) || !digits(high) || low == "" && high == "" {
		return 0, nil
	}
	if !ranged {
		high = low
	}
	for _, one := range []struct {
		text string
		to   *int
	}{{low, least}, {high, most}} {
		if one.text == "" {
			continue
		}
		if *one.to, err = strconv.Atoi(one.text); err != nil || *one.to > 1000 {
			return 0, fmt.Errorf("%s repeats more than 1000 times", rest[:end+1])
		}
	}
	if *most >= 0 && *most < *least {
		return 0, fmt.Errorf("%s repeats from more to less", rest[:end+1])
	}
	return end + 1, nil
}

// emitRepeat puts copies of the program from start on in its place: least of them,
// then as many that may be left out, or a loop.
func (p *expressionParser) emitRepeat(start, least, most int, lazy, possessive bool) error {
	body := slices.Clone(p.program[start:])
	if n := max(least, most, 1); n*(len(body)+2) > maxInstructions {
		return errors.New("its repeats make it too long")
	}
	p.program = p.program[:start]
	if possessive {
		p.emit(instruction{op: opAtomic})
	}
	put := func() {
		offset := len(p.program) - start
		for _, i := range body {
			switch i.op {
			case opSplit:
				i.x, i.y = i.x+offset, i.y+offset
			case opJump, opLook, opAtomic:
				i.x += offset
			}
			p.program = append(p.program, i)
		}
	}
	// choose goes on behind itself or, in the end, where leave says.
	choose := func() int { return p.emit(instruction{op: opSplit, x: len(p.program) + 1}) }
	leave := func(choice, to int) {
		p.program[choice].y = to
		if i := &p.program[choice]; lazy {
			i.x, i.y = i.y, i.x
		}
	}
	for range least {
		put()
	}
	if most < 0 {
		choice := choose()
		put()
		p.emit(instruction{op: opJump, x: choice})
		leave(choice, len(p.program))
	} else {
		var choices []int
		for range most - least {
			choices = append(choices, choose())
			put()
		}
		for _, choice := range choices {
			leave(choice, len(p.program))
		}
	}
	if possessive {
		p.emit(instruction{op: opEnd})
		p.program[start].x = len(p.program)
	}
	return nil
}

// class reads a class behind its opening bracket: a union of characters, ranges and
// classes, intersected by &&.
func (p *expressionParser) class() (*charSet, error) {
	if p.depth++; p.depth > maxNesting {
		return nil, errors.New("its classes are nested too deeply")
	}
	defer func() { p.depth-- }()
	not := p.next("^")
	var all [][]func(rune) bool // intersected unions
	union := []func(rune) bool{}
	for first := true; ; first = false {
		if p.at >= len(p.text) {
			return nil, errors.New("a class is not closed")
		}
		if p.text[p.at] == ']' && !first {
			p.at++
			break
		}
		switch {
		case p.next("&&"):
			all, union = append(all, union), nil
			continue
		case strings.HasPrefix(p.text[p.at:], "[:"):
			return nil, errors.New("[: in a class is not supported")
		case p.next("["):
			set, err := p.class()
			if err != nil {
				return nil, err
			}
			union = append(union, set.has)
			continue
		}
		has, low, err := p.classCharacter()
		if err != nil {
			return nil, err
		}
		if has != nil {
			union = append(union, has)
			continue
		}
		high := low
		if rest := p.text[p.at:]; len(rest) > 1 && rest[0] == '-' && rest[1] != ']' {
			p.at++
			if has, high, err = p.classCharacter(); err != nil {
				return nil, err
			}
			if has != nil || high < low {
				return nil, fmt.Errorf("the range at %q goes nowhere", rest)
			}
		}
		union = append(union, p.between(low, high))
	}
	all = append(all, union)
	return newCharSet(func(r rune) bool {
		for _, union := range all {
			if !slices.ContainsFunc(union, func(has func(rune) bool) bool { return has(r) }) {
				return not
			}
		}
		return !not
	}), nil
}

// between is a range of characters, in any case if cases are folded.
func (p *expressionParser) between(low, high rune) func(rune) bool {
	if !p.fold {
		return func(r rune) bool { return low <= r && r <= high }
	}
	return func(r rune) bool {
		for f := r; ; {
			if low <= f && f <= high {
				return true
			}
			if f = unicode.SimpleFold(f); f == r {
				return false
			}
		}
	}
}

// classCharacter reads a character of a class, or an escape that is a set.
func (p *expressionParser) classCharacter() (has func(rune) bool, r rune, err error) {
	if p.at >= len(p.text) {
		return nil, 0, errors.New("a class is not closed")
	}
	if p.text[p.at] == '\\' {
		return p.escape()
	}
	r, size := utf8.DecodeRuneInString(p.text[p.at:])
	p.at += size
	return nil, r, nil
}

// escape reads what a backslash begins: a set, or else a character.
func (p *expressionParser) escape() (has func(rune) bool, r rune, err error) {
	rest := p.text[p.at:]
	if len(rest) < 2 {
		return nil, 0, errors.New("it ends in a backslash")
	}
	p.at += 2
	switch c := rest[1]; c {
	case 's', 'S', 'd', 'D', 'w', 'W':
		named := map[byte]func(rune) bool{'s': isSpace, 'd': isDigit, 'w': isWordCharacter}[c|0x20]
		if c < 'a' {
			return negated(named), 0, nil
		}
		return named, 0, nil
	case 'p', 'P':
		name, length, ok := strings.Cut(rest[2:], "}")
		if !ok || !strings.HasPrefix(name, "{") || length == rest[2:] {
			return nil, 0, fmt.Errorf("%q is no property in braces", rest)
		}
		p.at += len(name) + 1
		name, not := strings.CutPrefix(name[1:], "^")
		has, ok := properties[name]
		if !ok {
			return nil, 0, fmt.Errorf(`the property \p{%s} is not supported`, name)
		}
		if not != (c == 'P') {
			has = negated(has)
		}
		return has, 0, nil
	case 'n', 'r', 't', 'f', 'v', 'a', 'e':
		return nil, map[byte]rune{'n': '\n', 'r': '\r', 't': '\t', 'f': '\f', 'v': '\v', 'a': '\a', 'e': 0x1b}[c], nil
	case 'u':
		return p.hex(rest, 2, 6)
	case 'x':
		if strings.HasPrefix(rest[2:], "{") {
			end := strings.IndexByte(rest, '}')
			if end < 0 {
				return nil, 0, fmt.Errorf("%q is not closed", rest)
			}
			has, r, err = p.hex(rest, 3, end)
			p.at++
			return has, r, err
		}
		return p.hex(rest, 2, 4)
	}
	r, size := utf8.DecodeRuneInString(rest[1:])
	p.at += size - 1
	if r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
		return nil, 0, fmt.Errorf(`the escape \%c is not supported`, r)
	}
	return nil, r, nil
}

// hex reads the character whose hexadecimal digits are rest[from:to].
func (p *expressionParser) hex(rest string, from, to int) (func(rune) bool, rune, error) {
	if len(rest) < to {
		return nil, 0, fmt.Errorf("%q ends too soon", rest)
	}
	n, err := strconv.ParseUint(rest[from:to], 16, 32)
	if err != nil || n > utf8.MaxRune {
		return nil, 0, fmt.Errorf("%q is no character", rest[:to])
	}
	p.at += to - 2
	return nil, rune(n), nil
}

// quoteExpression is an expression that matches a text.
func quoteExpression(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\x{%x}`, r)
		case r < utf8.RuneSelf && !unicode.IsLetter(r) && !unicode.IsDigit(r):
			b.WriteByte('\\')
			fallthrough
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func negated(has func(rune) bool) func(rune) bool { return func(r rune) bool { return !has(r) } }

// properties are the sets that \p{NAME} names.
var properties = map[string]func(rune) bool{
	"L":   func(r rune) bool { return classOf(r) == letter },
	"N":   func(r rune) bool { return classOf(r) == number },
	"M":   isMark,
	"P":   tableOf(punctuationRanges).has,
	"S":   tableOf(symbolRanges).has,
	"Nd":  isDigit,
	"Han": tableOf(hanRanges).has,
	"Lu":  func(r rune) bool { return caseOf(r) == upperLetter && !unicode.Is(unicode.Lt, r) },
	"Lt":  func(r rune) bool { return unicode.Is(unicode.Lt, r) },
	"Ll":  func(r rune) bool { return caseOf(r) == lowerLetter },
	"Lm":  func(r rune) bool { return classOf(r) == letter && unicode.Is(unicode.Lm, r) },
	"Lo": func(r rune) bool {
		return caseOf(r) == caselessLetter && classOf(r) == letter && !unicode.Is(unicode.Lm, r)
	},
}

func caseOf(r rune) letterCase { return casePages[r>>pageBits][r&(1<<pageBits-1)] }

func isMark(r rune) bool { return caseOf(r) == caselessLetter && classOf(r) != letter }

var digits = tableOf(digitRanges)

func isDigit(r rune) bool { return digits.has(r) }

// rangeTable looks characters up in sorted ranges.
type rangeTable struct{ ranges []runeRange }

func tableOf(ranges []runeRange) rangeTable { return rangeTable{ranges} }

func (t rangeTable) has(r rune) bool {
	_, found := slices.BinarySearchFunc(t.ranges, r, func(a runeRange, r rune) int {
		switch {
		case a.hi < r:
			return -1
		case a.lo > r:
			return 1
		}
		return 0
	})
	return found
}
