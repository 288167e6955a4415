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

// Ids that no token has are passed over: the others keep theirs, in the file that is
// written too. Ids are those of tokenizers 0.23.3.
func TestVocabulariesMayHaveHoles(t *testing.T) {
	wordPiece := []byte(`{"added_tokens":[{"id":0,"content":"[UNK]","special":true}],"normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true},
		"pre_tokenizer":{"type":"BertPreTokenizer"},"decoder":{"type":"WordPiece","prefix":"##","cleanup":true},
		"model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,
		"vocab":{"[UNK]":0,"hello":3,"world":4,"##s":5,"!":6,"last":12}}}`)
	tok, err := Parse(wordPiece)
	if err != nil {
		t.Fatal(err)
	}
	for _, tok := range []*Tokenizer{tok, reread(t, tok)} {
		if got, want := tok.Encode("hello worlds last! gone"), []int32{3, 4, 5, 12, 6, 0}; !slices.Equal(got, want) {
			t.Errorf("ids %v, want %v", got, want)
		}
		if tok.VocabSize() != 13 {
			t.Errorf("VocabSize() = %d, want 13", tok.VocabSize())
		}
	}
	gguf := goldenParts(t)
	last := len(gguf.Tokens) - 1
	gguf.Tokens, gguf.Types = append(gguf.Tokens, "", "zzz"), append(gguf.Types, ggufNormal, ggufUserDefined)
	tok = mustParts(t, gguf)
	for _, tok := range []*Tokenizer{tok, reread(t, tok)} {
		if got := tok.Encode("zzz"); !slices.Equal(got, []int32{int32(last + 2)}) {
			t.Errorf("ids %v, want the token behind the hole, %d", got, last+2)
		}
	}
}

// A file that names no pre-tokenizer is read all the same, and says how.
func TestAMissingPreTokenizerIsAssumedAndSaid(t *testing.T) {
	p := goldenParts(t)
	if got := mustParts(t, p).Assumed(); got != "" {
		t.Errorf("a file that says all assumes %q", got)
	}
	p.Pre = ""
	tok := mustParts(t, p)
	if got := tok.Assumed(); !strings.Contains(got, `as for "gpt-2"`) || !slices.Equal(tok.Encode("12345 a"), goldenTokenizer(t).Encode("12345 a")) {
		t.Errorf("assumed %q", got)
	}
	p.Tokens, p.Types = append(p.Tokens, "<|begin_of_text|>", "<|eot_id|>"), append(p.Types, ggufControl, ggufControl)
	tok = mustParts(t, p)
	p.Pre = "llama-bpe"
	want := mustParts(t, p)
	for _, text := range cutTexts() {
		if got, want := tok.Encode(text), want.Encode(text); !slices.Equal(got, want) {
			t.Errorf("%q: ids %v, want Llama 3's %v", text, got, want)
		}
	}
	if got := tok.Assumed(); !strings.Contains(got, `as for "llama-bpe", since the vocabulary has Llama 3's special tokens`) {
		t.Errorf("assumed %q", got)
	}
	p.Pre = "default"
	if got := mustParts(t, p).Assumed(); !strings.Contains(got, `tokenizer.ggml.pre is "default"`) {
		t.Errorf("assumed %q", got)
	}
}

