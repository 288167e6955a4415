package filter

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// distinct returns n different words of the given length, of small letters.
func distinct(n, length int) []string {
	words := make([]string, n)
	for i := range words {
		b := []byte(strings.Repeat("q", length))
		for k, x := length-1, i; x > 0; k, x = k-1, x/20 {
			b[k] = "bcdfghjklmnprstvwxyz"[x%20]
		}
		words[i] = string(b)
	}
	return words
}

// prose is n words with two stop words among them.
func prose(n int) []string {
	words := distinct(n, 5)
	if n > 1 {
		words[0], words[1] = "the", "of"
	}
	return words
}

func joined(words ...[]string) string { return strings.Join(slices.Concat(words...), " ") }

func times(n int, s string) []string { return slices.Repeat([]string{s}, n) }

// apply makes the filter and returns what it leaves and why it refuses.
func apply(t *testing.T, c Config, text string, facts Facts) (left, reason string) {
	t.Helper()
	f, err := c.Filter()
	if err != nil {
		t.Fatal(err)
	}
	stays, refusal := f.Apply(NewText(text, facts))
	if stays != nil {
		left = stays.String()
		if again := appendWords(nil, left); !slices.Equal(stays.wordsOf(), again) {
			t.Errorf("%s leaves other words than those of %q", f.Name(), left)
		}
	}
	if refusal != nil {
		if !refusal.Beyond() || refusal.Filter != f.Name() || !strings.HasPrefix(refusal.Reason, f.Name()+": ") {
			t.Errorf("the refusal %+v says not what it is", refusal)
		}
		reason = refusal.Reason
	}
	return left, reason
}

// A side is a text on each side of a limit: the first stays, the second is
// refused for the reason.
type side struct {
	name     string
	config   Config
	kept     string
	refused  string
	reason   string
	facts    Facts
	keptText string // what is left of kept, where that is not kept itself
}

func bothSides(t *testing.T, cases []side) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Helper()
			left, reason := apply(t, c.config, c.kept, c.facts)
			want := c.kept
			if c.keptText != "" {
				want = c.keptText
			}
			if reason != "" || left != want {
				t.Errorf("at its limit: refused for %q, or %.60q is left of it", reason, left)
			}
			if _, reason := apply(t, c.config, c.refused, c.facts); reason != c.reason {
				t.Errorf("beyond its limit: refused for %q, want %q", reason, c.reason)
			}
		})
	}
}

var english = Facts{Language: "en"}

func TestGopherQualityKeepsWhatIsAtItsLimitsAndNothingBeyond(t *testing.T) {
	c := DefaultGopherQuality()
	lines := func(n, marked int, before, after string) string {
		var b strings.Builder
		for i, w := range distinct(n, 5) {
			line := "the word of " + w + " plays here now and then"
			if i < marked {
				line = before + line + after
			}
			b.WriteString(line + "\n")
		}
		return b.String()
	}
	long := distinct(48, 10)
	for i := range 13 {
		long[i] += "q"
	}
	bothSides(t, []side{
		{name: "words", config: &c, facts: english, kept: joined(prose(50)), refused: joined(prose(49)), reason: "gopher_quality: too few words"},
		{name: "marks are no words", config: &c, facts: english, kept: joined(prose(50)), refused: joined(prose(49), []string{"!", "?"}), reason: "gopher_quality: too few words"},
		{name: "many words", config: &c, facts: english, kept: joined(prose(100_000)), refused: joined(prose(100_001)), reason: "gopher_quality: too many words"},
		{name: "short words", config: &c, facts: english, kept: joined([]string{"the", "and"}, times(58, "abc")), refused: joined([]string{"the", "and", "ab"}, times(58, "abc")), reason: "gopher_quality: words too short"},
		// the, with: 7 characters of 20; thirteen words of 11 make up for them.
		{name: "long words", config: &c, facts: english, kept: joined([]string{"the", "with"}, long), refused: joined([]string{"the", "with"}, long, []string{"abcdefghijk"}), reason: "gopher_quality: words too long"},
		{name: "lengths in characters", config: &c, facts: english, kept: joined([]string{"the", "with"}, times(60, "éèêëéèêë")), refused: joined([]string{"the", "with"}, times(60, "éèêëéèêëéèêë")), reason: "gopher_quality: words too long"},
		{name: "hashes", config: &c, facts: english, kept: joined(prose(90), times(10, "#")), refused: joined(prose(90), times(11, "#")), reason: "gopher_quality: too many # signs"},
		{name: "ellipses", config: &c, facts: english, kept: joined(prose(89), times(5, "..."), times(5, "…"), prose(1)), refused: joined(prose(90), times(5, "..."), times(6, "…"), prose(1)), reason: "gopher_quality: too many ellipses"},
		{name: "bullets", config: &c, facts: english, kept: lines(10, 9, "• ", ""), refused: lines(11, 10, " - ", ""), reason: "gopher_quality: too many lines with bullets"},
		{name: "open lines", config: &c, facts: english, kept: lines(10, 3, "", "... "), refused: lines(10, 4, "", "…"), reason: "gopher_quality: too many lines end with an ellipsis"},
		{name: "letters", config: &c, facts: english, kept: joined(prose(80), times(20, "1234")), refused: joined(prose(80), times(21, "1234")), reason: "gopher_quality: too few words with letters"},
		{name: "stop words", config: &c, facts: english, kept: joined([]string{"that", "with"}, distinct(60, 5)), refused: joined([]string{"that", "that"}, distinct(60, 5)), reason: "gopher_quality: too few stop words"},
	})
	if _, reason := apply(t, &c, joined(distinct(60, 5)), Facts{Language: "de"}); reason != "" {
		t.Errorf("German without English stop words: refused for %q", reason)
	}
	for _, facts := range []Facts{{Language: "zh"}, {Language: "en", Kind: Code}} {
		if _, reason := apply(t, &c, "x", facts); reason != "" {
			t.Errorf("%+v: refused for %q", facts, reason)
		}
	}
}

