package jinja

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A SyntaxError says where a template is none.
type SyntaxError struct {
	Line   int
	Reason string
}

// Error implements error.
func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// kind is the kind of a token.
type kind uint8

const (
	dataToken     kind = iota // text between tags
	blockBegin                // {%
	blockEnd                  // %}
	variableBegin             // {{
	variableEnd               // }}
	nameToken                 // an identifier or keyword
	stringToken               // its text is unescaped
	intToken                  // its text has no underscores
	floatToken                // likewise
	operatorToken             // its text is the operator
	endOfTemplate             // after the last token
)

type token struct {
	kind kind
	text string
	line int
}

// maxTemplate is the longest template in bytes; the longest in use have some
// tens of thousands.
const maxTemplate = 1 << 20

// lexer splits a template as jinja2.lexer does with trim_blocks, lstrip_blocks
// and without keep_trailing_newline.
type lexer struct {
	source string
	at     int
	line   int
	tokens []token
	// lineStarting is set where what was read last ended with a newline, so that
	// white space before a tag is an indentation.
	lineStarting bool
}

func lex(source string) ([]token, error) {
	if len(source) > maxTemplate {
		return nil, &SyntaxError{1, fmt.Sprintf("the template has %d bytes, more than the limit of %d", len(source), maxTemplate)}
	}
	if !utf8.ValidString(source) {
		return nil, &SyntaxError{1, "the template is not valid UTF-8"}
	}
	source = strings.ReplaceAll(strings.ReplaceAll(source, "\r\n", "\n"), "\r", "\n")
	source = strings.TrimSuffix(source, "\n")
	l := &lexer{source: source, line: 1, lineStarting: true}
	for l.at < len(l.source) {
		if err := l.root(); err != nil {
			return nil, err
		}
	}
	l.emit(endOfTemplate, "")
	return l.tokens, nil
}

func (l *lexer) emit(k kind, text string) { l.tokens = append(l.tokens, token{k, text, l.line}) }

func (l *lexer) fail(format string, args ...any) error {
	return &SyntaxError{l.line, fmt.Sprintf(format, args...)}
}

// take moves over n bytes.
func (l *lexer) take(n int) {
	read := l.source[l.at : l.at+n]
	l.line += strings.Count(read, "\n")
	l.at += n
	l.lineStarting = strings.HasSuffix(read, "\n")
}

// root reads data and the tag that ends it.
func (l *lexer) root() error {
	rest := l.source[l.at:]
	open := nextTag(rest)
	if open < 0 {
		l.data(rest)
		l.take(len(rest))
		return nil
	}
	sign := byte(0)
	if open+2 < len(rest) && (rest[open+2] == '-' || rest[open+2] == '+') {
		sign = rest[open+2]
	}
	tag := rest[open : open+2]
	l.data(l.stripped(rest[:open], sign, tag == "{{"))
	n := open + 2
	if sign != 0 {
		n++
	}
	if tag == "{%" {
		if raw, ok := rawTag(rest[n:], "raw", false); ok {
			l.take(n + raw)
			return l.raw()
		}
	}
	l.take(n)
	switch tag {
	case "{#":
		return l.comment()
	case "{{":
		l.emit(variableBegin, tag)
		return l.inside(variableEnd)
	}
	l.emit(blockBegin, tag)
	return l.inside(blockEnd)
}

// nextTag returns where the next tag opens, -1 for nowhere.
func nextTag(s string) int {
	for at := 0; ; {
		i := strings.IndexByte(s[at:], '{')
		if i < 0 || at+i+1 >= len(s) {
			return -1
		}
		at += i
		switch s[at+1] {
		case '{', '%', '#':
			return at
		}
		at++
	}
}

func (l *lexer) data(text string) {
	if text != "" {
		l.emit(dataToken, text)
	}
}

// stripped is the text before a tag without what the tag's sign, or else
// lstrip_blocks, takes off its end.
func (l *lexer) stripped(text string, sign byte, variable bool) string {
	if sign == '-' {
		return strings.TrimRightFunc(text, isSpace)
	}
	if sign == '+' || variable {
		return text
	}
	begin := strings.LastIndexByte(text, '\n') + 1
	if (begin > 0 || l.lineStarting) && strings.TrimLeftFunc(text[begin:], isSpace) == "" {
		return text[:begin]
	}
	return text
}