// What the machine cannot do is refused by the expression, and what it can it does in
// time that grows with the text.
func TestExpressionsThatAreNotFollowedAreRefused(t *testing.T) {
	for expression, want := range map[string]string{
		`(?<=a)b`: `begins a group of a kind`, `(a)\1`: `the escape \1`, `a(?=b*)`: `a lookahead that repeats without end`, `(?=a)*`: `an anchor or lookahead is repeated`,
		`(a`: `a group is not closed`, `a)`: `")" closes no group`, `[a`: `a class is not closed`, `[z-a]`: `the range at`, `\p{Greek}`: `the property \p{Greek}`,
		`a{3}?`: `a lazy repeat of a count`, `*a`: `repeats nothing`, `a\`: `ends in a backslash`, `(a{1000}){1000}`: `make it too long`, `a{1001}`: `more than 1000 times`,
		`a{3,2}`: `from more to less`, `[[:alpha:]]`: `[: in a class`, strings.Repeat("(", 100): `nested too deeply`, strings.Repeat("[", 100): `nested too deeply`,
		`\u12`: `ends too soon`, `\x{110000}`: `is no character`,
	} {
		if _, err := compileExpression(expression); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: error %v, want one with %s", expression, err, want)
		}
	}
}

func TestMatchingTakesTimeInTheOrderOfTheText(t *testing.T) {
	for _, expression := range []string{`(a*)*b`, `(a|a)*b`, `(a?){20}a{20}b`, `(?:a+a+)+b`, `a*a*a*a*b`, `\s+(?!\S)|a+(?!a)b`} {
		program, err := compileExpression(expression)
		if err != nil {
			t.Fatal(err)
		}
		m := newMatcher(program)
		text := strings.Repeat("a", 3000)
		m.matches(text, func(start, end int) { t.Errorf("%s matches %d to %d", expression, start, end) })
	}
}

// T5's and XLM-R's pre-tokenizer; ids are those of tokenizers 0.23.3.
func TestWordsBeforeMetaspaceAreTextsOfTheirOwn(t *testing.T) {
	tok, err := Parse([]byte(`{"added_tokens":[{"id":0,"content":"<unk>","special":true}],"normalizer":null,
		"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true}]},
		"decoder":{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true},
		"model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0],["▁",-2],["a",-3],["b",-3.5],["▁a",-2.5],["▁ab",-4],["▁a▁b",-1]]}}`))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string][]int32{
		"a b": {4, 1, 3}, "  ab\n\ta  ": {5, 4}, "a▁b": {4, 1, 3}, "▁ab c": {5, 1, 0}, "": {},
	} {
		if got := tok.Encode(text); !slices.Equal(got, want) {
			t.Errorf("the ids of %q are %v, want %v", text, got, want)
		}
	}
}

// User-defined symbols have their own ids and cut the text, whose one ▁ stands at its
// beginning. testdata/symbols.model was trained with sentencepiece 0.2.3, whose ids are
// in symbols.json; a text that is one symbol alone is the difference that is told.
func TestSentencePieceSymbolsHaveTheirOwnIDs(t *testing.T) {
	tok, err := ParseSentencePiece(readTestdata(t, "symbols.model"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Text string
		IDs  []int32
	}
	if err := json.Unmarshal(readTestdata(t, "symbols.json"), &rows); err != nil {
		t.Fatal(err)
	}
	for name, tok := range map[string]*Tokenizer{"model": tok, "tokenizer.json": reread(t, tok)} {
		for _, row := range rows {
			if got := tok.Encode(row.Text); !slices.Equal(got, row.IDs) {
				t.Errorf("%s: the ids of %q are %v, want %v", name, row.Text, got, row.IDs)
			}
		}
	}
}

// An expression is refused, or finds parts of a text in order.
func FuzzExpression(f *testing.F) {
	for _, expression := range []string{patternGPT2, patternKimi, patternBailing, `(?>a+|\d{2,3})\b`, `[a-z&&[^x]]|\p{Lu}`, `(?i)ab?+c*?$`, `^\x{41}\u0042|`} {
		f.Add(expression, "Ab 12\n'll x")
	}
	f.Fuzz(func(t *testing.T, expression, text string) {
		program, err := compileExpression(expression)
		if err != nil || len(text) > 1000 {
			return
		}
		last := 0
		newMatcher(program).matches(text, func(start, end int) {
			if start < last || end < start || end > len(text) {
				t.Fatalf("%q finds %d to %d behind %d in %q", expression, start, end, last, text)
			}
			last = end
		})
	})
}

// A pre-tokenizer is refused, or its pieces are parts of the text in order; all of it,
// where nothing says that parts are taken away.
func FuzzPreTokenizer(f *testing.F) {
	for _, c := range otherCuts {
		f.Add([]byte(c.PreTokenizer), "Ab 12\n'll x")
	}
	f.Fuzz(func(t *testing.T, pre []byte, text string) {
		if !json.Valid(pre) {
			return
		}
		d := description{preTokenizer: pre}
		p, err := d.compile(ByteLevelBPE)
		if err != nil || len(text) > 1000 {
			return
		}
		e := &encoder{t: &Tokenizer{pipeline: p}}
		rest, all := text, ""
		e.cutBySteps(0, text, func(piece string) {
			i := strings.Index(rest, piece)
			if i < 0 || piece == "" {
				t.Fatalf("%q is no part of what is left, %q", piece, rest)
			}
			rest, all = rest[i+len(piece):], all+piece
		})
		if all != text && !strings.Contains(string(pre), "emoved") && !strings.Contains(string(pre), "WhitespaceSplit") && !strings.Contains(string(pre), `\u`) {
			t.Fatalf("the pieces are %q, the text is %q", all, text)
		}
	})
}