// offRepetition has every limit at its end, so that one alone decides.
func offRepetition() GopherRepetition {
	return GopherRepetition{MaxParagraphs: 1, MaxParagraphCharacters: 1, MaxLines: 1, MaxLineCharacters: 1}
}

// padded is the text with spaces at its end, so that it has so many characters.
func padded(t *testing.T, text string, characters int) string {
	t.Helper()
	n := characters - utf8.RuneCountInString(text)
	if n < 0 {
		t.Fatalf("the text has %d characters, %d too many", utf8.RuneCountInString(text), -n)
	}
	return text + strings.Repeat(" ", n)
}

func TestGopherRepetitionKeepsWhatIsAtItsLimitsAndNothingBeyond(t *testing.T) {
	published := DefaultGopherRepetition()
	parts := func(n, again int, between string) string {
		words := distinct(n, 30)
		for i := range again {
			words[n-1-i] = words[0]
		}
		return strings.Join(words, between)
	}
	var cases []side
	paragraphs, lines := offRepetition(), offRepetition()
	paragraphs.MaxParagraphs, lines.MaxLines = published.MaxParagraphs, published.MaxLines
	cases = append(cases,
		side{name: "paragraphs", config: &paragraphs, kept: parts(10, 3, "\n\n"), refused: parts(10, 4, "\n\n\n"), reason: "gopher_repetition: too many paragraphs again"},
		side{name: "lines", config: &lines, kept: parts(10, 3, "\n"), refused: parts(10, 4, "\n"), reason: "gopher_repetition: too many lines again"})
	inParagraphs, inLines := offRepetition(), offRepetition()
	inParagraphs.MaxParagraphCharacters, inLines.MaxLineCharacters = published.MaxParagraphCharacters, published.MaxLineCharacters
	again := strings.Repeat("é", 40)
	cases = append(cases,
		side{name: "characters in paragraphs", config: &inParagraphs, kept: padded(t, again+"\n\n"+again, 200), refused: padded(t, again+"\n\n"+again, 199), reason: "gopher_repetition: too much text in paragraphs again"},
		// The second line must end before the spaces.
		side{name: "characters in lines", config: &inLines, kept: padded(t, again+"\n"+again+"\n", 200), refused: padded(t, again+"\n"+again+"\n", 199), reason: "gopher_repetition: too much text in lines again"})
	// Copies of an n-gram of words of four characters, with words that stand
	// once between them.
	copies := func(n, copies int) string {
		gram := strings.Join(distinct(400, 4)[300:300+n], " ")
		var words []string
		for _, w := range distinct(copies, 4) {
			words = append(words, gram, w)
		}
		return strings.Join(words, " ")
	}
	for i, c := range []struct{ copies, characters int }{{4, 180}, {9, 700}, {4, 475}} {
		n := i + 2
		config := offRepetition()
		config.MaxTop = slices.Clone(published.MaxTop)
		for k := range config.MaxTop {
			if k != i {
				config.MaxTop[k] = 1
			}
		}
		cases = append(cases, side{name: fmt.Sprintf("most frequent %d-gram", n), config: &config, kept: padded(t, copies(n, c.copies), c.characters),
			refused: padded(t, copies(n, c.copies), c.characters-1), reason: fmt.Sprintf("gopher_repetition: one %d-gram too often", n)})
	}
	for i, c := range []struct{ again, characters int }{{3, 400}, {7, 1200}, {13, 2800}, {3, 800}, {11, 3600}, {1, 400}} {
		n := i + 5
		config := offRepetition()
		config.MaxRepeated = slices.Clone(published.MaxRepeated)
		for k := range config.MaxRepeated {
			if k != i {
				config.MaxRepeated[k] = 1
			}
		}
		cases = append(cases, side{name: fmt.Sprintf("repeated %d-grams", n), config: &config, kept: padded(t, copies(n, c.again+1), c.characters),
			refused: padded(t, copies(n, c.again+1), c.characters-1), reason: fmt.Sprintf("gopher_repetition: too many %d-grams again", n)})
	}
	for i := range cases {
		cases[i].facts = english
	}
	bothSides(t, cases)
}

func TestFineWebKeepsWhatIsAtItsLimitsAndNothingBeyond(t *testing.T) {
	published := DefaultFineWebRules()
	off := FineWebRules{MaxShortLines: 1, MaxDuplicateCharacters: 1, MaxNewlines: 1e9}
	ended, short, duplicate, newlines := off, off, off, off
	ended.MinEndedLines = published.MinEndedLines
	short.MaxShortLines, short.ShortLine = published.MaxShortLines, published.ShortLine
	duplicate.MaxDuplicateCharacters = published.MaxDuplicateCharacters
	newlines.MaxNewlines = published.MaxNewlines
	lines := func(n, special int, with, without string) string {
		all := distinct(n, 5)
		for i := range all {
			if i < special {
				all[i] += with
			} else {
				all[i] += without
			}
		}
		return strings.Join(all, "\n \n")
	}
	bothSides(t, []side{
		{name: "ended lines", config: &ended, facts: english, kept: lines(100, 12, "।", ","), refused: lines(100, 11, ".", "\""), reason: "fineweb: too few lines end sentences"},
		{name: "short lines", config: &short, facts: english, kept: lines(100, 67, strings.Repeat("é", 25), strings.Repeat("é", 26)),
			refused: lines(100, 68, strings.Repeat("é", 25), strings.Repeat("é", 26)), reason: "fineweb: too many short lines"},
		{name: "duplicate lines", config: &duplicate, facts: english, kept: strings.Repeat("é", 100) + "\n" + strings.Repeat("é", 100) + "\n" + strings.Repeat("a", 800),
			refused: strings.Repeat("é", 100) + "\n" + strings.Repeat("é", 100) + "\n" + strings.Repeat("a", 799), reason: "fineweb: too much text in lines again"},
		{name: "line feeds", config: &newlines, facts: english, kept: joined(prose(9)) + "\n\n\nword", refused: joined(prose(9)) + "\n\n\n\nword", reason: "fineweb: too many lines for its words"},
	})
}