// rawTag matches the inside and the end of a raw or endraw tag and returns its
// length; the newline after the tag belongs to it if newline is set.
func rawTag(s, name string, newline bool) (n int, ok bool) {
	rest, ok := strings.CutPrefix(strings.TrimLeftFunc(s, isSpace), name)
	if !ok {
		return 0, false
	}
	rest = strings.TrimLeftFunc(rest, isSpace)
	if after, ok := strings.CutPrefix(rest, "-%}"); ok {
		return len(s) - len(strings.TrimLeftFunc(after, isSpace)), true
	}
	if after, ok := strings.CutPrefix(rest, "+%}"); ok && newline {
		return len(s) - len(after), true
	}
	after, ok := strings.CutPrefix(rest, "%}")
	if ok && newline {
		after = strings.TrimPrefix(after, "\n")
	}
	return len(s) - len(after), ok
}

// raw reads what follows a raw tag up to its end.
func (l *lexer) raw() error {
	rest := l.source[l.at:]
	for at := 0; ; {
		i := strings.Index(rest[at:], "{%")
		if i < 0 {
			return l.fail("a raw block has no {%% endraw %%}")
		}
		open := at + i
		at = open + 2
		sign := byte(0)
		if at < len(rest) && (rest[at] == '-' || rest[at] == '+') {
			sign = rest[at]
			at++
		}
		if n, ok := rawTag(rest[at:], "endraw", true); ok {
			l.data(l.stripped(rest[:open], sign, false))
			l.take(at + n)
			return nil
		}
	}
}

// comment moves to after a comment.
func (l *lexer) comment() error {
	rest := l.source[l.at:]
	end := strings.Index(rest, "#}")
	if end < 0 {
		return l.fail("a comment has no #}")
	}
	after := rest[end+2:]
	switch {
	case end > 0 && rest[end-1] == '-':
		after = strings.TrimLeftFunc(after, isSpace)
	case end > 0 && rest[end-1] == '+':
	default:
		after = strings.TrimPrefix(after, "\n")
	}
	l.take(len(rest) - len(after))
	return nil
}

// operators in the order in which they are looked for.
var operators = []string{"==", "!=", "<=", ">=", "**", "//", "+", "-", "*", "/", "%", "~", "[", "]", "(", ")", "{", "}", "<", ">", "=", ".", ":", "|", ",", ";"}

var closing = map[string]string{"(": ")", "[": "]", "{": "}"}

// inside reads the tokens of a tag up to its end. Within brackets the end is
// none: {{ {'a': {}} }}.
func (l *lexer) inside(end kind) error {
	var open []string
	for {
		rest := l.source[l.at:]
		trimmed := strings.TrimLeftFunc(rest, isSpace)
		if n := len(rest) - len(trimmed); n > 0 && (len(open) > 0 || endLength(rest, end) == 0) {
			l.take(n)
			continue
		}
		if rest == "" {
			return l.fail("the template ends within a tag")
		}
		if n := endLength(rest, end); n > 0 && len(open) == 0 {
			l.emit(end, rest[:2])
			l.take(n)
			return nil
		}
		first, _ := utf8.DecodeRuneInString(rest)
		switch {
		case rest[0] == '\'' || rest[0] == '"':
			n := stringLength(rest)
			if n < 0 {
				return l.fail("a string has no closing %c", rest[0])
			}
			text, err := unescape(rest[1 : n-1])
			if err != nil {
				return l.fail("string %s: %v", rest[:n], err)
			}
			l.emit(stringToken, text)
			l.take(n)
		case rest[0] >= '0' && rest[0] <= '9':
			n, k := numberLength(rest, l.source[l.at-1] != '.')
			l.emit(k, strings.ReplaceAll(rest[:n], "_", ""))
			l.take(n)
		case first == '_' || unicode.IsLetter(first):
			n := strings.IndexFunc(rest, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
			if n < 0 {
				n = len(rest)
			}
			l.emit(nameToken, rest[:n])
			l.take(n)
		default:
			op := ""
			for _, o := range operators {
				if strings.HasPrefix(rest, o) {
					op = o
					break
				}
			}
			switch {
			case op == "":
				return l.fail("unexpected character %q", first)
			case closing[op] != "":
				open = append(open, closing[op])
			case op == ")" || op == "]" || op == "}":
				if len(open) == 0 || open[len(open)-1] != op {
					return l.fail("unexpected %q", op)
				}
				open = open[:len(open)-1]
			}
			l.emit(operatorToken, op)
			l.take(len(op))
		}
	}
}

// endLength is the length of the end of a tag at the beginning of s, with the
// white space that it takes along, 0 if there is none.
func endLength(s string, end kind) int {
	mark := "%}"
	if end == variableEnd {
		mark = "}}"
	}
	if after, ok := strings.CutPrefix(s, "-"+mark); ok {
		return len(s) - len(strings.TrimLeftFunc(after, isSpace))
	}
	if end == variableEnd {
		if strings.HasPrefix(s, mark) {
			return len(mark)
		}
		return 0
	}
	if strings.HasPrefix(s, "+"+mark) {
		return len(mark) + 1
	}
	if after, ok := strings.CutPrefix(s, mark); ok {
		return len(s) - len(strings.TrimPrefix(after, "\n"))
	}
	return 0
}

// stringLength is the length of a string literal with its quotes, -1 if it has
// no end.
func stringLength(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case s[0]:
			return i + 1
		}
	}
	return -1
}

