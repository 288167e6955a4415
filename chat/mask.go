package chat

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// span is an assistant's turn in a rendering: its words, from where the
// generation prompt ends, with the token that ends them.
type span struct{ start, prefilled, end int }

// RenderChat renders a dialogue as a row for training and, if addGenerationPrompt
// is set, the beginning of the assistant's next turn after it. mask [len(ids)] is
// true on the tokens to train on: what the template writes after the generation
// prompt up to and with the token that ends the turn, but for a prefill and what
// stands before it.
//
// It fails on what CheckMessages refuses, on a dialogue without an assistant's
// turn (unless addGenerationPrompt is set), on one that ends with the assistant's
// turn if addGenerationPrompt is set, and without Jinja for a tokenizer without
// ChatML's tokens.
//
// A Jinja template's rendering is encoded as a whole, so that the ids are those of
// transformers; where a token would lie on both sides of a turn's beginning or end,
// the text is cut there. Where a turn begins and ends is found by rendering the
// dialogue again with a mark in place of the turn, and its beginning alone. A
// template for which that does not agree with the rendering is refused.
func (t *Template) RenderChat(messages []Message, addGenerationPrompt bool) (ids []int32, mask []bool, err error) {
	if !t.Jinja() {
		if t.given != "" {
			return nil, nil, fmt.Errorf("rendering a dialogue: %w", errNoTools)
		}
		if ids, mask, err = renderChatML(t.tok, messages, addGenerationPrompt); err != nil {
			return nil, nil, fmt.Errorf("rendering a dialogue: %w", err)
		}
		return ids, mask, nil
	}
	ids, mask, err = t.renderChat(messages, addGenerationPrompt)
	if err != nil {
		return nil, nil, artifact.Mark(artifact.ErrUsage, fmt.Errorf("rendering a dialogue: %w", err))
	}
	return ids, mask, nil
}

func (t *Template) renderChat(messages []Message, addGenerationPrompt bool) ([]int32, []bool, error) {
	if err := check(messages); err != nil {
		return nil, nil, err
	}
	if err := purpose(messages, addGenerationPrompt); err != nil {
		return nil, nil, err
	}
	all := turns(messages)
	text, guarding, err := t.guarded(t.conversation(all, addGenerationPrompt))
	if err != nil {
		return nil, nil, err
	}
	// The renderings below must meet this one, character for character.
	again := t.guard.turns(all, guarding)
	t = t.WithTools(t.guard.json(t.given, guarding))
	row := row{template: t, text: text, guard: guarding}
	for i, m := range messages {
		if m.Role != Assistant {
			continue
		}
		find := func() (span, error) {
			return t.find(text, again, i, t.guard.text(m.Prefill, guarding), addGenerationPrompt)
		}
		if m.Content == "" || m.ToolCalls != "" {
			find = func() (span, error) { return t.findWhole(text, again, i, addGenerationPrompt) }
		}
		s, err := find()
		if err != nil {
			return nil, nil, fmt.Errorf("telling the assistant's words in message %d: %w", i, err)
		}
		for _, part := range []struct {
			end   int
			train bool
		}{{s.start, false}, {s.prefilled, false}, {s.end, !m.Ignored}} {
			if err := row.extend(part.end, part.train); err != nil {
				return nil, nil, err
			}
		}
	}
	if err := row.extend(len(text), false); err != nil {
		return nil, nil, err
	}
	return row.ids, row.mask, nil
}

// find tells where message i, the assistant's, stands in text, the rendering of
// all messages.
func (t *Template) find(text string, all []turn, i int, prefill string, prompt bool) (span, error) {
	before, after, err := t.around(text, all, i, prompt)
	if err != nil {
		return span{}, err
	}
	s := span{end: len(text) - len(after)}
	if !strings.HasSuffix(text, after) {
		return span{}, errors.New("what follows them depends on them")
	}
	// The words begin where a prompt would end. A template that writes the
	// beginning of a dialogue otherwise when it goes on (a system message with the
	// last turn, say), or does not write it alone, tells only where the mark is.
	start, err := t.Text(t.conversation(all[:i], true))
	var limit *LimitError
	switch {
	case errors.As(err, &limit):
		return span{}, err
	case err == nil && i > 0 && strings.HasPrefix(text, start) && len(start) <= s.end:
		s.start = len(start)
	case strings.HasPrefix(text, before) && len(before) <= s.end:
		s.start = len(before) - promptEnd(before, start)
	default:
		return span{}, errors.New("what stands before them depends on them")
	}
	s.prefilled = s.start
	if prefill != "" {
		if !strings.HasPrefix(text, before+prefill) {
			return span{}, fmt.Errorf("the template does not begin them with the prefill %q", prefill)
		}
		s.prefilled = len(before) + len(prefill)
	}
	_, end, ok := t.endToken(after)
	if !ok {
		return span{}, errors.New("the template writes no special token after them, so nothing would end an answer; models like this one can be sampled from but not trained on dialogues")
	}
	s.end += end
	return s, nil
}

