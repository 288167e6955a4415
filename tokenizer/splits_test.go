package tokenizer

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// cutCase is an entry of testdata/pretokenizers.json, which testdata/pretokenizers.py
// completes after go test -run TestPreTokenizers -update.
type cutCase struct {
	Name         string            `json:"name"`
	PreTokenizer json.RawMessage   `json:"pre_tokenizer"`
	Removes      bool              `json:"removes,omitempty"` // the pieces are not the whole text
	Pieces       []json.RawMessage `json:"pieces,omitempty"`
}

type cutCases struct {
	Texts         []string  `json:"texts"`
	PreTokenizers []cutCase `json:"pre_tokenizers"`
}

// cutTexts are texts on which the alternatives of the expressions meet.
func cutTexts() []string {
	texts := []string{
		"", " ", "   ", "\n\n", "a", "Hello WORLD 12345 it's\n\n  x = y+z; DON'T", "fooBar/baz\r\n", "the helloWorld ABCdef XMLHttp iPhone",
		"1234567 12 123 1234a a1234 12.5 1,000,000 ٣٤٥٦ ²³", "func f() {\n\treturn \"a\"\n}\n", "I'LL they'Re we'ſ 'twas ''s '", "naïve Café e\u0301a\u0308 \u0301x हिन्दी में भाषा ภาษาไทย",
		"非常好 船到了港口，天已经黑了。日本語カタカナひらがな 한국어 텍스트", "$a+b<=c>^~|`d` _x_ #tag @me 100% a-b-c", "... !!! ?!/\n//\r\n---\n", "a\u00a0b \u3000c\u2028d\u200b\u200ce\u200d",
		"🙂🚢 ⚓️ 👨‍👩‍👧 x", "<sentinel:12> IMGIMGABCZ <|x|> [INST]", "a\tb\t\tc  \n  d \r e\n\n\n f", "Où est l’été ? « oui » — “non”…", strings.Repeat(" ", 21) + "x" + strings.Repeat(" ", 9) + "\n",
		"x" + strings.Repeat("9", 40) + " " + strings.Repeat("7", 10), "Straße ﬁne ① ＡＢＣ ǅ ʰa", "tab\tand  two spaces\nend ", "привет Мир ПРИВЕТ", "。，、！？abc：；",
	}
	alphabet := []string{" ", " ", "\n", "\t", "\r", "\u00a0", "\u3000", "'", "s", "t", "re", "LL", "d", "a", "Z", "é", "É", "ß", "ǅ", "ʰ", "中", "か", "한", "я", "ก",
		"1", "12", "²", "٣", "!", "-", "/", "$", "^", "。", "🙂", "\u0301", "\u200d", "_", "`", "ﬁ"}
	x := uint32(7)
	for range 30 {
		var b strings.Builder
		for range 14 {
			x = x*1664525 + 1013904223
			b.WriteString(alphabet[int(x>>16)%len(alphabet)])
		}
		texts = append(texts, b.String())
	}
	return texts
}

