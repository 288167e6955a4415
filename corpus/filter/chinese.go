package filter

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Chinese are limits for Chinese prose. They follow Gopher and FineWeb rule by
// rule, in characters where those have words, since Chinese has no spaces: length
// in characters, the end marks of Chinese, characters of grammar in place of stop
// words. The numbers are our own: docs/data.md says what they were set on.
//
// Traditional and simplified characters both stay unless one is asked for. What a
// text is written in is told by characters that only one of the two has.
type Chinese struct {
	MinCharacters          int     `yaml:"min_characters" json:"min_characters" doc:"fewest Chinese characters" min:"0"`
	MaxCharacters          int     `yaml:"max_characters" json:"max_characters" doc:"most characters" min:"1"`
	MinHan                 float64 `yaml:"min_han" json:"min_han" doc:"smallest share of Chinese characters among letters and digits" min:"0" max:"1"`
	MaxSymbols             float64 `yaml:"max_symbols" json:"max_symbols" doc:"most # signs, and most ellipses, for each character" min:"0"`
	MaxBulletLines         float64 `yaml:"max_bullet_lines" json:"max_bullet_lines" doc:"largest share of lines that begin with a bullet" min:"0" max:"1"`
	MaxEllipsisLines       float64 `yaml:"max_ellipsis_lines" json:"max_ellipsis_lines" doc:"largest share of lines that end with an ellipsis" min:"0" max:"1"`
	MinEndedLines          float64 `yaml:"min_ended_lines" json:"min_ended_lines" doc:"smallest share of lines that end with an end mark" min:"0" max:"1"`
	EndMarks               string  `yaml:"end_marks" json:"end_marks" doc:"the end marks"`
	MinMarks               float64 `yaml:"min_marks" json:"min_marks" doc:"fewest marks of punctuation for each Chinese character: word lists have none" min:"0" max:"1"`
	ShortLine              int     `yaml:"short_line" json:"short_line" doc:"the most characters of a short line" min:"0"`
	MaxShortLines          float64 `yaml:"max_short_lines" json:"max_short_lines" doc:"largest share of short lines" min:"0" max:"1"`
	MaxDuplicateCharacters float64 `yaml:"max_duplicate_characters" json:"max_duplicate_characters" doc:"largest share of characters in lines that stood before" min:"0" max:"1"`
	MaxRepeated            float64 `yaml:"max_repeated" json:"max_repeated" doc:"largest share of characters in runs of ten that stood before" min:"0" max:"1"`
	MinStopCharacters      int     `yaml:"min_stop_characters" json:"min_stop_characters" doc:"fewest different stop characters" min:"0"`
	StopCharacters         string  `yaml:"stop_characters" json:"stop_characters" doc:"characters of which any text has some"`
	Variant                string  `yaml:"variant" json:"variant" doc:"which characters stay" enum:"any,simplified,traditional"`
	MinVariant             float64 `yaml:"min_variant" json:"min_variant" doc:"where a variant is asked for, its smallest share of the characters that only one has" min:"0" max:"1"`
}

// DefaultChinese returns our limits.
func DefaultChinese() Chinese {
	return Chinese{MinCharacters: 100, MaxCharacters: 200_000, MinHan: .6, MaxSymbols: .05, MaxBulletLines: .9, MaxEllipsisLines: .3,
		MinEndedLines: .12, EndMarks: "。？！”", MinMarks: .01, ShortLine: 10, MaxShortLines: .67, MaxDuplicateCharacters: .1, MaxRepeated: .2,
		MinStopCharacters: 2, StopCharacters: "的一是不了在有和这這个個我他也就人", Variant: "any", MinVariant: .9}
}

// Characters that texts in simplified Chinese have and texts in traditional
// Chinese have not, and those that stand for them there: the frequent ones, with
// no character that is both. (Derived from common knowledge of the two standards;
// no list of others.)
const (
	simplified  = "们这国来时说为会学对发经动种进过还没让从问间关开门见现点样头实话语读书车东长马鸟鱼电气边远运连难题单业产张当写听谁请谢认识贵买卖钱银铁红绿给组织绍结统继续网华龙风飞机场乡亲爱觉观视规应该须紧热闹伤势务报师爷"
	traditional = "們這國來時說為會學對發經動種進過還沒讓從問間關開門見現點樣頭實話語讀書車東長馬鳥魚電氣邊遠運連難題單業產張當寫聽誰請謝認識貴買賣錢銀鐵紅綠給組織紹結統繼續網華龍風飛機場鄉親愛覺觀視規應該須緊熱鬧傷勢務報師爺"
)

// variants tells simplified (1) from traditional (2).
var variants = func() map[rune]int8 {
	m := map[rune]int8{}
	for _, r := range simplified {
		m[r] = 1
	}
	for _, r := range traditional {
		m[r] = 2
	}
	return m
}()

