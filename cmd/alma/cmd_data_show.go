package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// shownEntry is something of a file as a model will see it.
type shownEntry struct {
	Number  int     `json:"number"` // of the entry in the file, or of the row, from 1
	What    string  `json:"what"`
	Tokens  []int32 `json:"tokens"`
	Trained []bool  `json:"trained,omitempty"` // of dialogues
	Text    string  `json:"text"`
	Fits    int     `json:"fits"` // so many of the tokens are within the context
}

var shownKinds = []string{asDialogues, asPrompts, asRankings, asAnswers, asTexts, asShards}

func newDataShowCommand(c *call) *cobra.Command {
	var d dataSource
	var n, from int
	var rows string
	var bounds bool
	cmd := &cobra.Command{
		Use:   "show FILE --model DIR",
		Short: "Show data as tokens, with what is learned of it",
		Long: `Show the entries of a file as the model will see them: in its chat form, with the
special tokens, as far as they fit into the context.

  dialogues  the tokens that count in the loss stand out
  prompts    up to where the answer begins; dialogues serve as well
  rankings   each completion with its rank, and answers without
  texts      with what the tokenizer puts around them
  shards     documents of pretraining (shards/train of alma pretrain's folder)

On a terminal tokens that count are green, special ones dim, and what does not fit is
red. Elsewhere, or where NO_COLOR is set, what counts stands in ⟦…⟧ and what does not
fit in ✂…✂.

With --rows B×T it shows the first B rows of T tokens of the first epoch: of dialogues
packed as alma sft packs them with --seed, each a segment that sees no other; of shards
as alma pretrain reads them.`,
		Example: examples(
			"alma data show dialogues.jsonl --model base",
			"alma data show dialogues.jsonl --model base -n 1 --from 7 --tokens",
			"alma data show dialogues.jsonl --model base --rows 2x256",
			"alma data show rankings.jsonl --model model -n 5",
			"alma data show base/shards/train --model base --rows 1x64",
			"alma data show dialogues.jsonl --model base -n 0 --json"),
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if n < 0 || from < 1 {
				return artifact.Errorf(artifact.ErrUsage, "showing data: -n is %d and --from %d; want 0 (all) or more, and 1 or more", n, from)
			}
			tok, template, err := d.open(cmd, args[0], shownKinds...)
			if err != nil {
				return err
			}
			v := &dataView{call: c, tok: tok, template: template, source: d, bounds: bounds, seed: c.seed}
			fd := int(os.Stdout.Fd())
			v.color = term.IsTerminal(fd) && os.Getenv("TERM") != "dumb" && os.Getenv("NO_COLOR") == ""
			v.special = map[int32]bool{}
			for _, a := range tok.AddedTokens() {
				v.special[a.ID] = a.Special
			}
			if rows != "" {
				B, T, err := parseRows(rows)
				if err != nil {
					return err
				}
				return v.rows(B, T)
			}
			v.from, v.to = from, from+n
			if n == 0 {
				v.to = int(^uint(0) >> 1)
			}
			return v.entries()
		},
	}
	d.flags(cmd, shownKinds...)
	cmd.Flags().IntVarP(&n, "entries", "n", 3, "entries to show; 0: all")
	cmd.Flags().IntVar(&from, "from", 1, "number of the first")
	cmd.Flags().StringVar(&rows, "rows", "", "show packed rows, `B×T` (or BxT)")
	cmd.Flags().BoolVar(&bounds, "tokens", false, "show where tokens begin")
	c.seedFlag(cmd, "seed of the order of rows")
	c.jsonFlag(cmd)
	return cmd
}

// guessData tells what a file of data looks like by its name and first line.
func guessData(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("opening the data: %w", err)
	}
	if info.IsDir() {
		return asShards, nil
	}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".csv", ".tsv", ".tab", ".txt":
		return asTexts, nil
	}
	for keys, err := range artifact.ReadJSONL[map[string]json.RawMessage](path, 8<<20) {
		if err != nil {
			return "", artifact.Errorf(artifact.ErrUsage, "telling what %s holds by its first line: %w; say it with --as", path, err)
		}
		has := func(names ...string) bool {
			return slices.ContainsFunc(names, func(name string) bool { _, ok := keys[name]; return ok })
		}
		switch {
		case has("ranks", "chosen"):
			return asRankings, nil
		case has("completions", "completion"):
			return asAnswers, nil
		case has("messages"):
			var messages []chat.Message
			if err := json.Unmarshal(keys["messages"], &messages); err == nil && len(messages) > 0 && messages[len(messages)-1].Role == chat.User {
				return asPrompts, nil
			}
			return asDialogues, nil
		case has("prompt"):
			return asPrompts, nil
		}
		return asTexts, nil
	}
	return "", artifact.Errorf(artifact.ErrUsage, "looking at %s: the file is empty; give JSON Lines", path)
}

