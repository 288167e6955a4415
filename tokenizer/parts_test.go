package tokenizer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// reread is the tokenizer that the files of tok are read as.
func reread(t testing.TB, tok *Tokenizer) *Tokenizer {
	t.Helper()
	again, err := Parse(mustFiles(t, tok)[TokenizerFile])
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func mustParts(t testing.TB, p Parts) *Tokenizer {
	t.Helper()
	tok, err := NewFromParts(p)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// goldenParts is the golden tokenizer as a GGUF file lists it.
func goldenParts(t testing.TB) Parts {
	t.Helper()
	tok := goldenTokenizer(t)
	p := Parts{Model: "gpt2", Pre: "gpt-2", IDs: map[string]int32{"eos": 0, "padding": 3}}
	for id := range int32(tok.VocabSize()) {
		p.Tokens = append(p.Tokens, tok.written(id))
		kind := int32(ggufNormal)
		if tok.kinds[id] == special {
			kind = ggufControl
		}
		p.Types = append(p.Types, kind)
	}
	for _, m := range tok.merges {
		p.Merges = append(p.Merges, tok.written(m.left)+" "+tok.written(m.right))
	}
	return p
}

func TestPartsOfByteLevelBPEAreTheSameTokenizer(t *testing.T) {
	got := mustParts(t, goldenParts(t))
	sameTokenizer(t, got, goldenTokenizer(t))
	for _, text := range oracleTexts() {
		if !slices.Equal(got.EncodeWithSpecial(text), goldenTokenizer(t).EncodeWithSpecial(text)) {
			t.Errorf("EncodeWithSpecial(%q) differs", text)
		}
	}
	if eos, ok := got.EOS(); !ok || eos != 0 {
		t.Errorf("EOS() = %d, %v", eos, ok)
	}
}

// llamaParts is a small vocabulary of SentencePiece BPE with all bytes.
func llamaParts() Parts {
	p := Parts{Model: "llama", AddBOS: true, IDs: map[string]int32{"unknown": 0, "bos": 1, "eos": 2}}
	add := func(token string, score float32, kind int32) {
		p.Tokens, p.Scores, p.Types = append(p.Tokens, token), append(p.Scores, score), append(p.Types, kind)
	}
	add("<unk>", 0, ggufUnknown)
	add("<s>", 0, ggufControl)
	add("</s>", 0, ggufControl)
	for b := range 256 {
		add(fmt.Sprintf("<0x%02X>", b), 0, ggufByte)
	}
	for i, token := range strings.Fields("▁t he ▁the ▁a er ▁▁ in ▁in ▁b re") {
		add(token, float32(-i), ggufNormal)
	}
	for i, c := range "▁abcdehinrt." {
		add(string(c), float32(-1000-i), ggufNormal)
	}
	return p
}

func names(tok *Tokenizer, ids []int32) string {
	var all []string
	for _, id := range ids {
		all = append(all, tok.token(id))
	}
	return strings.Join(all, " ")
}

func TestSentencePieceBPEMergesByScoreAndFallsBackToBytes(t *testing.T) {
	tok := mustParts(t, llamaParts())
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{"the", "▁the"},
		{"the tin", "▁the ▁t in"},
		{"there", "▁the re"},
		{"a  b", "▁a ▁▁ b"},
		{" a", "▁ ▁a"},
		{"a中", "▁a <0xE4> <0xB8> <0xAD>"},
		{"a\nb", "▁a <0x0A> b"},
		{"<s>", "▁ <0x3C> <0x73> <0x3E>"},
		{"\xff", "▁ <0xEF> <0xBF> <0xBD>"},
	} {
		ids := tok.Encode(test.text)
		if got := names(tok, ids); got != test.want {
			t.Errorf("Encode(%q) = %s, want %s", test.text, got, test.want)
		}
		if got := names(tok, reread(t, tok).Encode(test.text)); got != test.want {
			t.Errorf("read again: Encode(%q) = %s, want %s", test.text, got, test.want)
		}
		text, err := tok.Decode(ids)
		if want := strings.ToValidUTF8(test.text, "\uFFFD"); err != nil || text != want {
			t.Errorf("Decode(Encode(%q)) = %q, %v", test.text, text, err)
		}
	}
	if got := names(tok, tok.Wrap(tok.Encode("a"))); got != "<s> ▁a" {
		t.Errorf("Wrap gives %s", got)
	}
}

func bertParts() Parts {
	return Parts{
		Model:  "bert",
		Tokens: strings.Fields("[PAD] [UNK] [CLS] [SEP] [MASK] ▁the ▁ship ▁un s ing ▁, ▁船 ▁cafe ▁a"),
		Types:  []int32{3, 2, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
		IDs:    map[string]int32{"padding": 0, "unknown": 1, "cls": 2, "seperator": 3, "mask": 4},
	}
}

func TestWordPieceOfPartsNormalizesAndSplitsAsBERTDoes(t *testing.T) {
	tok := mustParts(t, bertParts())
	for _, test := range []struct{ text, want string }{
		{"The ships,", "the ship ##s ,"},
		{"shipping", "[UNK]"},
		{"Café\tCAFÉ", "cafe cafe"},
		{"a船a", "a 船 a"},
		{"uns\u00ading a\u0000", "un ##s ##ing a"},
		{"[MASK]", "[UNK] [UNK] [UNK]"},
		{"the" + strings.Repeat("s", 98), "[UNK]"},
		{"ship" + strings.Repeat("s", 3), "ship ##s ##s ##s"},
	} {
		for _, tok := range []*Tokenizer{tok, reread(t, tok)} {
			if got := names(tok, tok.Encode(test.text)); got != test.want {
				t.Errorf("Encode(%q) = %s, want %s", test.text, got, test.want)
			}
		}
	}
	ids, types := tok.WrapPair(tok.Encode("the ship"), tok.Encode("a"))
	if got := names(tok, ids); got != "[CLS] the ship [SEP] a [SEP]" || !slices.Equal(types, []int32{0, 0, 0, 0, 1, 1}) {
		t.Errorf("WrapPair gives %s with types %v", got, types)
	}
	if text, err := tok.Text(tok.Wrap(tok.Encode("the ships, a"))); err != nil || text != "the ships, a" {
		t.Errorf("Text gives %q, %v", text, err)
	}
}

func TestPartsThatMakeNoSenseAreRefusedByName(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(p *Parts)
		want   string
	}{
		{"no tokens", func(p *Parts) { p.Tokens = nil }, "tokenizer.ggml.tokens is empty"},
		{"another model", func(p *Parts) { p.Model = "t5" }, `tokenizer.ggml.model is "t5", which is not supported`},
		{"another pre-tokenizer", func(p *Parts) { p.Model, p.Pre = "gpt2", "gemma4" }, `tokenizer.ggml.pre is "gemma4", which is not supported; supported are gpt-2, `},
		{"few scores", func(p *Parts) { p.Scores = p.Scores[1:] }, "tokenizer.ggml.scores has 280 entries and tokenizer.ggml.tokens 281"},
		{"few types", func(p *Parts) { p.Types = p.Types[1:] }, "tokenizer.ggml.token_type has 280 entries"},
		{"an unknown type", func(p *Parts) { p.Types[5] = 9 }, "tokenizer.ggml.token_type[5] is 9"},
		{"a token of half a character", func(p *Parts) { p.Tokens[7] = "\xe2\x96" }, "tokenizer.ggml.tokens[7] is \"\\xe2\\x96\": a token is text"},
		{"a token twice", func(p *Parts) { p.Tokens[270] = "▁t" }, `token "▁t" has two ids`},
		{"a bos outside", func(p *Parts) { p.IDs = map[string]int32{"bos": 300} }, "tokenizer.ggml.bos_token_id is 300"},
		{"no bos to add", func(p *Parts) { p.IDs = nil }, "add_bos_token is true"},
	} {
		p := llamaParts()
		test.change(&p)
		if _, err := NewFromParts(p); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %s", test.name, err, test.want)
		}
	}
}