func TestC4CutsLinesAndRefusesWhatIsLeftOfNoSentences(t *testing.T) {
	c := DefaultC4()
	three := "This is the first one. Then there was a second. And here comes the third."
	bothSides(t, []side{
		{name: "sentences", config: &c, facts: english, kept: three, refused: "This is the first one. And here comes the last one, though it is long.", reason: "c4: too few sentences"},
		{name: "phrases", config: &c, facts: english, kept: three + "\nLorem is a word of Latin.", keptText: three + "\nLorem is a word of Latin.", refused: three + "\nLorem Ipsum dolor sit amet, they say.", reason: "c4: a phrase of no text"},
		{name: "brackets", config: &c, facts: english, kept: three + "\nThe set (of all things) is none.", refused: three + "\nThe set {of all things} is none.", reason: "c4: a phrase of no text"},
		{name: "brackets in lines of javascript", config: &c, facts: english, kept: three + "\nThis javascript has {brackets} in it.", keptText: three, refused: three + "\nThis other script has {brackets} in it.", reason: "c4: a phrase of no text"},
		// In a line that is cut anyway, a bracket does no harm.
		{name: "brackets in lines that go", config: &c, facts: english, kept: three + "\nif {", keptText: three, refused: three + "\nif it is so then {", reason: "c4: a phrase of no text"},
	})
	for _, l := range []struct{ name, stays, goes string }{
		{"words", "one two three four five", "one two three four"},
		{"long words", "one two three four " + strings.Repeat("é", 1000), "one two three four " + strings.Repeat("é", 1001)},
		{"javascript", "It is written in java script today", "It is written in JavaScript these days"},
		{"policies", "All our cookies are baked daily here", "This site Uses Cookies for your pleasure"},
	} {
		for line, want := range map[string]string{l.stays: three + "\n" + l.stays, l.goes: three} {
			if left, reason := apply(t, &c, three+"\r\n\t"+line+" \n", english); left != want || reason != "" {
				t.Errorf("%s: %.80q is left, refused for %q", l.name, left, reason)
			}
		}
	}
	if left, _ := apply(t, &c, three+" So it is written[12], and so[edit] it was done[citation needed]; but [1a] stays.", english); left != three+" So it is written, and so it was done; but [1a] stays." {
		t.Errorf("%q is left", left)
	}
	c.EndMarks = true
	if left, _ := apply(t, &c, three+"\nNo mark stands at this end\nAn ellipsis is no end mark...\nBut this one has \"one\"", english); left != three+"\nBut this one has \"one\"" {
		t.Errorf("with end marks, %q is left", left)
	}
	c.EndMarks, c.MinSentences = false, 0
	if left, reason := apply(t, &c, "nothing\nstays here", english); left != "" || reason != "" {
		t.Errorf("%q is left, refused for %q", left, reason)
	}
}

func TestLanguageKeepsWhatIsWantedAndSure(t *testing.T) {
	text := "This sentence is written in the English language, aber dieser Teil nicht."
	p := NewText(text, Facts{}).Guess()
	if p.Language != "en" || p.Probability > .99 {
		t.Fatalf("the text is %v", p)
	}
	at, beyond := DefaultLanguage(), DefaultLanguage()
	at.MinProbability, beyond.MinProbability = p.Probability, math.Nextafter(p.Probability, 1)
	if left, reason := apply(t, &at, text, Facts{}); left != text || reason != "" {
		t.Errorf("at its probability: refused for %q", reason)
	}
	if _, reason := apply(t, &beyond, text, Facts{}); reason != "language: not sure enough" {
		t.Errorf("beyond its probability: refused for %q", reason)
	}
	c := DefaultLanguage()
	for _, x := range []struct {
		text   string
		facts  Facts
		reason string
	}{
		{"Dieser Satz ist in deutscher Sprache geschrieben und wird nicht behalten.", Facts{}, "language: none that is wanted"},
		{"Dieser Satz ist in deutscher Sprache geschrieben und wird nicht behalten.", Facts{Language: "en"}, "language: none that is wanted"},
		{"for (;;) { x += 1; }", Facts{Kind: Code}, ""},
		{"123", Facts{}, "language: none that is wanted"},
	} {
		if _, reason := apply(t, &c, x.text, x.facts); reason != x.reason {
			t.Errorf("%q: refused for %q, want %q", x.text, reason, x.reason)
		}
	}
	c.Languages = nil
	if _, reason := apply(t, &c, "Dieser Satz ist in deutscher Sprache geschrieben und wird nun behalten.", Facts{}); reason != "" {
		t.Errorf("any language: refused for %q", reason)
	}
	c.MinProbability = 0
	if _, reason := apply(t, &c, "123", Facts{}); reason != "language: none that is wanted" {
		t.Errorf("no language at all: refused for %q", reason)
	}
	c.Languages = []string{"en", "klingon"}
	if _, err := c.Filter(); err == nil || !strings.Contains(err.Error(), `"klingon"`) {
		t.Errorf("an unknown language: %v", err)
	}
}