// parseRows reads "B×T".
func parseRows(text string) (B, T int, err error) {
	b, t, ok := strings.Cut(strings.ReplaceAll(text, "×", "x"), "x")
	if ok {
		if B, err = strconv.Atoi(b); err == nil {
			T, err = strconv.Atoi(t)
		}
	}
	if !ok || err != nil || B < 1 || T < 1 {
		return 0, 0, artifact.Errorf(artifact.ErrUsage, "reading --rows %q: want rows × tokens, as 2x256", text)
	}
	return B, T, nil
}

// dataView shows entries of a file.
type dataView struct {
	*call
	tok      *tokenizer.Tokenizer
	template *chat.Template
	source   dataSource
	special  map[int32]bool
	color    bool
	bounds   bool // between tokens are shown
	seed     uint64
	from, to int // numbers of the entries to show, [from, to)
}

// show writes an entry under its heading. Of its tokens the first limit fit.
func (v *dataView) show(number int, what string, ids []int32, trained []bool, limit int) error {
	fits := min(len(ids), limit)
	if v.json {
		text, err := v.tok.Decode(ids)
		if err != nil {
			return err
		}
		return v.printJSON(shownEntry{number, what, ids, trained, strings.ToValidUTF8(text, "\ufffd"), fits})
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
func (v *dataView) heading(what string) {
	if v.color {
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
func (v *dataView) paint(ids []int32, trained []bool, fits int) (string, error) {
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
		around := styles[v.color][style(i)]
		b.WriteString(around[0])
		var run []byte
		for at := i; at < end; at++ {
			piece, err := v.tok.Decode(ids[at : at+1])
			if at > 0 {
				piece, err = string(v.tok.TokenBytes(ids[at])), nil
			}
			if err != nil {
				return "", err
			}
			if v.bounds && at > 0 {
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
			b.WriteString(printable(string(r)))
		}
		text = text[n:]
	}
	return b.String()
}

// each calls use for the numbers of n entries that are to be shown.
func (v *dataView) each(n int, use func(i int) error) error {
	if v.from > n {
		return artifact.Errorf(artifact.ErrUsage, "showing %s: --from is %d, and there are %d", v.source.path, v.from, n)
	}
	for i := v.from - 1; i < min(n, v.to-1); i++ {
		if err := use(i); err != nil {
			return err
		}
	}
	return nil
}

// entries shows the entries of the file one by one.
func (v *dataView) entries() error {
	d := v.source
	switch d.as {
	case asDialogues:
		chats, err := dataset.ReadDialogues(d.path)
		if err != nil {
			return err
		}
		return v.each(len(chats), func(i int) error {
			ids, mask, err := v.template.RenderChat(chats[i].Messages, false)
			if err != nil {
				return artifact.Errorf(artifact.ErrUsage, "showing %s: dialogue %d: %w", d.path, i+1, err)
			}
			what := fmt.Sprintf("dialogue %d: %d tokens, %d count", i+1, len(ids), dataset.Example{Tokens: ids, Trained: mask}.Learned())
			if len(ids) > d.context {
				what += fmt.Sprintf("; more than %d: left out", d.context)
			}
			return v.show(i+1, what, ids, mask, d.context)
		})
	case asPrompts:
		asked, err := dataset.ReadAsked(d.path)
		if err != nil {
			return err
		}
		return v.each(len(asked), func(i int) error {
			ids, err := v.template.RenderPrompt(asked[i].Prompt.Messages, asked[i].Prompt.Prefill)
			if err != nil {
				return artifact.Errorf(artifact.ErrUsage, "showing %s: prompt %d: %w", d.path, i+1, err)
			}
			what := fmt.Sprintf("prompt %d: %d tokens, which leave %d for an answer", i+1, len(ids), max(0, d.context-len(ids)))
			return v.show(i+1, what, ids, nil, d.context)
		})
	case asRankings:
		rankings, err := dataset.ReadRankings(d.path)
		if err != nil {
			return err
		}
		return v.each(len(rankings), func(i int) error {
			r := rankings[i]
			what := fmt.Sprintf("ranking %d: %d completions, %d pairs", i+1, len(r.Completions), len(dataset.Pairs(r.Ranks)))
			if r.Annotator != "" {
				what += ", by " + printable(r.Annotator)
			}
			return v.completions(i, what, dataset.Answers{Prompt: r.Prompt, Completions: r.Completions, Ended: r.Ended}, r.Ranks)
		})
	case asAnswers:
		answers, err := dataset.ReadAnswers(d.path)
		if err != nil {
			return err
		}
		return v.each(len(answers), func(i int) error {
			return v.completions(i, fmt.Sprintf("prompt %d: %d answers", i+1, len(answers[i].Completions)), answers[i], nil)
		})
	case asTexts:
		d.texts.Labels = d.texts.LabelColumn != ""
		texts, err := dataset.ReadTexts(d.path, d.texts)
		if err != nil {
			return err
		}
		return v.each(len(texts), func(i int) error {
			t := texts[i]
			ids := v.tok.Wrap(v.tok.Encode(t.Text))
			what := fmt.Sprintf("text %d (line %d): %d tokens", i+1, t.Line, len(ids))
			if t.Label != "" {
				what += ", label " + printable(t.Label)
			}
			kept, cut, err := dataset.EncodeText(v.tok, t.Text, d.context)
			if err != nil {
				return artifact.Errorf(artifact.ErrUsage, "showing %s:%d: %w", d.path, t.Line, err)
			}
			if cut { // what stands around the text stays
				around, _ := v.tok.WrapSize()
				left := v.tok.Encode(t.Text)[d.context-around:]
				return v.show(i+1, what+fmt.Sprintf("; cut at %d", d.context), slices.Concat(kept, left), nil, len(kept))
			}
			return v.show(i+1, what, ids, nil, d.context)
		})
	}
	shards, err := dataset.OpenShards(d.path)
	if err != nil {
		return err
	}
	defer shards.Close()
	if err := v.checkShards(shards); err != nil {
		return err
	}
	return v.each(shards.Documents(), func(i int) error {
		start, length := shards.Document(i)
		ids := make([]int32, length)
		if err := shards.Read(ids, start); err != nil {
			return err
		}
		return v.show(i+1, fmt.Sprintf("document %d: %d tokens", i+1, length), ids, nil, len(ids))
	})
}

// checkShards refuses shards of another vocabulary.
func (v *dataView) checkShards(shards *dataset.Shards) error {
	if shards.Info.VocabSize != v.tok.VocabSize() {
		return artifact.Errorf(artifact.ErrUsage, "showing %s: its tokens are of a vocabulary of %d, and the model's has %d; give the model that they were made for", v.source.path, shards.Info.VocabSize, v.tok.VocabSize())
	}
	return nil
}

// completions shows a prompt with its completions; ranks may be nil.
func (v *dataView) completions(i int, what string, a dataset.Answers, ranks []int) error {
	prompt, err := v.template.RenderPrompt(a.Prompt.Messages, a.Prompt.Prefill)
	if err != nil {
		return artifact.Errorf(artifact.ErrUsage, "showing %s: %s: %w", v.source.path, what, err)
	}
	if err := v.show(i+1, what, prompt, nil, v.source.context); err != nil {
		return err
	}
	for k, text := range a.Completions {
		ids, err := v.template.RenderAnswer(a.Prompt.Messages, a.Prompt.Prefill, text, a.EndedAt(k))
		if err != nil {
			return artifact.Errorf(artifact.ErrUsage, "showing %s: %s, completion %d: %w", v.source.path, what, k+1, err)
		}
		title := fmt.Sprintf("  %d", k+1)
		if ranks != nil {
			title += fmt.Sprintf(", rank %d", ranks[k])
		}
		title += fmt.Sprintf(": %d tokens, %d with the prompt", len(ids)-len(prompt), len(ids))
		if !a.EndedAt(k) {
			title += ", cut off"
		}
		if err := v.show(i+1, title, ids[len(prompt):], nil, max(0, v.source.context-len(prompt))); err != nil {
			return err
		}
	}
	return nil
}

// rows shows the first B rows of T tokens of the first epoch.
func (v *dataView) rows(B, T int) error {
	switch v.source.as {
	case asShards:
		return v.textRows(B, T)
	case asDialogues:
		return v.packedRows(B, T)
	}
	return artifact.Errorf(artifact.ErrUsage, "showing %s in rows: it holds %s, and dialogues and token shards are packed into rows; leave --rows out", v.source.path, v.source.as)
}

func (v *dataView) packedRows(B, T int) error {
	chats, err := dataset.ReadDialogues(v.source.path)
	if err != nil {
		return err
	}
	examples, dropped, err := dataset.Tokenize(v.template, chats, T)
	if err != nil {
		return artifact.Errorf(artifact.ErrUsage, "showing %s: %w", v.source.path, err)
	}
	var numbers []int // of each example, in the file
	for i := range chats {
		if _, found := slices.BinarySearch(dropped, i); !found {
			numbers = append(numbers, i+1)
		}
	}
	rows, err := dataset.PackEpoch(dataset.Lengths(examples), T, v.seed, 0)
	if err != nil {
		return err
	}
	if !v.json {
		v.printf("%d dialogues in %d rows of %d; %d do not fit\n\n", len(examples), len(rows), T, len(dropped))
	}
	for r, row := range rows[:min(B, len(rows))] {
		used := 0
		for segment, x := range row {
			e := examples[x]
			what := fmt.Sprintf("row %d, segment %d, positions %d to %d: dialogue %d, %d tokens, %d count", r+1, segment, used, used+len(e.Tokens)-1, numbers[x], len(e.Tokens), e.Learned())
			if err := v.show(r+1, what, e.Tokens, e.Trained, T); err != nil {
				return err
			}
			used += len(e.Tokens)
		}
		if !v.json && used < T {
			v.heading(fmt.Sprintf("row %d: %d positions of padding", r+1, T-used))
			v.printf("\n")
		}
	}
	return nil
}

func (v *dataView) textRows(B, T int) error {
	shards, err := dataset.OpenShards(v.source.path)
	if err != nil {
		return err
	}
	defer shards.Close()
	if err := v.checkShards(shards); err != nil {
		return err
	}
	stream, err := dataset.NewStream(shards, dataset.StreamOptions{T: T, Seed: v.seed, Shuffle: true})
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
