// Package show prints data as a model sees it: tokens, with those that count in the
// loss, special ones and what does not fit standing out.
//
//	v := show.View{Out: os.Stdout, Path: "dialogues.jsonl", Kind: dataset.Dialogues, Tokenizer: tok, Template: template, Context: 256}
//	err := v.Entries(1, 3)
//
// It reads and prints, and decides nothing: the stages read the same files by the same
// functions of package dataset.
package show

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// View shows a file, or a folder of shards.
type View struct {
	Out       io.Writer
	Path      string
	Kind      dataset.Kind
	Reading   dataset.TextOptions
	Tokenizer *tokenizer.Tokenizer
	Template  *chat.Template // nil for texts and shards
	Context   int            // tokens that an entry may have

	JSON   bool // write entries as JSON lines
	Color  bool // tell tokens apart by colour, else by marks
	Bounds bool // show where tokens begin
	Seed   uint64

	// Found is what the file held, once it is shown; nil for shards.
	Found *dataset.Account

	special map[int32]bool
	from    int // number of the first entry to show, from 1
	to      int // number behind the last
}

// shown is an entry, or a part of one, as JSON.
type shown struct {
	Number  int     `json:"number"` // of the entry in the file, or of the row, from 1
	What    string  `json:"what"`
	Tokens  []int32 `json:"tokens"`
	Trained []bool  `json:"trained,omitempty"` // of dialogues
	Text    string  `json:"text"`
	Fits    int     `json:"fits"` // so many of the tokens are within the context
}

// Entries shows n entries from number first on; 0 shows all.
func (v *View) Entries(first, n int) error {
	v.begin()
	v.from, v.to = first, first+n
	if n == 0 {
		v.to = int(^uint(0) >> 1)
	}
	return v.entries()
}

// Rows shows the first B rows of T tokens of the first epoch, of dialogues or shards.
func (v *View) Rows(B, T int) error {
	v.begin()
	switch v.Kind {
	case dataset.ShardsKind:
		return v.textRows(B, T)
	case dataset.Dialogues:
		return v.packedRows(B, T)
	}
	return artifact.Errorf(artifact.ErrUsage, "showing %s in rows: it holds %s, and dialogues and token shards are packed into rows; leave --rows out", v.Path, v.Kind)
}

func (v *View) begin() {
	v.special = map[int32]bool{}
	for _, a := range v.Tokenizer.AddedTokens() {
		v.special[a.ID] = a.Special
	}
}

func (v *View) printf(format string, args ...any) { fmt.Fprintf(v.Out, format, args...) }

// show writes an entry under its heading. Of its tokens the first limit fit.
func (v *View) show(number int, what string, ids []int32, trained []bool, limit int) error {
	fits := min(len(ids), limit)
	if v.JSON {
		text, err := v.Tokenizer.Decode(ids)
		if err != nil {
			return err
		}
		e := json.NewEncoder(v.Out)
		e.SetEscapeHTML(false)
		return e.Encode(shown{number, what, ids, trained, strings.ToValidUTF8(text, "\ufffd"), fits})
	}
	v.heading(what)
	if fits < len(ids) {
		v.printf("   (%d tokens of %d fit)\n", fits, len(ids))
	}
	text, err := v.paint(ids, trained, fits)
	if err != nil {
		return err
	}
	v.printf("%s\n\n", text)
	return nil
}

// heading writes a line above an entry.
func (v *View) heading(what string) {
	if v.Color {
		v.printf("\x1b[1m── %s\x1b[0m\n", what)
	} else {
		v.printf("── %s\n", what)
	}
}

// Styles of tokens, in the order of their importance.
const (
	plain = iota
	special
	learned
	beyond
)

// styles are how each begins and ends, in color and in marks.
var styles = map[bool][4][2]string{
	true:  {{"", ""}, {"\x1b[2m", "\x1b[0m"}, {"\x1b[32m", "\x1b[0m"}, {"\x1b[31m", "\x1b[0m"}},
	false: {{"", ""}, {"", ""}, {"⟦", "⟧"}, {"✂", "✂"}},
}

// paint writes tokens in the style of each.
func (v *View) paint(ids []int32, trained []bool, fits int) (string, error) {
	var b strings.Builder
	style := func(i int) int {
		switch {
		case i >= fits:
			return beyond
		case trained != nil && trained[i]:
			return learned
		case v.special[ids[i]]:
			return special
		}
		return plain
	}
	for i := 0; i < len(ids); {
		end := i + 1
		for end < len(ids) && style(end) == style(i) {
			end++
		}
		around := styles[v.Color][style(i)]
		b.WriteString(around[0])
		var run []byte
		for at := i; at < end; at++ {
			piece, err := v.Tokenizer.Decode(ids[at : at+1])
			if at > 0 {
				piece, err = string(v.Tokenizer.TokenBytes(ids[at])), nil
			}
			if err != nil {
				return "", err
			}
			if v.Bounds && at > 0 {
				// A character may be of several tokens: what is there is shown.
				b.WriteString(visible(run))
				run = nil
				b.WriteString("·")
			}
			run = append(run, piece...)
		}
		b.WriteString(visible(run))
		b.WriteString(around[1])
		i = end
	}
	return b.String(), nil
}