func TestURLsRefuseByDomainAddressAndWords(t *testing.T) {
	list := filepath.Join(t.TempDir(), "domains")
	if err := os.WriteFile(list, []byte("# a comment\nlisted.example\n\nDeep.Listed2.example\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	c := DefaultURLs()
	c.Domains, c.DomainFiles, c.URLs = []string{"bad.example"}, []string{list}, []string{"https://ok.example/bad"}
	for url, want := range map[string]string{
		"":                                      "",
		"https://good.example/page":             "",
		"https://bad.example/":                  "urls: domain",
		"https://user:pw@www.BAD.example:80/":   "urls: domain",
		"https://notbad.example/":               "",
		"https://bad.example.org/":              "",
		"http://a.listed.example.?x":            "urls: domain",
		"http://listed2.example":                "",
		"http://deep.listed2.example#x":         "urls: domain",
		"https://ok.example/bad":                "urls: address",
		"https://ok.example/bad2":               "",
		"https://ok.example/free-PORN/":         "urls: word",
		"https://ok.example/pornography-debate": "",
		"https://ok.example/adult-education":    "",
		"https://ok.example/adult-adult":        "",
		"https://ok.example/adult_webcam":       "urls: soft words",
		"https://ok.example/live.sex/now":       "urls: part of a word",
	} {
		if _, reason := apply(t, &c, "text", Facts{URL: url}); reason != want {
			t.Errorf("%s: refused for %q, want %q", url, reason, want)
		}
	}
	if err := os.WriteFile(list, []byte("good.example\nhttps://not.example/\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Filter(); artifact.ExitCode(err) != artifact.ErrUsage.Code() || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a list of addresses: %v", err)
	}
	c.DomainFiles = []string{filepath.Join(t.TempDir(), "none")}
	if _, err := c.Filter(); artifact.ExitCode(err) != artifact.ErrNotFound.Code() {
		t.Errorf("a list that is not there: %v", err)
	}
}

func TestProgramTextKeepsWhatIsAtItsLimitsAndNothingBeyond(t *testing.T) {
	c := DefaultProgram()
	allowing := DefaultProgram()
	allowing.Licences = Permissive
	code := Facts{Kind: Code, ID: "a/b.go"}
	fill := strings.Repeat("x = 1\n", 100)
	bothSides(t, []side{
		{name: "a line", config: &c, facts: code, kept: fill + strings.Repeat("é", 1000), refused: fill + strings.Repeat("é", 1001), reason: "code: a line too long"},
		{name: "lines", config: &c, facts: code, kept: strings.Repeat("é", 200) + "\n\n", refused: strings.Repeat("é", 201) + "\n\n", reason: "code: lines too long"},
		{name: "letters and digits", config: &c, facts: code, kept: "ab1é" + strings.Repeat("+", 12), refused: "ab1é" + strings.Repeat("+", 13), reason: "code: too few letters and digits"},
		{name: "generated", config: &c, facts: code, kept: strings.Repeat("line\n", 5) + "// Code generated by x. DO NOT EDIT.\n", refused: strings.Repeat("line\n", 4) + "// Code generated by x. DO NOT EDIT.\n", reason: "code: generated"},
	})
	for _, x := range []struct {
		facts  Facts
		reason string
	}{
		{Facts{Kind: Code, ID: "a/jquery.min.js", Licence: "mit"}, "code: minified"},
		{Facts{Kind: Code, ID: "a/admin.js", Licence: "MIT"}, ""},
		{Facts{Kind: Code, ID: "a/x.js", Licence: "GPL-3.0-only"}, "code: licence"},
		{Facts{Kind: Code, ID: "a/x.js"}, "code: licence"},
		{Facts{ID: "a/jquery.min.js"}, ""}, // prose
	} {
		if _, reason := apply(t, &allowing, "x = 1\n", x.facts); reason != x.reason {
			t.Errorf("%+v: refused for %q, want %q", x.facts, reason, x.reason)
		}
	}
}

func TestChineseKeepsWhatIsAtItsLimitsAndNothingBeyond(t *testing.T) {
	published := DefaultChinese()
	off := func(set func(c *Chinese)) *Chinese {
		c := Chinese{MaxCharacters: 1e9, MaxSymbols: 1, MaxBulletLines: 1, MaxEllipsisLines: 1, MaxShortLines: 1, MaxDuplicateCharacters: 1, MaxRepeated: 1,
			EndMarks: published.EndMarks, StopCharacters: published.StopCharacters, Variant: "any", MinVariant: published.MinVariant}
		set(&c)
		return &c
	}
	lines := func(n, special int, before, after string) string {
		all := make([]string, n)
		for i := range all {
			all[i] = string(rune(0x4e00+i)) + "山水"
			if i < special {
				all[i] = before + all[i] + after
			}
		}
		return strings.Join(all, "\n")
	}
	run := func(from, n int) string { // different characters
		var b strings.Builder
		for i := range n {
			b.WriteRune(rune(from + i))
		}
		return b.String()
	}
	cases := []side{
		{name: "characters", config: off(func(c *Chinese) { c.MinCharacters = published.MinCharacters }), kept: strings.Repeat("山", 100), refused: strings.Repeat("山", 99) + "abc", reason: "chinese: too few characters"},
		{name: "many characters", config: off(func(c *Chinese) { c.MaxCharacters = 20 }), kept: strings.Repeat("山", 20), refused: strings.Repeat("山", 21), reason: "chinese: too many characters"},
		{name: "share of Chinese", config: off(func(c *Chinese) { c.MinHan = published.MinHan }), kept: strings.Repeat("山", 60) + "，" + strings.Repeat("a", 40), refused: strings.Repeat("山", 60) + strings.Repeat("a", 41), reason: "chinese: too little Chinese"},
		{name: "hashes", config: off(func(c *Chinese) { c.MaxSymbols = published.MaxSymbols }), kept: strings.Repeat("山", 95) + "#####", refused: strings.Repeat("山", 94) + "#####", reason: "chinese: too many # signs"},
		{name: "ellipses", config: off(func(c *Chinese) { c.MaxSymbols = published.MaxSymbols }), kept: strings.Repeat("山", 95) + "……………", refused: strings.Repeat("山", 94) + "……………", reason: "chinese: too many ellipses"},
		{name: "bullets", config: off(func(c *Chinese) { c.MaxBulletLines = published.MaxBulletLines }), kept: lines(10, 9, "• ", ""), refused: lines(11, 10, "·", ""), reason: "chinese: too many lines with bullets"},
		{name: "open lines", config: off(func(c *Chinese) { c.MaxEllipsisLines = published.MaxEllipsisLines }), kept: lines(10, 3, "", "……"), refused: lines(10, 4, "", "..."), reason: "chinese: too many lines end with an ellipsis"},
		{name: "ended lines", config: off(func(c *Chinese) { c.MinEndedLines = published.MinEndedLines }), kept: lines(100, 12, "", "。”"), refused: lines(100, 11, "", "？"), reason: "chinese: too few lines end sentences"},
		{name: "marks", config: off(func(c *Chinese) { c.MinMarks = published.MinMarks }), kept: strings.Repeat("山", 100) + "。", refused: strings.Repeat("山", 101) + "。", reason: "chinese: too few marks"},
		{name: "short lines", config: off(func(c *Chinese) { c.MaxShortLines, c.ShortLine = published.MaxShortLines, published.ShortLine }),
			kept: strings.Repeat(strings.Repeat("山", 10)+"\n", 67) + strings.Repeat(strings.Repeat("水", 11)+"\n", 33), refused: strings.Repeat(strings.Repeat("山", 10)+"\n", 68) + strings.Repeat(strings.Repeat("水", 11)+"\n", 32), reason: "chinese: too many short lines"},
		{name: "duplicate lines", config: off(func(c *Chinese) { c.MaxDuplicateCharacters = published.MaxDuplicateCharacters }), kept: "山山山山山\n山山山山山\n" + run(0x5000, 38), refused: "山山山山山\n山山山山山\n" + run(0x5000, 37), reason: "chinese: too much text in lines again"},
		{name: "runs", config: off(func(c *Chinese) { c.MaxRepeated = published.MaxRepeated }), kept: run(0x5000, 10) + run(0x6000, 30) + run(0x5000, 10), refused: run(0x5000, 10) + run(0x6000, 29) + run(0x5000, 10), reason: "chinese: too many runs again"},
		{name: "stop characters", config: off(func(c *Chinese) { c.MinStopCharacters = published.MinStopCharacters }), kept: "山的水是", refused: "山的水的", reason: "chinese: too few stop characters"},
		{name: "simplified", config: off(func(c *Chinese) { c.Variant = "simplified" }), kept: strings.Repeat("说", 9) + "說山", refused: strings.Repeat("说", 8) + "說山", reason: "chinese: the other characters"},
		{name: "traditional", config: off(func(c *Chinese) { c.Variant = "traditional" }), kept: "山水", refused: "说山", reason: "chinese: the other characters"},
	}
	for i := range cases {
		cases[i].facts = Facts{Language: "zh"}
	}
	bothSides(t, cases)
	many := off(func(c *Chinese) { c.MaxCharacters = published.MaxCharacters })
	if _, reason := apply(t, many, strings.Repeat("山", published.MaxCharacters), Facts{Language: "zh"}); reason != "" {
		t.Errorf("%d characters: refused for %q", published.MaxCharacters, reason)
	}
	for _, facts := range []Facts{{Language: "en"}, {Language: "zh", Kind: Code}} {
		if _, reason := apply(t, &published, "x", facts); reason != "" {
			t.Errorf("%+v: refused for %q", facts, reason)
		}
	}
	text := "人工智能是计算机科学的一个分支，它企图了解智能的实质，并生产出一种新的能以人类智能相似的方式作出反应的智能机器。\n该领域的研究包括机器人、语言识别、图像识别、自然语言处理和专家系统等。从诞生以来，理论和技术日益成熟，应用领域也不断扩大。\n可以设想，未来带来的科技产品，将会是人类智慧的容器。"
	if left, reason := apply(t, &published, text, Facts{}); left != text || reason != "" {
		t.Errorf("an article: refused for %q", reason)
	}
}

func TestHarmfulWordsRefuseByTheirRate(t *testing.T) {
	c := DefaultHarmful()
	bothSides(t, []side{
		{name: "English", config: &c, facts: english, kept: joined(prose(993), times(7, "SHIT,")), refused: joined(prose(992), times(8, "shit.")), reason: "harmful: too many words that harm"},
		{name: "Chinese", config: &c, facts: Facts{Language: "zh"}, kept: strings.Repeat("山", 986) + strings.Repeat("婊子", 7) + "。", refused: strings.Repeat("山", 984) + strings.Repeat("婊子", 8), reason: "harmful: too many words that harm"},
		{name: "short", config: &c, facts: english, kept: "Oh shit, oh shit!", refused: "Oh shit, oh shit, oh shit!", reason: "harmful: too many words that harm"},
		{name: "parts of words", config: &c, facts: english, kept: joined(times(20, "Scunthorpe"), times(20, "assess")), refused: joined(times(20, "cunt")), reason: "harmful: too many words that harm"},
	})
	own := Harmful{MaxRate: 0, Words: []string{"Gadzooks", "山水"}}
	for text, want := range map[string]string{"gadzooks, he said": "harmful: too many words that harm", "走山水路": "harmful: too many words that harm", "oh shit": ""} {
		if _, reason := apply(t, &own, text, english); reason != want {
			t.Errorf("%q: refused for %q, want %q", text, reason, want)
		}
	}
	own.Words = []string{"two words"}
	if _, err := own.Filter(); err == nil {
		t.Error("a phrase was taken for a word")
	}
	if _, reason := apply(t, &c, joined(times(20, "fuck")), Facts{Kind: Code}); reason != "" {
		t.Errorf("program text: refused for %q", reason)
	}
}

func TestAClassifierRefusesBeyondItsProbability(t *testing.T) {
	c := DefaultClassifier()
	f, err := c.Filter(func(text string) float64 { return float64(strings.Count(text, "x")) / float64(len(text)) })
	if err != nil {
		t.Fatal(err)
	}
	if _, refusal := f.Apply(NewText("xxoo", Facts{})); refusal != nil {
		t.Errorf("one half: %v", refusal)
	}
	if _, refusal := f.Apply(NewText("xxo", Facts{})); refusal == nil || refusal.Reason != "classifier: harmful" {
		t.Errorf("two thirds: %v", refusal)
	}
	if f, _ := c.Filter(func(string) float64 { return math.NaN() }); f.judge != nil {
		if _, refusal := f.Apply(NewText("x", Facts{})); refusal == nil {
			t.Error("what is no probability passed")
		}
	}
	if _, err := c.Filter(nil); err == nil {
		t.Error("a classifier without a model was made")
	}
}

func TestPersonalDataIsReplacedAndListsOfItRefused(t *testing.T) {
	c := DefaultPersonal()
	five := "a@b.org, c@d.org, e@f.org, 8.8.8.8 and 212 555 0123"
	if left, reason := apply(t, &c, "Write: "+five, Facts{}); reason != "" || left != "Write: email@example.com, email@example.com, email@example.com, 192.0.2.1 and PHONE_NUMBER" {
		t.Errorf("five: %q is left, refused for %q", left, reason)
	}
	if _, reason := apply(t, &c, five+", g@h.org", Facts{Kind: Code}); reason != "personal: too much of it" {
		t.Errorf("six: refused for %q", reason)
	}
	for text, want := range map[string]string{
		"<jo.do+x@mail.example.co.uk>.":       "<email@example.com>.",
		"jo..do@example.org":                  "jo..email@example.com",
		".do@example.org-":                    ".email@example.com-",
		"x@localhost x@.org @x.org x.@a.b":    "x@localhost x@.org @x.org x.@a.b",
		"a@b.c@d.e":                           "email@example.com@d.e",
		"x@[8.8.8.8]":                         "email@example.com",
		"x@[8.8.8.8":                          "x@[192.0.2.1",
		"écrire@example.fr":                   "écrire@example.fr", // an accented letter is none of an address, and no edge stands after it
		"10.0.0.1 192.168.1.1 127.0.0.1":      "10.0.0.1 192.168.1.1 127.0.0.1",
		"8.8.8.8:53 1.1.1.256 1234.5.6.7":     "192.0.2.1:53 192.0.2.16 1192.0.2.1",
		"version 1.2.3 or 08.8.8.8":           "version 1.2.3 or 08.8.8.8",
		"call (212) 555-0123, 212.555.0123 x": "call PHONE_NUMBER, PHONE_NUMBER x",
		"212 555 0123 at the start":           "212 555 0123 at the start",
		"no 21255501234 nor 2125550123":       "no 21255501234 nor PHONE_NUMBER",
	} {
		if left, _ := apply(t, &c, text, Facts{}); left != want {
			t.Errorf("%q became %q, want %q", text, left, want)
		}
	}
	if left, reason := apply(t, &Personal{}, five, Facts{}); left != five || reason != "" {
		t.Errorf("nothing to replace: %q", left)
	}
}

func TestTextsThatShareAnNgramWithAnEvaluationAreNamedAndRefused(t *testing.T) {
	e, err := NewEvaluations(13)
	if err != nil {
		t.Fatal(err)
	}
	question := "Which of the four planets, named here in order, has the most moons of all?" // fifteen words
	if !e.Add("astronomy", question) || e.Add("astronomy", "How many moons?") || e.Short() != 1 || e.Ngrams() != 3 {
		t.Errorf("%d short texts, %d n-grams", e.Short(), e.Ngrams())
	}
	words := strings.Fields(strings.ToUpper(question))
	none, err := e.Filter(0)
	if err != nil {
		t.Fatal(err)
	}
	one, _ := e.Filter(1)
	for _, c := range []struct {
		filter  Filter
		text    string
		refused bool
	}{
		{none, "x " + strings.Join(words[:12], " ") + " y", false},
		{none, "x " + strings.Join(words[:13], " -- ") + " y", true},
		{one, "x " + strings.Join(words[:13], " ") + " y", false},
		{one, "x " + strings.Join(words[:14], " ") + " y", true},
	} {
		_, refusal := c.filter.Apply(NewText(c.text, Facts{}))
		if (refusal != nil) != c.refused || refusal != nil && refusal.Found != "astronomy" {
			t.Errorf("%q: %v", c.text, refusal)
		}
	}
	if !e.Add("中文", "下列哪一个城市是中国的首都城市") {
		t.Error("a question in Chinese has no 13-gram")
	}
	if _, refusal := none.Apply(NewText("请问：下列哪一个城市是中国的首都城市？", Facts{})); refusal == nil || refusal.Found != "中文" {
		t.Errorf("Chinese: %v", refusal)
	}
	if _, err := NewEvaluations(0); err == nil {
		t.Error("n-grams of no words were taken")
	}
	if _, err := e.Filter(-1); err == nil {
		t.Error("fewer than no n-grams were taken")
	}
}

func TestWordsAreCutAsFineWebCountsThem(t *testing.T) {
	for text, want := range map[string]string{
		"Don't stop: it's (really) \"well-known\".": `Do n't stop : it 's ( really ) " well - known " .`,
		"at 3.5 km, $5.00 or 50%...":                "at 3.5 km , $ 5.00 or 50 % ...",
		"U.S. and e.g. Mr. Smith end.Next":          "U.S. and e.g. Mr. Smith end . Next",
		"a.b foo@bar.com http://x.y/z?q=1":          "a.b foo@bar.com http://x.y/z?q=1",
		"O'Neill we'll brook'd dogs' ’twas it’s":    "O'Neill we 'll brook'd dogs ' ’ twas it ’s",
		"1990-2000 a,b 1,000 -dash x=y":             "1990 - 2000 a , b 1,000 -dash x = y",
		"你好，world。ありがとう":                            "你 好 ， world 。 あ り が と う",
		"“smart” — yes…no":                          "“ smart ” — yes … no",
		"21°C \xff\u00a0x":                          "21 ° C \xff x",
	} {
		var got []string
		for _, w := range appendWords(nil, text) {
			got = append(got, text[w.start:w.end])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q is cut into %q, want %q", text, strings.Join(got, " "), want)
		}
	}
}

func TestLinesEndWhereUnicodeLetsThem(t *testing.T) {
	for text, want := range map[string][]string{
		"": nil, "a": {"a"}, "a\n": {"a"}, "a\n\nb": {"a", "", "b"}, "\r\na\rb": {"", "a", "b"}, "a\x1cb\u2028c\u0085d\ve\ff": {"a", "b", "c", "d", "e", "f"}, "a\n\r": {"a", ""},
	} {
		var got []string
		eachLine(text, func(_ int, line string) { got = append(got, line) })
		if !slices.Equal(got, want) {
			t.Errorf("%q has lines %q, want %q", text, got, want)
		}
	}
}

// everything is a list of all filters, with a little to find for each.
func everything(t testing.TB) List {
	t.Helper()
	var list List
	add := func(f Filter, err error) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, f)
	}
	for _, e := range Entries {
		add(e.Defaults().Filter())
	}
	evaluations, err := NewEvaluations(5)
	if err != nil {
		t.Fatal(err)
	}
	evaluations.Add("a", "what is the answer to this question")
	add(evaluations.Filter(0))
	classifier := DefaultClassifier()
	add(classifier.Filter(func(string) float64 { return 0 }))
	return list
}