// findWhole tells where message i, the assistant's, stands in text where its content
// is not all that the template writes of it: from where a prompt would end to the last
// special token that ends a turn before the content of the next message.
func (t *Template) findWhole(text string, all []turn, i int, prompt bool) (span, error) {
	start, err := t.Text(t.conversation(all[:i], true))
	if err != nil {
		return span{}, err
	}
	if !strings.HasPrefix(text, start) {
		return span{}, errors.New("what stands before them depends on them")
	}
	upto := text
	if i+1 < len(all) {
		if upto, _, err = t.around(text, all, i+1, prompt); err != nil {
			return span{}, err
		}
		if !strings.HasPrefix(text, upto) || len(upto) < len(start) {
			return span{}, errors.New("the template writes them otherwise for other words of the next message")
		}
	}
	end := 0
	for _, name := range t.guard.names {
		id, _ := t.tok.TokenID(name)
		if at := strings.LastIndex(upto, name); slices.Contains(t.ends, id) && at >= len(start) {
			end = max(end, at+len(name))
		}
	}
	if end == 0 {
		return span{}, errors.New("the template writes no token that ends a turn after them")
	}
	return span{len(start), len(start), end}, nil
}

// around renders all with a mark in place of the content of message i and returns
// what stands before and after the mark. Both the mark and the guard are none of
// text's characters.
func (t *Template) around(text string, all []turn, i int, prompt bool) (before, after string, err error) {
	mark, err := unused(text)
	if err != nil {
		return "", "", err
	}
	marked := slices.Clone(all)
	marked[i].Content = mark
	rendered, err := t.Text(t.conversation(marked, prompt))
	if err != nil {
		return "", "", err
	}
	if n := strings.Count(rendered, mark); n != 1 {
		return "", "", fmt.Errorf("the template writes them %d times", n)
	}
	before, after, _ = strings.Cut(rendered, mark)
	return before, after, nil
}

// lead returns what the template writes between a prompt, text, and the content
// of the answer: a space, empty thoughts. A prefill stands after it. all are the
// messages of the prompt.
func (t *Template) lead(text string, all []turn) (string, error) {
	answered := append(all[:len(all):len(all)], turn{Role: Assistant})
	before, _, err := t.around(text, answered, len(all), false)
	if err != nil {
		return "", fmt.Errorf("looking where the prefill goes: %w", err)
	}
	lead, ok := strings.CutPrefix(before, text)
	if !ok {
		return "", errors.New("looking where the prefill goes: the template writes the dialogue otherwise once it is answered")
	}
	return lead, nil
}

// promptEnd tells how many bytes of white space at the end of before a prompt
// would not have: those without which before ends most like prompt does.
func promptEnd(before, prompt string) int {
	best, longest := 0, 0
	for n := 0; ; {
		common := 0
		for common < len(prompt) && common < len(before)-n && prompt[len(prompt)-1-common] == before[len(before)-n-1-common] {
			common++
		}
		if common > longest {
			best, longest = n, common
		}
		r, size := utf8.DecodeLastRuneInString(before[:len(before)-n])
		if !unicode.IsSpace(r) {
			return best
		}
		n += size
	}
}

// endToken finds the special token at the beginning of what follows the
// assistant's words, white space apart, and where it ends.
func (t *Template) endToken(after string) (id int32, end int, ok bool) {
	trimmed := strings.TrimLeftFunc(after, unicode.IsSpace)
	for _, name := range t.guard.names { // longest first
		if strings.HasPrefix(trimmed, name) {
			id, ok = t.tok.TokenID(name)
			return id, len(after) - len(trimmed) + len(name), ok
		}
	}
	return 0, 0, false
}

// findEnds renders a dialogue to see which token ends a turn of the assistant.
func (t *Template) findEnds() ([]int32, error) {
	const words = "\ufdd1"
	text, err := t.Text(Conversation{Messages: []turn{{Role: User, Content: "a"}, {Role: Assistant, Content: words}}})
	if err != nil {
		return nil, err
	}
	_, after, found := strings.Cut(text, words)
	if id, _, ok := t.endToken(after); found && ok {
		return []int32{id}, nil
	}
	return nil, nil
}

// row is a rendering that becomes tokens part by part.
type row struct {
	template *Template
	text     string
	guard    string
	ids      []int32
	mask     []bool

	// from is where the text was last cut between two parts that a token would
	// join, and whole are the ids of the text from there to at.
	from, at int
	whole    []int32
}

// extend appends the tokens of the text up to end.
func (r *row) extend(end int, train bool) error {
	if end == r.at {
		return nil
	}
	tok := r.template.tok
	whole := tok.EncodeRendered(r.text[r.from:end], r.guard)
	if len(whole) < len(r.whole) || !slices.Equal(whole[:len(r.whole)], r.whole) {
		if tok.Kind() != tokenizer.ByteLevelBPE {
			return errors.New("a token lies on both sides of the beginning or end of a turn, where this kind of vocabulary cannot be cut; take the white space off the message's ends")
		}
		r.from, r.whole = r.at, nil
		whole = tok.EncodeRendered(r.text[r.from:end], r.guard)
	}
	r.ids = append(r.ids, whole[len(r.whole):]...)
	for len(r.mask) < len(r.ids) {
		r.mask = append(r.mask, train)
	}
	r.whole, r.at = whole, end
	return nil
}