// visible is text with what is no character, or would command a terminal, written out.
func visible(text []byte) string {
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, `\x%02x`, text[0])
		} else {
			b.WriteString(progress.Printable(string(r)))
		}
		text = text[n:]
	}
	return b.String()
}

// each says what the file held, nil for shards, and calls use for the numbers of n
// entries that are to be shown.
func (v *View) each(a *dataset.Account, n int, use func(i int) error) error {
	if v.Found = a; a != nil && !v.JSON {
		v.printf("%v\n\n", a)
	}
	if v.from > n {
		return artifact.Errorf(artifact.ErrUsage, "showing %s: --from is %d, and there are %d", v.Path, v.from, n)
	}
	for i := v.from - 1; i < min(n, v.to-1); i++ {
		if err := use(i); err != nil {
			return err
		}
	}
	return nil
}

// entries shows the entries of the file one by one.
func (v *View) entries() error {
	switch v.Kind {
	case dataset.Dialogues:
		f, err := dataset.ReadDialogues(v.Path, v.Reading.Reading)
		if err != nil {
			return err
		}
		return v.each(f.Account, len(f.Rows), func(i int) error {
			e, err := dataset.ExampleOf(v.Template, f.Rows[i])
			if err != nil {
				return v.refused(f.Lines[i], err)
			}
			what := fmt.Sprintf("dialogue %d: %d tokens, %d count", i+1, len(e.Tokens), e.Learned())
			if len(e.Tokens) > v.Context {
				what += fmt.Sprintf("; more than %d: left out", v.Context)
			}
			return v.show(i+1, what, e.Tokens, e.Trained, v.Context)
		})
	case dataset.Prompts:
		f, err := dataset.ReadAsked(v.Path, v.Reading.Reading)
		if err != nil {
			return err
		}
		return v.each(f.Account, len(f.Rows), func(i int) error {
			ids, err := f.Rows[i].Prompt.Render(v.Template)
			if err != nil {
				return v.refused(f.Lines[i], err)
			}
			what := fmt.Sprintf("prompt %d: %d tokens, which leave %d for an answer", i+1, len(ids), max(0, v.Context-len(ids)))
			return v.show(i+1, what, ids, nil, v.Context)
		})
	case dataset.RankingKind:
		f, err := dataset.ReadRankings(v.Path, v.Reading.Reading)
		if err != nil {
			return err
		}
		return v.each(f.Account, len(f.Rows), func(i int) error {
			r := f.Rows[i]
			what := fmt.Sprintf("ranking %d: %d completions, %d pairs", i+1, len(r.Completions), len(dataset.Pairs(r.Ranks)))
			if r.Annotator != "" {
				what += ", by " + progress.Printable(r.Annotator)
			}
			return v.completions(i, f.Lines[i], what, dataset.Answers{Prompt: r.Prompt, Completions: r.Completions, Ended: r.Ended}, r.Ranks)
		})
	case dataset.AnswerKind:
		f, err := dataset.ReadAnswers(v.Path, v.Reading.Reading)
		if err != nil {
			return err
		}
		return v.each(f.Account, len(f.Rows), func(i int) error {
			return v.completions(i, f.Lines[i], fmt.Sprintf("prompt %d: %d answers", i+1, len(f.Rows[i].Completions)), f.Rows[i], nil)
		})
	case dataset.Texts:
		v.Reading.Labels = v.Reading.LabelColumn != ""
		f, err := dataset.ReadTexts(v.Path, v.Reading)
		if err != nil {
			return err
		}
		return v.each(f.Account, len(f.Rows), func(i int) error { return v.text(i, f.Rows[i]) })
	}
	shards, err := v.openShards()
	if err != nil {
		return err
	}
	defer shards.Close()
	return v.each(nil, shards.Documents(), func(i int) error {
		start, length := shards.Document(i)
		ids := make([]int32, length)
		if err := shards.Read(ids, start); err != nil {
			return err
		}
		return v.show(i+1, fmt.Sprintf("document %d: %d tokens", i+1, length), ids, nil, len(ids))
	})
}

// refused takes a row out that the template or the tokenizer refuses: it is a bad one
// and shown as that, or ends the showing.
func (v *View) refused(line int, err error) error {
	if stop := v.Found.Reject(line, err); stop != nil || v.JSON {
		return stop
	}
	v.heading(fmt.Sprintf("line %d: left out", line))
	v.printf("%s\n\n", progress.Printable(err.Error()))
	return nil
}