func TestEveryFilterIsNamedAndItsLimitsAreDocumented(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range Entries {
		c := e.Defaults()
		f, err := c.Filter()
		if err != nil || f.Name() != e.Name || seen[e.Name] || e.Does == "" || e.Paper == "" {
			t.Errorf("%s: made %q, %v", e.Name, f.Name(), err)
		}
		seen[e.Name] = true
		kind := reflect.TypeOf(c).Elem()
		settings := map[string]bool{}
		for i := range kind.NumField() {
			tag := kind.Field(i).Tag
			if tag.Get("doc") == "" || tag.Get("yaml") == "" || tag.Get("yaml") != tag.Get("json") {
				t.Errorf("%s: %s has no documentation or name", e.Name, kind.Field(i).Name)
			}
			settings[tag.Get("yaml")] = true
		}
		for _, facts := range []Facts{{Language: "en", URL: "https://a.example"}, {Language: "zh"}, {Kind: Code}} {
			for _, v := range f.Explain(NewText("{some} text", facts)) {
				if setting, _, _ := strings.Cut(v.Setting, "["); !settings[setting] {
					t.Errorf("%s measures against %q, which is no setting", e.Name, v.Setting)
				}
			}
		}
		if again, ok := EntryOf(e.Name); !ok || again.Name != e.Name {
			t.Errorf("%s is not found by its name", e.Name)
		}
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "data.md"))
	if err != nil {
		t.Fatal(err)
	}
	for name := range seen {
		if !strings.Contains(string(text), "| `"+name+"` |") {
			t.Errorf("docs/data.md has no row for %s", name)
		}
	}
	if _, ok := EntryOf("none"); ok {
		t.Error("a filter that is not there was found")
	}
}

