package dataset

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

func newTokenizer(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	docs := func(yield func(string, error) bool) {
		yield("the quick brown fox jumps over the lazy dog and the other dog jumps over the fox", nil)
	}
	tok, _, err := tokenizer.Train(context.Background(), docs, tokenizer.Options{VocabSize: 275, SpecialTokens: tokenizer.DefaultSpecialTokens()})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func chatML(t testing.TB, tok *tokenizer.Tokenizer) *chat.Template {
	t.Helper()
	template, err := chat.For(tok)
	if err != nil {
		t.Fatal(err)
	}
	return template
}

func dialogue(turns ...string) chat.Dialogue {
	var d chat.Dialogue
	for i, text := range turns {
		d.Messages = append(d.Messages, chat.Message{Role: []string{chat.User, chat.Assistant}[i%2], Content: text})
	}
	return d
}

func TestPackIsFirstFitInOrder(t *testing.T) {
	for _, c := range []struct {
		lengths []int
		want    [][]int
	}{
		{nil, nil},
		{[]int{6, 5, 4, 3, 2, 10, 1}, [][]int{{0, 2}, {1, 3, 4}, {5}, {6}}},
		{[]int{10, 10}, [][]int{{0}, {1}}},
		{[]int{1, 1, 1}, [][]int{{0, 1, 2}}},
	} {
		got, err := Pack(c.lengths, 10)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(got, c.want, func(a, b []int) bool { return slices.Equal(a, b) }) {
			t.Errorf("%v packs as %v, want %v", c.lengths, got, c.want)
		}
	}
	for _, bad := range []int{0, 11} {
		if _, err := Pack([]int{5, bad}, 10); err == nil || !strings.Contains(err.Error(), "example 1") {
			t.Errorf("a length of %d: %v", bad, err)
		}
	}
}

func TestPackEpochPlacesEveryExampleOnce(t *testing.T) {
	lengths := make([]int, 2000)
	total := 0
	for i := range lengths {
		lengths[i] = 1 + int(compute.Bits(1, 1, uint64(i))%120)
		total += lengths[i]
	}
	a, err := PackEpoch(lengths, 256, 7, 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := make([]bool, len(lengths))
	for _, row := range a {
		n := 0
		for _, x := range row {
			if seen[x] {
				t.Fatalf("example %d twice", x)
			}
			seen[x] = true
			n += lengths[x]
		}
		if n > 256 {
			t.Fatalf("a row of %d tokens", n)
		}
	}
	if slices.Contains(seen, false) {
		t.Error("an example was left out")
	}
	if used := float64(total) / float64(256*len(a)); used < .97 {
		t.Errorf("only %.3f of the positions are used", used)
	}
	again, _ := PackEpoch(lengths, 256, 7, 0)
	next, _ := PackEpoch(lengths, 256, 7, 1)
	same := func(a, b [][]int) bool {
		return slices.EqualFunc(a, b, func(x, y []int) bool { return slices.Equal(x, y) })
	}
	if !same(a, again) || same(a, next) {
		t.Error("an epoch's rows must be the same each time, and differ from the next epoch's")
	}
}

func TestFillLaysOutSegments(t *testing.T) {
	examples := []Example{
		{Tokens: []int32{10, 11, 12}, Trained: []bool{false, false, true}},
		{Tokens: []int32{20, 21, 22, 23}, Trained: []bool{true, true, false, true}},
	}
	p := NewPacked(2, 8)
	if err := p.Fill([][]int{{0, 1}}, examples, 99); err != nil {
		t.Fatal(err)
	}
	x := int32(Ignored)
	for name, c := range map[string][2][]int32{
		"tokens":    {p.Tokens, {10, 11, 12, 20, 21, 22, 23, 99, 99, 99, 99, 99, 99, 99, 99, 99}},
		"positions": {p.Positions, {0, 1, 2, 0, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
		"segments":  {p.Segments, {0, 0, 0, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1, -1, -1}},
		// The first token of a segment is nobody's target, marked or not.
		"targets": {p.Targets, {x, 12, x, 21, x, 23, x, x, x, x, x, x, x, x, x, x}},
	} {
		if !slices.Equal(c[0], c[1]) {
			t.Errorf("%s are %v, want %v", name, c[0], c[1])
		}
	}
	if p.Learned != 3 {
		t.Errorf("%d learned, want 3", p.Learned)
	}
	if err := p.Fill([][]int{{}, {1}}, examples, 99); err != nil || p.Tokens[0] != 99 || p.Targets[8] != 21 {
		t.Errorf("arrays were not laid out anew: %v %v (%v)", p.Tokens, p.Targets, err)
	}
	if err := p.Fill([][]int{{0}, {0}, {0}}, examples, 99); err == nil {
		t.Error("three rows went into two")
	}
	if err := p.Fill([][]int{{1, 1, 1}}, examples, 99); err == nil {
		t.Error("twelve tokens went into eight positions")
	}
}

// POSTTRAINING.md, detail 1.
func TestSFT1PadIsNotTheEndTokenAndTheEndTokenIsLearned(t *testing.T) {
	tok := newTokenizer(t)
	pad, ok := tok.Pad()
	end, ok2 := tok.TokenID(tokenizer.IMEnd)
	if !ok || !ok2 || pad == end {
		t.Fatalf("pad %d, end %d", pad, end)
	}
	examples, _, dropped, err := Tokenize(chatML(t, tok), given(dialogue("the fox", "the dog")), 100)
	if err != nil || len(dropped) > 0 {
		t.Fatal(err, dropped)
	}
	p := NewPacked(1, 64)
	if err := p.Fill([][]int{{0}}, examples, pad); err != nil {
		t.Fatal(err)
	}
	last := int32(Ignored)
	for i, id := range p.Targets {
		if id != Ignored {
			last = id
		}
		if p.Segments[i] < 0 && id != Ignored {
			t.Errorf("padding at %d is trained on", i)
		}
	}
	if last != end {
		t.Errorf("the last target is %d, want the end token %d", last, end)
	}
}

// POSTTRAINING.md, detail 2, as far as the arrays go: what is packed beside a
// dialogue, and how much padding there is, changes nothing in its own entries.
func TestSFT2ADialoguesEntriesDoNotDependOnTheRestOfTheRow(t *testing.T) {
	tok := newTokenizer(t)
	chats := []chat.Dialogue{dialogue("the fox", "jumps"), dialogue("over", "the lazy dog", "and", "the fox"), dialogue("the", "quick brown")}
	examples, _, _, err := Tokenize(chatML(t, tok), given(chats...), 100)
	if err != nil {
		t.Fatal(err)
	}
	alone := NewPacked(1, len(examples[1].Tokens))
	if err := alone.Fill([][]int{{1}}, examples, 0); err != nil {
		t.Fatal(err)
	}
	together := NewPacked(1, 200)
	if err := together.Fill([][]int{{0, 1, 2}}, examples, 0); err != nil {
		t.Fatal(err)
	}
	at, n := len(examples[0].Tokens), len(examples[1].Tokens)
	for name, pair := range map[string][2][]int32{"tokens": {alone.Tokens, together.Tokens}, "positions": {alone.Positions, together.Positions}, "targets": {alone.Targets, together.Targets}} {
		if !slices.Equal(pair[0], pair[1][at:at+n]) {
			t.Errorf("%s alone %v, packed %v", name, pair[0], pair[1][at:at+n])
		}
	}
	for i := range together.Tokens {
		if inside := i >= at && i < at+n; inside != (together.Segments[i] == 1) {
			t.Errorf("position %d has segment %d", i, together.Segments[i])
		}
	}
}

// POSTTRAINING.md, detail 7.
func TestSFT7TheShiftTouchesExactlyTheResponseAndItsEnd(t *testing.T) {
	tok := newTokenizer(t)
	const prefill, rest = "the dog", " jumps over"
	c := dialogue("the fox", prefill+rest)
	c.Messages[1].Prefill = prefill
	examples, _, _, err := Tokenize(chatML(t, tok), given(c), 100)
	if err != nil {
		t.Fatal(err)
	}
	response := tok.Encode(rest)
	p := NewPacked(1, 100)
	if err := p.Fill([][]int{{0}}, examples, 0); err != nil {
		t.Fatal(err)
	}
	if want := len(response) + 1; p.Learned != want || examples[0].Learned() != want {
		t.Errorf("%d targets for %d tokens and an end", p.Learned, len(response))
	}
	var targets []int32
	for i, id := range p.Targets {
		if id != Ignored {
			targets = append(targets, id)
			if p.Tokens[i+1] != id {
				t.Errorf("target at %d is not the token after it", i)
			}
		}
	}
	if !slices.Equal(targets[:len(response)], response) {
		t.Errorf("targets %v, response %v", targets, response)
	}
	prompt, err := chatML(t, tok).RenderPrompt(c.Messages[:1], prefill)
	if err != nil {
		t.Fatal(err)
	}
	if p.Targets[len(prompt)-1] != response[0] {
		t.Error("the first target does not stand at the prompt's last token")
	}
}

func TestDialoguesAndPromptsThatDoNotFitAreLeftOutAndNamed(t *testing.T) {
	tok := newTokenizer(t)
	chats := []chat.Dialogue{dialogue("a", "b"), dialogue(strings.Repeat("fox ", 60), "b"), dialogue("c", "d")}
	examples, lines, dropped, err := Tokenize(chatML(t, tok), given(chats...), 40)
	if err != nil || len(examples) != 2 || !slices.Equal(lines, []int{1, 3}) || len(dropped) != 1 || dropped[0] <= 40 {
		t.Errorf("%d examples of lines %v, dropped %v, %v", len(examples), lines, dropped, err)
	}
	ids, kept, err := TokenizePrompts(chatML(t, tok), []Prompt{UserPrompt("a", ""), UserPrompt(strings.Repeat("fox ", 60), "x"), UserPrompt("c", "x")}, 40)
	if err != nil || len(ids) != 2 || !slices.Equal(kept, []int{0, 2}) {
		t.Errorf("%d prompts, kept %v, %v", len(ids), kept, err)
	}
	if _, _, _, err := Tokenize(chatML(t, tok), given(dialogue("a", "b"), dialogue("only a question")), 40); err == nil || !strings.Contains(err.Error(), "given:2: ") {
		t.Errorf("a dialogue without an answer: %v", err)
	}
}

func TestPackingTheLongestFirstLeavesLittleEmpty(t *testing.T) {
	lengths := make([]int, 3000)
	total := 0
	for i := range lengths {
		lengths[i] = 3 + int(compute.Bits(1, 0, uint64(i))%60)
		total += lengths[i]
	}
	rows, err := PackLongest(lengths, 64)
	if err != nil {
		t.Fatal(err)
	}
	seen := make([]bool, len(lengths))
	for _, row := range rows {
		length := 0
		for _, i := range row {
			if seen[i] {
				t.Fatalf("example %d is packed twice", i)
			}
			seen[i] = true
			length += lengths[i]
		}
		if length > 64 {
			t.Fatalf("a row of %d", length)
		}
	}
	if slices.Contains(seen, false) {
		t.Error("an example is left out")
	}
	if empty := 1 - float64(total)/float64(64*len(rows)); empty > .03 {
		t.Errorf("%.3f of the rows is empty", empty)
	}
}

// given are dialogues as if they were read of a file, one a line.
func given(dialogues ...chat.Dialogue) *File[chat.Dialogue] {
	f := &File[chat.Dialogue]{Rows: dialogues, Account: &Account{What: "dialogues", Path: "given", Total: len(dialogues), policy: Stop}}
	for i := range dialogues {
		f.Lines = append(f.Lines, i+1)
	}
	return f
}
