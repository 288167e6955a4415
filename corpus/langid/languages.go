package langid

import "unicode"

// Unknown is the code of text in none of the languages known here.
const Unknown = "und"

// A group is a set of scripts and the languages that are written in them. Where
// there is only one, the script decides.
type group struct {
	name      string
	scripts   []*unicode.RangeTable
	languages []string // codes of ISO 639-1, in the order of the lanes
	bits      int      // the table has 1<<bits rows; 0 where the script decides
	// weight is what a letter of these scripts counts for when the shares of the
	// scripts are taken: a character of Chinese says as much as two or three
	// letters.
	weight int
}

var groups = []group{
	{name: "Latin", scripts: []*unicode.RangeTable{unicode.Latin}, bits: 15, weight: 1, languages: []string{
		"af", "az", "ca", "cs", "cy", "da", "de", "en", "eo", "es", "et", "eu", "fi", "fr", "ga", "hr", "hu", "id", "is", "it",
		"la", "lt", "lv", "mi", "nl", "no", "pl", "pt", "ro", "sk", "sl", "so", "sq", "sv", "sw", "tl", "tr", "vi", "yo", Unknown}},
	{name: "Cyrillic", scripts: []*unicode.RangeTable{unicode.Cyrillic}, bits: 14, weight: 1, languages: []string{
		"be", "bg", "kk", "mk", "mn", "ru", "sr", "uk"}},
	{name: "Arabic", scripts: []*unicode.RangeTable{unicode.Arabic}, bits: 13, weight: 1, languages: []string{"ar", "fa", "ur"}},
	{name: "Devanagari", scripts: []*unicode.RangeTable{unicode.Devanagari}, bits: 13, weight: 1, languages: []string{"hi", "mr"}},
	{name: "Han", scripts: []*unicode.RangeTable{unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Bopomofo}, bits: 13, weight: 3,
		languages: []string{"ja", "zh"}},
	{name: "Hangul", scripts: []*unicode.RangeTable{unicode.Hangul}, weight: 2, languages: []string{"ko"}},
	{name: "Greek", scripts: []*unicode.RangeTable{unicode.Greek}, weight: 1, languages: []string{"el"}},
	{name: "Hebrew", scripts: []*unicode.RangeTable{unicode.Hebrew}, weight: 1, languages: []string{"he"}},
	{name: "Armenian", scripts: []*unicode.RangeTable{unicode.Armenian}, weight: 1, languages: []string{"hy"}},
	{name: "Georgian", scripts: []*unicode.RangeTable{unicode.Georgian}, weight: 1, languages: []string{"ka"}},
	{name: "Thai", scripts: []*unicode.RangeTable{unicode.Thai}, weight: 1, languages: []string{"th"}},
	{name: "Bengali", scripts: []*unicode.RangeTable{unicode.Bengali}, weight: 1, languages: []string{"bn"}},
	{name: "Gujarati", scripts: []*unicode.RangeTable{unicode.Gujarati}, weight: 1, languages: []string{"gu"}},
	{name: "Gurmukhi", scripts: []*unicode.RangeTable{unicode.Gurmukhi}, weight: 1, languages: []string{"pa"}},
	{name: "Tamil", scripts: []*unicode.RangeTable{unicode.Tamil}, weight: 1, languages: []string{"ta"}},
	{name: "Telugu", scripts: []*unicode.RangeTable{unicode.Telugu}, weight: 1, languages: []string{"te"}},
	{name: "Sinhala", scripts: []*unicode.RangeTable{unicode.Sinhala}, weight: 1, languages: []string{"si"}},
	// Letters of any other script. The group is the last one.
	{name: "other", weight: 1, languages: []string{Unknown}},
}

// Languages lists the codes of the languages that are known, of ISO 639-1, script
// by script. "no" stands for both forms of Norwegian.
func Languages() []string {
	var codes []string
	for _, g := range groups {
		for _, code := range g.languages {
			if code != Unknown {
				codes = append(codes, code)
			}
		}
	}
	return codes
}

// Scripts of the characters up to 0xffff, as one more than the index of the
// group, 0 for what is no letter, and their small letters up to 0x1fff.
var (
	groupTable [0x10000]uint8
	smallTable [0x2000]uint16
)

func init() {
	mark := func(r rune, g int) {
		if r < 0x10000 && unicode.In(r, unicode.L, unicode.Mn, unicode.Mc) {
			groupTable[r] = uint8(g + 1)
		}
	}
	for _, table := range []*unicode.RangeTable{unicode.L} {
		for _, x := range table.R16 {
			for r := rune(x.Lo); r <= rune(x.Hi); r += rune(x.Stride) {
				mark(r, len(groups)-1)
			}
		}
	}
	for i, g := range groups {
		for _, script := range g.scripts {
			for _, x := range script.R16 {
				for r := rune(x.Lo); r <= rune(x.Hi); r += rune(x.Stride) {
					mark(r, i)
				}
			}
		}
	}
	for r := range smallTable {
		smallTable[r] = uint16(unicode.ToLower(rune(r)))
	}
}

// groupOf returns one more than the index of a character's group, 0 for what is
// no letter.
func groupOf(r rune) int {
	if r < 0x10000 {
		return int(groupTable[r])
	}
	if !unicode.IsLetter(r) {
		return 0
	}
	if unicode.Is(unicode.Han, r) {
		return hanGroup + 1
	}
	return len(groups)
}

const hanGroup = 4

// small is unicode.ToLower for the scripts that have small letters.
func small(r rune) rune {
	if r < rune(len(smallTable)) {
		return rune(smallTable[r])
	}
	return r
}