// numberLength is the length of a number literal and what it is: decimal digits,
// which may have underscores between them, then for a float a fraction, an
// exponent or both; or an integer with the prefix 0b, 0o or 0x. Where float is
// not set it is an integer: after a point it is an index.
func numberLength(s string, float bool) (int, kind) {
	digits := func(i int, among string) int {
		for i < len(s) && (strings.IndexByte(among, s[i]) >= 0 || s[i] == '_' && i+1 < len(s) && strings.IndexByte(among, s[i+1]) >= 0) {
			i++
		}
		return i
	}
	const decimal = "0123456789"
	if len(s) > 2 && s[0] == '0' {
		among := map[byte]string{'b': "01", 'o': "01234567", 'x': decimal + "abcdefABCDEF"}[s[1]|0x20]
		if n := digits(2, among); among != "" && n > 2 {
			return n, intToken
		}
	}
	n := digits(1, decimal)
	k := intToken
	if !float {
		return n, k
	}
	if n+1 < len(s) && s[n] == '.' && strings.IndexByte(decimal, s[n+1]) >= 0 {
		n, k = digits(n+1, decimal), floatToken
	}
	if n+1 < len(s) && s[n]|0x20 == 'e' {
		exponent := n + 1
		if s[exponent] == '+' || s[exponent] == '-' {
			exponent++
		}
		if end := digits(exponent, decimal); end > exponent {
			n, k = end, floatToken
		}
	}
	if k == intToken && s[0] == '0' { // no other decimal integer begins with it
		n = digits(1, "0")
	}
	return n, k
}

// unescape reads the escapes of a string literal as Python's unicode-escape
// codec does. One that it does not know stands for itself.
func unescape(s string) (string, error) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		i++ // a literal never ends with a backslash
		if at := strings.IndexByte(`abfnrtv\'"`, s[i]); at >= 0 {
			b.WriteByte("\a\b\f\n\r\t\v\\'\""[at])
			continue
		}
		switch c := s[i]; c {
		case '\n':
		case 'x', 'u', 'U':
			n := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
			if i+n >= len(s) {
				return "", fmt.Errorf(`\%c needs %d hexadecimal digits`, c, n)
			}
			code, err := strconv.ParseUint(s[i+1:i+1+n], 16, 32)
			if err != nil {
				return "", fmt.Errorf(`\%c needs %d hexadecimal digits`, c, n)
			}
			if r := rune(code); code > unicode.MaxRune || !utf8.ValidRune(r) {
				return "", fmt.Errorf(`\%c%s is no character`, c, s[i+1:i+1+n])
			}
			b.WriteRune(rune(code))
			i += n
		case 'N':
			return "", fmt.Errorf(`\N names of characters are not supported`)
		case '0', '1', '2', '3', '4', '5', '6', '7':
			n := 1
			for n < 3 && i+n < len(s) && s[i+n] >= '0' && s[i+n] <= '7' {
				n++
			}
			code, _ := strconv.ParseUint(s[i:i+n], 8, 32) // one to three octal digits
			b.WriteRune(rune(code))
			i += n - 1
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}

// isSpace tells what Python's str.isspace calls white space.
func isSpace(r rune) bool {
	return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f
}