func TestPartsListTheSameTokenizer(t *testing.T) {
	gemma := llamaParts()
	gemma.NoSpacePrefix, gemma.AddBOS = true, true
	all := map[string]Parts{
		"byte-level": goldenParts(t),
		"smollm":     func() Parts { p := goldenParts(t); p.Pre = "smollm"; return p }(),
		"llama 3":    func() Parts { p := goldenParts(t); p.Pre = "llama-bpe"; return p }(),
		"qwen 2":     func() Parts { p := goldenParts(t); p.Pre = "qwen2"; return p }(),
		"o200k":      func() Parts { p := goldenParts(t); p.Pre = "gpt-4o"; return p }(),
		"llama 2":    llamaParts(),
		"gemma":      gemma,
	}
	for _, p := range preTokenizers {
		if name := p.names[0]; !slices.Contains([]string{"command-r", "stablelm2"}, name) { // cut as smollm and qwen2
			parts := goldenParts(t)
			parts.Pre = name
			all[name] = parts
		}
	}
	for name, parts := range all {
		want := mustParts(t, parts)
		listed, err := want.Parts()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := mustParts(t, listed)
		if listed.Pre != parts.Pre || listed.NoSpacePrefix != parts.NoSpacePrefix || listed.AddBOS != parts.AddBOS {
			t.Errorf("%s: pre %q, no space prefix %v, add BOS %v; want %q, %v, %v", name, listed.Pre, listed.NoSpacePrefix, listed.AddBOS, parts.Pre, parts.NoSpacePrefix, parts.AddBOS)
		}
		for _, text := range oracleTexts() {
			if !slices.Equal(got.Wrap(got.EncodeWithSpecial(text)), want.Wrap(want.EncodeWithSpecial(text))) {
				t.Errorf("%s: the ids of %q differ", name, text)
			}
		}
		for _, role := range []func(*Tokenizer) (int32, bool){(*Tokenizer).BOS, (*Tokenizer).EOS, (*Tokenizer).Pad, (*Tokenizer).Unknown} {
			gotID, gotOK := role(got)
			if id, ok := role(want); id != gotID || ok != gotOK {
				t.Errorf("%s: a role has token %d, %v, want %d, %v", name, gotID, gotOK, id, ok)
			}
		}
	}
}
