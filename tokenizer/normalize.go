package tokenizer

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// compileNormalizer makes the function that a normalizer stands for, nil for
// null.
func compileNormalizer(where string, object json.RawMessage) (func(string) string, error) {
	name, err := typeOf(where, object)
	if err != nil {
		return nil, err
	}
	plain := map[string]rule{"type": ignored}
	switch name {
	case "":
		return nil, nil
	case "NFC":
		return norm.NFC.String, checkObject(where+".", object, plain)
	case "NFD":
		return norm.NFD.String, checkObject(where+".", object, plain)
	case "NFKC":
		return norm.NFKC.String, checkObject(where+".", object, plain)
	case "NFKD":
		return norm.NFKD.String, checkObject(where+".", object, plain)
	case "Lowercase":
		return lowerCase, checkObject(where+".", object, plain)
	case "Strip":
		return compileStrip(where, object)
	case "Prepend":
		prefix := ""
		err := checkObject(where+".", object, map[string]rule{"type": ignored, "prepend": into(&prefix)})
		return func(s string) string {
			if s == "" {
				return s
			}
			return prefix + s
		}, err
	case "Replace":
		return compileReplace(where, object)
	case "Precompiled":
		return compilePrecompiled(where, object)
	case "BertNormalizer":
		return compileBert(where, object)
	case "Sequence":
		return compileNormalizers(where, object)
	}
	return nil, unsupported(where, name, "null, NFC, NFD, NFKC, NFKD, Lowercase, Strip, Prepend, Replace, Precompiled, BertNormalizer and Sequence")
}

func compileNormalizers(where string, object json.RawMessage) (func(string) string, error) {
	var objects []json.RawMessage
	if err := checkObject(where+".", object, map[string]rule{"type": ignored, "normalizers": into(&objects)}); err != nil {
		return nil, err
	}
	var steps []func(string) string
	for i, object := range objects {
		step, err := compileNormalizer(fmt.Sprintf("%s.normalizers[%d]", where, i), object)
		if err != nil {
			return nil, err
		}
		if step != nil {
			steps = append(steps, step)
		}
	}
	if len(steps) == 0 {
		return nil, nil
	}
	return func(s string) string {
		for _, step := range steps {
			s = step(s)
		}
		return s
	}, nil
}

func compileStrip(where string, object json.RawMessage) (func(string) string, error) {
	var left, right bool
	err := checkObject(where+".", object, map[string]rule{"type": ignored, "strip_left": into(&left), "strip_right": into(&right)})
	return func(s string) string {
		if left {
			s = strings.TrimLeftFunc(s, isSpace)
		}
		if right {
			s = strings.TrimRightFunc(s, isSpace)
		}
		return s
	}, err
}

// The regular expressions that Replace is known with: SentencePiece's removal of
// extra white space.
const (
	manySpaces = " {2,}"
	endSpaces  = `\A +|[ ▁]+\z` // at the end also those that are ▁ already
)

func compileReplace(where string, object json.RawMessage) (func(string) string, error) {
	var pattern struct{ String, Regex *string }
	content := ""
	err := checkObject(where+".", object, map[string]rule{
		"type": ignored, "content": into(&content),
		"pattern": func(value json.RawMessage) error {
			if err := json.Unmarshal(value, &pattern); err != nil {
				return err
			}
			if (pattern.String == nil) == (pattern.Regex == nil) || pattern.String != nil && *pattern.String == "" {
				return errors.New(`only {"String": …} and {"Regex": …} are supported`)
			}
			return nil
		},
	})
	switch {
	case err != nil:
		return nil, err
	case pattern.String != nil:
		return func(s string) string { return strings.ReplaceAll(s, *pattern.String, content) }, nil
	case pattern.Regex != nil && *pattern.Regex == manySpaces:
		return func(s string) string { return replaceRuns(s, content) }, nil
	case pattern.Regex != nil && *pattern.Regex == endSpaces && content == "":
		return func(s string) string { return strings.TrimRight(strings.TrimLeft(s, " "), " "+spaceMark) }, nil
	case pattern.Regex != nil:
		replace, err := replaceExpression(*pattern.Regex, content)
		if err != nil {
			return nil, fmt.Errorf("%s.pattern is %q, which alma cannot follow: %w", where, *pattern.Regex, err)
		}
		return replace, nil
	}
	return nil, fmt.Errorf("%s.pattern is missing", where)
}