func (v *View) text(i int, t dataset.Text) error {
	ids := v.Tokenizer.Wrap(v.Tokenizer.Encode(t.Text))
	what := fmt.Sprintf("text %d (line %d): %d tokens", i+1, t.Line, len(ids))
	if labels := t.Given(); len(labels) > 0 && labels[0] != "" {
		what += ", label " + progress.Printable(strings.Join(labels, ", "))
	}
	kept, cut, err := dataset.EncodeText(v.Tokenizer, t.Text, v.Context)
	if err != nil {
		return v.refused(t.Line, err)
	}
	if !cut {
		return v.show(i+1, what, ids, nil, v.Context)
	}
	// What stands around the text stays.
	around, _ := v.Tokenizer.WrapSize()
	left := v.Tokenizer.Encode(t.Text)[v.Context-around:]
	return v.show(i+1, what+fmt.Sprintf("; cut at %d", v.Context), slices.Concat(kept, left), nil, len(kept))
}

// openShards opens shards of the model's vocabulary.
func (v *View) openShards() (*dataset.Shards, error) {
	shards, err := dataset.OpenShards(dataset.TextShards(v.Path))
	if err != nil {
		return nil, err
	}
	if shards.Info.VocabSize != v.Tokenizer.VocabSize() {
		shards.Close()
		return nil, artifact.Errorf(artifact.ErrUsage, "showing %s: its tokens are of a vocabulary of %d, and the model's has %d; give the model that they were made for", v.Path, shards.Info.VocabSize, v.Tokenizer.VocabSize())
	}
	return shards, nil
}

// completions shows a prompt with its completions; ranks may be nil.
func (v *View) completions(i, line int, what string, a dataset.Answers, ranks []int) error {
	prompt, err := a.Prompt.Render(v.Template)
	if err != nil {
		return v.refused(line, err)
	}
	if err := v.show(i+1, what, prompt, nil, v.Context); err != nil {
		return err
	}
	for k, text := range a.Completions {
		ids, err := a.Prompt.RenderAnswer(v.Template, text, a.EndedAt(k))
		if err != nil {
			return v.refused(line, err)
		}
		title := fmt.Sprintf("  %d", k+1)
		if ranks != nil {
			title += fmt.Sprintf(", rank %d", ranks[k])
		}
		title += fmt.Sprintf(": %d tokens, %d with the prompt", len(ids)-len(prompt), len(ids))
		if !a.EndedAt(k) {
			title += ", cut off"
		}
		if err := v.show(i+1, title, ids[len(prompt):], nil, max(0, v.Context-len(prompt))); err != nil {
			return err
		}
	}
	return nil
}

func (v *View) packedRows(B, T int) error {
	f, err := dataset.ReadDialogues(v.Path, v.Reading.Reading)
	if err != nil {
		return err
	}
	examples, lines, long, err := dataset.Tokenize(v.Template, f, T)
	v.Found = f.Account
	if err != nil {
		return err
	}
	rows, err := dataset.PackEpoch(dataset.Lengths(examples), T, v.Seed, 0)
	if err != nil {
		return err
	}
	if !v.JSON {
		v.printf("%d dialogues in %d rows of %d; %d do not fit\n\n", len(examples), len(rows), T, len(long))
	}
	for r, row := range rows[:min(B, len(rows))] {
		used := 0
		for segment, x := range row {
			e := examples[x]
			what := fmt.Sprintf("row %d, segment %d, positions %d to %d: dialogue on line %d, %d tokens, %d count", r+1, segment, used, used+len(e.Tokens)-1, lines[x], len(e.Tokens), e.Learned())
			if err := v.show(r+1, what, e.Tokens, e.Trained, T); err != nil {
				return err
			}
			used += len(e.Tokens)
		}
		if !v.JSON && used < T {
			v.heading(fmt.Sprintf("row %d: %d positions of padding", r+1, T-used))
			v.printf("\n")
		}
	}
	return nil
}

func (v *View) textRows(B, T int) error {
	shards, err := v.openShards()
	if err != nil {
		return err
	}
	defer shards.Close()
	stream, err := dataset.NewStream(shards, dataset.StreamOptions{T: T, Seed: v.Seed, Shuffle: true})
	if err != nil {
		return err
	}
	inputs, targets := make([]int32, T), make([]int32, T)
	for r := range min(B, stream.RowsPerEpoch()) {
		if err := stream.Row(uint64(r), inputs, targets); err != nil {
			return err
		}
		// A document ends with its end token; the next begins in the same row.
		part, start := 1, 0
		for i := range inputs {
			if inputs[i] != shards.Info.EndToken && i+1 < T {
				continue
			}
			what := fmt.Sprintf("row %d, positions %d to %d", r+1, start, i)
			if part > 1 {
				what += ": the next document"
			}
			if err := v.show(r+1, what, slices.Clone(inputs[start:i+1]), nil, T); err != nil {
				return err
			}
			part, start = part+1, i+1
		}
	}
	return nil
}