func TestAListStopsAtTheFirstRefusalAndExplainsAll(t *testing.T) {
	list, err := FineWeb()
	if err != nil {
		t.Fatal(err)
	}
	page := "The committee met on Thursday to discuss what had happened in the year before. " +
		"Nobody had expected that so many people would come, and the room was soon full.\n" +
		"Write to the chair at chair@committee.org if you have questions about the meeting, or wait until spring. It will be held again.\n" +
		"home\nAll of those who spoke were of one mind: the bridge must be built, with stone and not with wood."
	left, refusal := list.Apply(page, Facts{URL: "https://committee.example/minutes"})
	if refusal != nil || strings.Contains(left, "chair@") || !strings.Contains(left, "email@example.com") || strings.Contains(left, "home") {
		t.Errorf("%q is left, refused for %v", left, refusal)
	}
	if _, refusal := list.Apply("Too short.", Facts{URL: "https://pornhub.example/"}); refusal == nil || refusal.Filter != "urls" {
		t.Errorf("refused for %v", refusal)
	}
	explained := list.Explain("Too short.", Facts{URL: "https://pornhub.example/"})
	if len(explained) != len(list) || !explained[0].Refused {
		t.Errorf("explained %+v", explained)
	}
	refused := 0
	for i, e := range explained {
		if e.Filter != list[i].Name() {
			t.Errorf("%s stands where %s was applied", e.Filter, list[i].Name())
		}
		if e.Refused != slices.ContainsFunc(e.Values, Value.Beyond) {
			t.Errorf("%s: refused %v, measured %v", e.Filter, e.Refused, e.Values)
		}
		if e.Refused {
			refused++
		}
		if _, err := json.Marshal(e); err != nil {
			t.Errorf("%s: %v", e.Filter, err)
		}
	}
	if refused < 3 {
		t.Errorf("only %d filters refuse two words at a bad address", refused)
	}
	v := Value{Reason: "a: b", Setting: "min_c", Value: 1, Limit: 2, Least: true, Found: "d"}
	if v.String() != "a: b: 1, and min_c is at least 2 (d)" {
		t.Errorf("%s", v)
	}
}