// Filter makes the filter.
func (c *Chinese) Filter() (Filter, error) {
	const name = "chinese"
	limits := *c
	stop := map[rune]int{}
	for _, r := range c.StopCharacters {
		stop[r] = len(stop)
	}
	return Filter{name: name, concerns: func(t *Text) bool { return t.Kind != Code && t.Language() == "zh" }, judge: func(t *Text, each func(Value) bool) *Text {
		han, others, marks, hashes, count := 0, 0, 0, 0, [3]int{}
		stops, seen := 0, make([]bool, len(stop))
		for _, r := range t.text {
			switch {
			case r < 0x80:
				switch {
				case classes[r]&(letter|digit) != 0:
					others++
				case r == '#':
					hashes++
				case r == ',' || r == '.' || r == '!' || r == '?' || r == ';' || r == ':':
					marks++
				}
			case unicode.Is(unicode.Han, r):
				han++
				if v, ok := variants[r]; ok {
					count[v]++
				}
				if at, ok := stop[r]; ok && !seen[at] {
					seen[at] = true
					stops++
				}
			case unicode.IsPunct(r):
				marks++
			case unicode.IsLetter(r) || unicode.IsNumber(r):
				others++
			}
		}
		ellipses := strings.Count(t.text, "...") + strings.Count(t.text, "…")
		if !each(Value{Reason: name + ": too few characters", Setting: "min_characters", Value: float64(han), Limit: float64(limits.MinCharacters), Least: true}) ||
			!each(Value{Reason: name + ": too many characters", Setting: "max_characters", Value: float64(t.Characters()), Limit: float64(limits.MaxCharacters)}) ||
			!each(Value{Reason: name + ": too little Chinese", Setting: "min_han", Value: share(han, han+others), Limit: limits.MinHan, Least: true}) ||
			!each(Value{Reason: name + ": too many # signs", Setting: "max_symbols", Value: share(hashes, t.Characters()), Limit: limits.MaxSymbols}) ||
			!each(Value{Reason: name + ": too many ellipses", Setting: "max_symbols", Value: share(ellipses, t.Characters()), Limit: limits.MaxSymbols}) ||
			!each(Value{Reason: name + ": too few stop characters", Setting: "min_stop_characters", Value: float64(stops), Limit: float64(limits.MinStopCharacters), Least: true}) ||
			!each(Value{Reason: name + ": too few marks", Setting: "min_marks", Value: share(marks, han), Limit: limits.MinMarks, Least: true}) {
			return nil
		}
		if wanted := slices.Index([]string{"", "simplified", "traditional"}, limits.Variant); wanted > 0 {
			mine := share(count[wanted], count[1]+count[2])
			if count[1]+count[2] == 0 {
				mine = 1 // it may be either
			}
			if !each(Value{Reason: name + ": the other characters", Setting: "min_variant", Value: mine, Limit: limits.MinVariant, Least: true}) {
				return nil
			}
		}
		var lines duplicates
		ended, short, bullets, open := 0, 0, 0, 0
		eachLine(t.text, func(_ int, line string) {
			if line = trim(line); line == "" {
				return
			}
			lines.add(line)
			last, _ := utf8.DecodeLastRuneInString(line)
			if strings.ContainsRune(limits.EndMarks, last) {
				ended++
			}
			if last == '…' || strings.HasSuffix(line, "...") {
				open++
			}
			if utf8.RuneCountInString(line) <= limits.ShortLine {
				short++
			}
			if first, _ := utf8.DecodeRuneInString(line); first == '•' || first == '-' || first == '·' {
				bullets++
			}
		})
		if !each(Value{Reason: name + ": too many lines with bullets", Setting: "max_bullet_lines", Value: share(bullets, lines.parts), Limit: limits.MaxBulletLines}) ||
			!each(Value{Reason: name + ": too many lines end with an ellipsis", Setting: "max_ellipsis_lines", Value: share(open, lines.parts), Limit: limits.MaxEllipsisLines}) ||
			!each(Value{Reason: name + ": too few lines end sentences", Setting: "min_ended_lines", Value: share(ended, lines.parts), Limit: limits.MinEndedLines, Least: true}) ||
			!each(Value{Reason: name + ": too many short lines", Setting: "max_short_lines", Value: share(short, lines.parts), Limit: limits.MaxShortLines}) ||
			!each(Value{Reason: name + ": too much text in lines again", Setting: "max_duplicate_characters", Value: share(lines.repeated, t.Characters()), Limit: limits.MaxDuplicateCharacters}) {
			return nil
		}
		grams := newNgrams(t.wordsOf())
		defer grams.free()
		each(Value{Reason: name + ": too many runs again", Setting: "max_repeated", Value: share(grams.repeated(10), t.Characters()), Limit: limits.MaxRepeated})
		return t
	}}, nil
}
