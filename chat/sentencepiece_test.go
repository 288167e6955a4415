package chat

import (
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// pieces is a SentencePiece vocabulary: ▁, letters, "▁a" and "bc", with a ▁ put
// before each text between special tokens.
func pieces(t *testing.T, template string) *tokenizer.Tokenizer {
	t.Helper()
	p := tokenizer.Parts{Model: "llama", IDs: map[string]int32{"unknown": 0, "bos": 1, "eos": 2}, ChatTemplate: template}
	add := func(kind int32, score float32, tokens ...string) {
		for _, token := range tokens {
			p.Tokens, p.Types, p.Scores = append(p.Tokens, token), append(p.Types, kind), append(p.Scores, score)
		}
	}
	const control, normal = 3, 1
	add(control, 0, "<unk>", "<s>", "</s>", "[INST]", "[/INST]")
	add(normal, -1, "▁a", "bc")
	add(normal, -9, strings.Split("▁abcdef", "")...)
	tok, err := tokenizer.NewFromParts(p)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestRowsOfASentencePieceVocabularyAreThoseOfTheWholeText(t *testing.T) {
	const llama2 = "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content }} </s>{% endif %}{% endfor %}"
	tok := pieces(t, llama2)
	template, err := For(tok)
	if err != nil {
		t.Fatal(err)
	}
	dialogue := []Message{user("a bc"), assistant("bc a"), user("f"), {Role: Assistant, Content: "bc d e", Prefill: "bc d"}}
	ids, mask, err := template.RenderChat(dialogue, false)
	if err != nil {
		t.Fatal(err)
	}
	text, err := template.Text(Conversation{Messages: turns(dialogue)})
	if err != nil {
		t.Fatal(err)
	}
	if want := tok.EncodeWithSpecial(text); !slices.Equal(ids, want) {
		t.Errorf("ids %v, of the whole text %v", ids, want)
	}
	const want = "<s>[INST]▁▁a▁bc▁[/INST]⟦▁▁bc▁a▁</s>⟧[INST]▁▁f▁[/INST]▁▁bc▁d⟦▁e▁</s>⟧"
	if got := strings.ReplaceAll(spell(tok, ids, mask), " ", "▁"); got != want {
		t.Errorf("rendered %s, want %s", got, want)
	}
	answer, err := template.RenderAnswer(dialogue[:1], "bc", " a ", true)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(answer, ids[:len(answer)]) {
		t.Errorf("an answer is %v, and its row begins with %v", answer, ids[:len(answer)])
	}
}

func TestATokenOnBothSidesOfATurnsBeginningIsRefusedWhereItCannotBeCut(t *testing.T) {
	const joining = "{% for m in messages %}{{ '[INST]b' if m.role == 'assistant' else '[INST]' }}{{ m.content }}</s>{% endfor %}{{ '[INST]b' if add_generation_prompt }}"
	template, err := For(pieces(t, joining))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := template.RenderChat([]Message{user("a"), assistant("d")}, false); err != nil {
		t.Errorf("b and d are two tokens: %v", err)
	}
	if _, _, err := template.RenderChat([]Message{user("a"), assistant("c")}, false); err == nil || !strings.Contains(err.Error(), "a token lies on both sides") {
		t.Errorf("bc is one token: error %v", err)
	}
}