func FuzzFilters(f *testing.F) {
	for _, text := range []string{"", "x", "a@b.c 8.8.8.8 212 555 0123", "The of and to. {lorem ipsum}\n\n- x...\n", "你好，世界。\n", "\xff\xc2\xe2\x80", "'s '' n't don't.", "[1][edit][", "\u2028\r\n\x1c",
		strings.Repeat("word ", 60), strings.Repeat("的是一不。", 30), "é@é.é \u00a0(212)555-0123", "http://x www.y z://"} {
		f.Add(text, "https://a.example/b?c", "en", false)
		f.Add(text, text, "zh", true)
	}
	list := everything(f)
	f.Fuzz(func(t *testing.T, text, url, language string, code bool) {
		facts := Facts{ID: url, URL: url, Language: language}
		if code {
			facts.Kind = Code
		}
		valid := utf8.ValidString(text)
		for _, filter := range list {
			doc := NewText(text, facts)
			left, refusal := filter.Apply(doc)
			again, refusedAgain := filter.Apply(NewText(text, facts))
			if (refusal == nil) != (refusedAgain == nil) || (left == nil) != (refusal != nil) || left != nil && left.String() != again.String() {
				t.Fatalf("%s judges %q in two ways", filter.Name(), text)
			}
			if left != nil && valid && !utf8.ValidString(left.String()) {
				t.Errorf("%s splits a character of %q: %q", filter.Name(), text, left)
			}
			if left != nil && !slices.Equal(left.wordsOf(), appendWords(nil, left.String())) {
				t.Errorf("%s leaves other words of %q than those of %q", filter.Name(), text, left)
			}
			values := filter.Explain(doc)
			if (refusal != nil) != slices.ContainsFunc(values, Value.Beyond) {
				t.Errorf("%s of %q: refused %v, measured %v", filter.Name(), text, refusal, values)
			}
			for _, v := range values {
				if math.IsNaN(v.Value) || math.IsInf(v.Value, 0) {
					t.Errorf("%s of %q: %v", filter.Name(), text, v)
				}
			}
		}
		list.Apply(text, facts)
		last := int32(0)
		for _, w := range appendWords(nil, text) {
			if w.start < last || w.end <= w.start || valid && !utf8.ValidString(text[w.start:w.end]) || strings.TrimFunc(text[last:w.start], isSpace) != "" {
				t.Fatalf("the words of %q do not follow one another", text)
			}
			last = w.end
		}
		if strings.TrimFunc(text[last:], isSpace) != "" {
			t.Errorf("the words of %q leave its end out", text)
		}
	})
}

// Every filter takes a time in proportion to the text, whatever the text: 256 KB
// take some milliseconds each. What goes over the rest of the text at every
// character, were it as fast as memory, would take seconds.
func TestTimeGrowsWithTheTextAlone(t *testing.T) {
	const size, most = 256 << 10, time.Second
	for _, piece := range []string{"a", ".", "'", "a@", "@", "a.", "[1", "1.", "8.8.8.8", " 2", "212 555 ", "-", "é", "\n", "a\n", "山", "妈", "<a", "'s", "a’", "... ", "http://", "n't", "(", "x@y.", "{"} {
		text := strings.Repeat(piece, size/len(piece))
		for _, filter := range everything(t) {
			facts := Facts{Language: "en"}
			switch filter.Name() {
			case "chinese":
				facts.Language = "zh"
			case "code":
				facts.Kind = Code
			}
			took := func() time.Duration {
				start := time.Now()
				filter.Explain(NewText(text, facts))
				return time.Since(start)
			}
			if took() > most && took() > most && took() > most { // another program's turn is not the filter's
				t.Errorf("%s takes more than %v for %d KB of %q", filter.Name(), most, size>>10, piece)
			}
		}
	}
}