// replaceExpression puts content in the place of each match of an expression. An
// empty text has none.
func replaceExpression(expression, content string) (func(string) string, error) {
	program, err := compileExpression(expression)
	if err != nil {
		return nil, err
	}
	pool := sync.Pool{New: func() any { return newMatcher(program) }}
	return func(s string) string {
		if s == "" {
			return s
		}
		m := pool.Get().(*matcher)
		defer pool.Put(m)
		var b strings.Builder
		done := 0
		m.matches(s, func(start, end int) {
			b.WriteString(s[done:start])
			b.WriteString(content)
			done = end
		})
		if done == 0 && b.Len() == 0 {
			return s
		}
		b.WriteString(s[done:])
		return b.String()
	}, nil
}

// replaceRuns puts content in the place of each run of two or more spaces.
func replaceRuns(s, content string) string {
	if !strings.Contains(s, "  ") {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		n := strings.Index(s, "  ")
		if n < 0 {
			break
		}
		b.WriteString(s[:n])
		b.WriteString(content)
		s = strings.TrimLeft(s[n:], " ")
	}
	b.WriteString(s)
	return b.String()
}

// LowerCase makes text lower-case as the normalizer Lowercase does.
func LowerCase(text string) string { return lowerCase(text) }

// lowerCase is the full lower-casing of each character by itself (Unicode
// SpecialCasing without conditions, in which U+0130 becomes two characters).
func lowerCase(s string) string {
	if strings.Contains(s, "\u0130") {
		s = strings.ReplaceAll(s, "\u0130", "i\u0307")
	}
	return strings.Map(unicode.ToLower, s)
}

// replaceInvalid puts U+FFFD in the place of what is no valid UTF-8, one for each
// maximal part that could have begun a character, as Decoder does.
func replaceInvalid(s string) string {
	b := make([]byte, 0, len(s)+16)
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 {
			size = maximalSubpart([]byte(s[:min(len(s), utf8.UTFMax)]))
			b = append(b, "\uFFFD"...)
		} else {
			b = append(b, s[:size]...)
		}
		s = s[size:]
	}
	return string(b)
}

func compilePrecompiled(where string, object json.RawMessage) (func(string) string, error) {
	var charsmap []byte
	err := checkObject(where+".", object, map[string]rule{
		"type": ignored,
		"precompiled_charsmap": func(value json.RawMessage) (err error) {
			var encoded string
			if err := json.Unmarshal(value, &encoded); err != nil {
				return err
			}
			charsmap, err = base64.StdEncoding.DecodeString(encoded)
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	if len(charsmap) == 0 {
		return nil, nil // the identity
	}
	m, err := newCharsmap(charsmap)
	if err != nil {
		return nil, fmt.Errorf("%s.precompiled_charsmap: %w", where, err)
	}
	return m.normalize, nil
}

// charsmap is SentencePiece's table of normalization rules: a double-array trie
// of what is replaced (Darts-clone: github.com/s-yata/darts-clone), whose values
// are places in a list of NUL-terminated replacements.
type charsmap struct {
	units        []uint32
	replacements string
}

func newCharsmap(blob []byte) (*charsmap, error) {
	if len(blob) < 4 {
		return nil, errors.New("it is shorter than its header of 4 bytes")
	}
	size := uint64(le32(blob))
	blob = blob[4:]
	if size%4 != 0 || size == 0 || size > uint64(len(blob)) {
		return nil, fmt.Errorf("its trie has %d bytes of %d left", size, len(blob))
	}
	m := &charsmap{units: make([]uint32, size/4), replacements: string(blob[size:])}
	for i := range m.units {
		m.units[i] = le32(blob[4*i:])
	}
	return m, nil
}

func le32(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

// longest returns the longest rule that s begins with: its length, 0 for none,
// and the replacement.
func (m *charsmap) longest(s string) (n int, replacement string) {
	offset := func(unit uint32) uint32 { return unit >> 10 << (unit & (1 << 9) >> 6) }
	at := offset(m.units[0])
	for i := range len(s) {
		at ^= uint32(s[i])
		if uint64(at) >= uint64(len(m.units)) {
			break
		}
		unit := m.units[at]
		if unit&(1<<31|0xff) != uint32(s[i]) { // the label
			break
		}
		at ^= offset(unit)
		if uint64(at) >= uint64(len(m.units)) {
			break
		}
		if unit>>8&1 == 1 { // a rule ends here
			if start := uint64(m.units[at] & (1<<31 - 1)); start <= uint64(len(m.replacements)) {
				replacement, _, _ = strings.Cut(m.replacements[start:], "\x00")
				n = i + 1
			}
		}
	}
	return n, replacement
}

// normalize applies the longest rule at each place.
func (m *charsmap) normalize(s string) string {
	b := make([]byte, 0, len(s)+len(s)/8)
	for len(s) > 0 {
		n, replacement := m.longest(s)
		if n > 0 {
			b = append(b, replacement...)
		} else {
			_, n = utf8.DecodeRuneInString(s)
			b = append(b, s[:n]...)
		}
		s = s[n:]
	}
	return string(b)
}
