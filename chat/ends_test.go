package chat

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// Padding that has another office is never banned: where it ends a turn
// (SmolLM2: <|im_end|>), the answer would not end; where it is the unknown token
// (Mistral: <unk>), text would be lost.
func TestNothingThatEndsATextIsBanned(t *testing.T) {
	chatML := map[string]any{}
	for _, c := range []struct {
		name, pad, eos string
		banned         []string // in a dialogue
	}{
		{"pad is a token of its own", "<|pad|>", "<|im_end|>", []string{"<|pad|>", "<|im_start|>"}},
		{"pad is the end", "<|im_end|>", "<|im_end|>", []string{"<|im_start|>"}},
		{"pad is the end of a document", "<|endoftext|>", "<|im_end|>", []string{"<|im_start|>"}},
		{"no pad in the file, but a token of that name", "", "<|im_end|>", []string{"<|pad|>", "<|im_start|>"}},
		{"the end is named by the tokenizer alone", "</s>", "</s>", []string{"<|im_start|>"}},
	} {
		chatML["eos_token"] = c.eos
		delete(chatML, "pad_token")
		if c.pad != "" {
			chatML["pad_token"] = c.pad
		}
		tok := withConfig(t, chatML)
		template, err := For(tok)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		ends := Ends(tok, template)
		for _, name := range []string{"<|im_end|>", "<|endoftext|>", c.eos} {
			if id, ok := tok.TokenID(name); ok && !slices.Contains(ends, id) {
				t.Errorf("%s: %s does not end a text; ends are %v", c.name, name, ends)
			}
		}
		var want []int32
		for _, name := range c.banned {
			id, ok := tok.TokenID(name)
			if !ok {
				t.Fatalf("the test's tokenizer has no %s", name)
			}
			want = append(want, id)
		}
		if got := Banned(tok, template, ends, tok.VocabSize()); !slices.Equal(got, want) {
			t.Errorf("%s: banned are %v, want %v (%v)", c.name, got, want, c.banned)
		}
		// Of text that is continued the beginning of a turn is a token like others.
		if got := Banned(tok, nil, ends, tok.VocabSize()); slices.ContainsFunc(got, func(id int32) bool { return slices.Contains(ends, id) }) || len(got) > 1 {
			t.Errorf("%s: in plain text banned are %v", c.name, got)
		}
	}
}

func TestPaddingThatIsTheUnknownTokenIsNotBanned(t *testing.T) {
	withoutPad := t.TempDir()
	for name, from := range map[string]string{"tokenizer.json": "", "tokenizer_config.json": `"pad_token": "<unk>"`} {
		data, err := os.ReadFile(filepath.Join("testdata/unknown-pad", name))
		if err != nil {
			t.Fatal(err)
		}
		if from != "" && !strings.Contains(string(data), from) {
			t.Fatalf("%s does not say %s", name, from)
		}
		text := strings.Replace(string(data), from, `"model_max_length": 64`, min(1, len(from)))
		if err := os.WriteFile(filepath.Join(withoutPad, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	none, err := tokenizer.Load(withoutPad)
	if err != nil {
		t.Fatal(err)
	}
	if pad, ok := none.Pad(); ok {
		t.Fatalf("a tokenizer without padding pads with %d", pad)
	}
	if got := Banned(none, nil, Ends(none, nil), none.VocabSize()); len(got) > 0 {
		t.Errorf("without padding banned are %v", got)
	}

	tok, err := tokenizer.Load("testdata/unknown-pad")
	if err != nil {
		t.Fatal(err)
	}
	pad, ok := tok.Pad()
	unknown, known := tok.Unknown()
	if !ok || !known || pad != unknown {
		t.Fatalf("the test's tokenizer pads with %d (%v), and its unknown token is %d (%v)", pad, ok, unknown, known)
	}
	ends := Ends(tok, nil)
	if end, ok := tok.EOS(); !ok || !slices.Contains(ends, end) {
		t.Errorf("ends are %v, without the tokenizer's %d", ends, end)
	}
	if got := Banned(tok, nil, ends, tok.VocabSize()); len(got) > 0 {
		t.Errorf("banned are %v", got)
	}
}

func TestEndsOfTheModelsFilesJoinThoseOfTheTokenizer(t *testing.T) {
	tok := withConfig(t, map[string]any{"eos_token": "<|im_end|>"})
	end, _ := tok.TokenID("<|im_end|>")
	other, _ := tok.TokenID("</s>")
	got := Ends(tok, nil, other, end, other)
	if n := len(got); !slices.Contains(got, other) || len(slices.Compact(slices.Sorted(slices.Values(got)))) != n {
		t.Errorf("ends are %v, want %d among them and none twice", got, other)
	}
}

func TestEndsTellWhatSaysSo(t *testing.T) {
	tok := withConfig(t, map[string]any{"eos_token": "<|im_end|>"})
	end, _ := tok.TokenID("<|im_end|>")
	other, _ := tok.TokenID("</s>")
	found := FindEnds(tok, nil, Named{"config.json", []int32{end}}, Named{"generation_config.json", []int32{end, other, 1 << 20}})
	want := map[int32][]string{
		end:     {"its name", "the tokenizer's eos_token", "config.json", "generation_config.json"},
		other:   {"generation_config.json"},
		1 << 20: {"generation_config.json"},
	}
	for _, e := range found {
		if from, ok := want[e.ID]; ok && !slices.Equal(e.From, from) {
			t.Errorf("%d: %q, want %q", e.ID, e.From, from)
		}
		delete(want, e.ID)
	}
	if len(want) > 0 {
		t.Errorf("missing are %v", want)
	}
}

// A row without a token says nothing; one that ends a text is not banned even so.
func TestRowsWithoutATokenAreBanned(t *testing.T) {
	tok := withConfig(t, map[string]any{})
	n := tok.VocabSize()
	ends := Ends(tok, nil, int32(n+2))
	got := Banned(tok, nil, ends, n+4)
	for id := n; id < n+4; id++ {
		if slices.Contains(got, int32(id)) != (id != n+2) {
			t.Errorf("of %d tokens and %d rows banned are %v", n, n+4, got)
		}
	}
	if len(WithoutTokens(tok, n)) > 0 {
		t.Errorf("rows %v of a whole vocabulary stand for no token", WithoutTokens(tok, n))
	}
}

func TestATextBeginsWithWhatTheTokenizerPutsBeforeIt(t *testing.T) {
	for add, want := range map[bool]int{false: 0, true: 1} {
		tok := withConfig(t, map[string]any{"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": add, "add_eos_token": true})
		bos, _ := tok.BOS()
		if got := Begin(tok); len(got) != want || want == 1 && got[0] != bos {
			t.Errorf("add_bos_token %v: a text begins with %v", add, got)
		}
	}
}