// otherCuts are pre-tokenizers that no name stands for.
var otherCuts = []cutCase{
	{Name: "Falcon", PreTokenizer: json.RawMessage(`{"type":"Sequence","pretokenizers":[{"type":"Punctuation","behavior":"Contiguous"},{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true},{"type":"Digits","individual_digits":false},{"type":"Split","pattern":{"Regex":"[0-9][0-9][0-9]"},"behavior":"Isolated","invert":false}]}`)},
	{Name: "literal", PreTokenizer: json.RawMessage(`{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"String":"\\s+(?!\\S)"},"behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}]}`)},
	{Name: "string", PreTokenizer: split(`{"String":"a"}`, "Isolated", false)},
	{Name: "removed", Removes: true, PreTokenizer: split(`{"Regex":"\\s+"}`, "Removed", false)},
	{Name: "removed, inverted", Removes: true, PreTokenizer: split(`{"Regex":"\\w+"}`, "Removed", true)},
	{Name: "previous", PreTokenizer: split(`{"Regex":"\\s"}`, "MergedWithPrevious", false)},
	{Name: "previous, inverted", PreTokenizer: split(`{"Regex":"\\s"}`, "MergedWithPrevious", true)},
	{Name: "next", PreTokenizer: split(`{"Regex":"[ \\n]"}`, "MergedWithNext", false)},
	{Name: "next, inverted", PreTokenizer: split(`{"Regex":"[ \\n]"}`, "MergedWithNext", true)},
	{Name: "contiguous", PreTokenizer: split(`{"Regex":"\\p{N}|\\p{P}"}`, "Contiguous", false)},
	{Name: "empty", PreTokenizer: split(`{"Regex":"\\d*"}`, "Isolated", false)},
	{Name: "lazy", PreTokenizer: split(`{"Regex":"\\w+?s|\\s*?\\n"}`, "Isolated", false)},
	{Name: "atomic", PreTokenizer: split(`{"Regex":"(?>a+|\\d+)\\s?|[^\\S\\n]++"}`, "Isolated", false)},
	{Name: "anchors", PreTokenizer: split(`{"Regex":"^\\w|\\w$|\\bt|\\s\\B|\\A.|x\\z"}`, "Isolated", false)},
	{Name: "case", PreTokenizer: split(`{"Regex":"(?i)hello|[k-t]{2,3}|é|ß"}`, "Isolated", false)},
	{Name: "counts", PreTokenizer: split(`{"Regex":"\\d{2}|\\s{2,}|[a-z]{,3}x|a{b"}`, "Isolated", false)},
	{Name: "sets", PreTokenizer: split(`{"Regex":"[a-z&&[^aeiou]]+|[[x-z]!.]+|[\\]\\-x]|\\P{L}\\p{^L}"}`, "Isolated", false)},
	{Name: "properties", PreTokenizer: split(`{"Regex":"\\p{Lu}|\\p{Lt}|\\p{Lm}|\\p{Lo}+|\\p{M}|\\p{S}|\\p{Nd}+|\\p{Han}+"}`, "Isolated", false)},
	{Name: "white space", Removes: true, PreTokenizer: json.RawMessage(`{"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},{"type":"Punctuation"},{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}]}`)},
	{Name: "digits", PreTokenizer: json.RawMessage(`{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":false},{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}]}`)},
}

func split(pattern, behavior string, invert bool) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":%s,"behavior":%q,"invert":%t},{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}]}`, pattern, behavior, invert))
}

// cuts are the pieces of a text.
func cuts(t testing.TB, preTokenizer json.RawMessage, text string) []string {
	t.Helper()
	d := description{preTokenizer: preTokenizer}
	p, err := d.compile(ByteLevelBPE)
	if err != nil {
		t.Fatalf("%s: %v", preTokenizer, err)
	}
	e := &encoder{t: &Tokenizer{pipeline: p}}
	var pieces []string
	e.cutBySteps(0, text, func(piece string) {
		for i := 0; i < len(piece); {
			end := p.cut(piece, i)
			pieces = append(pieces, piece[i:end])
			i = end
		}
	})
	return pieces
}

func TestPreTokenizersCutAsHuggingFaceDoes(t *testing.T) {
	path := filepath.Join("testdata", "pretokenizers.json")
	if *update {
		all := cutCases{Texts: cutTexts(), PreTokenizers: slices.Clone(otherCuts)}
		for _, p := range preTokenizers {
			all.PreTokenizers = append(all.PreTokenizers, cutCase{Name: p.names[0], PreTokenizer: p.describe().preTokenizer})
		}
		data, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	var all cutCases
	if err := json.Unmarshal(readTestdata(t, "pretokenizers.json"), &all); err != nil {
		t.Fatal(err)
	}
	if want := len(otherCuts) + len(preTokenizers); len(all.PreTokenizers) != want {
		t.Fatalf("%d pre-tokenizers in %s, want %d", len(all.PreTokenizers), path, want)
	}
	for _, c := range all.PreTokenizers {
		if len(c.Pieces) != len(all.Texts) {
			t.Fatalf("%s: pieces of %d texts, want %d; run testdata/pretokenizers.py", c.Name, len(c.Pieces), len(all.Texts))
		}
		for i, text := range all.Texts {
			var got any
			pieces := cuts(t, c.PreTokenizer, text)
			if c.Removes {
				written := []string{}
				for _, piece := range pieces {
					written = append(written, string(appendWritten(nil, piece)))
				}
				got = written
			} else {
				var lengths []string
				for _, piece := range pieces {
					lengths = append(lengths, fmt.Sprint(len(piece)))
				}
				got = strings.Join(lengths, " ")
			}
			data, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			var want, have any
			if json.Unmarshal(c.Pieces[i], &want) != nil || json.Unmarshal(data, &have) != nil {
				t.Fatal(c.Name)
			}
			if fmt.Sprint(want) != fmt.Sprint(have) {
				t.Errorf("%s: %q is cut into %q:\n got %s\nwant %s", c.Name, text, pieces, data, c.Pieces[i])
			}
		}
	}
}
