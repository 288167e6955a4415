package dataset

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// A CheckReport says what a stage would make of a file: what it keeps, what it
// leaves out and why, and how long it is in tokens. The entries are dialogues,
// prompts, rankings or texts.
type CheckReport struct {
	As      string `json:"as"`    // what the entries were read as
	Limit   int    `json:"limit"` // tokens that an entry may have
	Entries int    `json:"entries"`
	Kept    int    `json:"kept"`
	Dropped []Drop `json:"dropped,omitempty"`
	// Repeated counts the entries that are there before; they are kept.
	Repeated int `json:"repeated"`
	// Tokens are those of the kept entries, of rankings of all completions with
	// their prompts.
	Tokens int64 `json:"tokens"`
	// Learned are the tokens of dialogues that count in the loss, and Pairs those
	// of rankings.
	Learned int64 `json:"learned,omitempty"`
	Pairs   int   `json:"pairs,omitempty"`
	// Cut counts texts that are kept without their end.
	Cut int `json:"cut,omitempty"`
	// Lengths are of all entries, kept or not; of rankings, of all completions with
	// their prompts.
	Lengths LengthReport `json:"lengths"`
	// Labels count the kept texts of each label.
	Labels map[string]int `json:"labels,omitempty"`
	// Read says how the file holds its entries, and Bad which of its rows are none.
	Read string              `json:"read"`
	Rows int                 `json:"rows"`
	Bad  []artifact.Rejected `json:"bad,omitempty"`
	// Annotators are those that the rankings name, in order.
	Annotators []string `json:"annotators,omitempty"`
}

// Drop counts entries that are left out for a reason.
type Drop struct {
	Reason string `json:"reason"`
	N      int    `json:"n"`
	First  int    `json:"first"` // the first of them, counted from 1
}

// LengthReport is how many tokens entries have.
type LengthReport struct {
	Median    int `json:"median"`
	P90       int `json:"p90"` // at most so many in 90 % of them
	P99       int `json:"p99"`
	Longest   int `json:"longest"`
	LongestAt int `json:"longest_at"` // its entry, counted from 1
}

// checker counts the entries of a file.
type checker struct {
	report  CheckReport
	lengths []int
	seen    map[string]bool

	unusable int // entries that turned out to be bad rows
}

func newChecker(as string, limit, entries int) *checker {
	return &checker{report: CheckReport{As: as, Limit: limit, Entries: entries}, seen: map[string]bool{}}
}

// length notes the tokens of something of entry i.
func (c *checker) length(i, n int) {
	c.lengths = append(c.lengths, n)
	if l := &c.report.Lengths; n > l.Longest {
		l.Longest, l.LongestAt = n, i+1
	}
}

// repeats notes the content of an entry.
func (c *checker) repeats(content string) {
	if c.seen[content] {
		c.report.Repeated++
	}
	c.seen[content] = true
}

// drop leaves entry i out.
func (c *checker) drop(i int, reason string) {
	for d := range c.report.Dropped {
		if c.report.Dropped[d].Reason == reason {
			c.report.Dropped[d].N++
			return
		}
	}
	c.report.Dropped = append(c.report.Dropped, Drop{reason, 1, i + 1})
}

// done completes the report of a file.
func (c *checker) done(a *Account) CheckReport {
	c.report.Read, c.report.Rows, c.report.Bad = a.String(), a.Total, a.Rejected
	c.report.Entries -= c.unusable
	if n := len(c.lengths); n > 0 {
		slices.Sort(c.lengths)
		at := func(percent int) int { return c.lengths[max(0, (n*percent+99)/100-1)] }
		c.report.Lengths.Median, c.report.Lengths.P90, c.report.Lengths.P99 = at(50), at(90), at(99)
	}
	return c.report
}

func tooLongFor(limit int) string { return fmt.Sprintf("more than %d tokens", limit) }

// contentOf writes messages so that equal ones are equal texts.
func contentOf(messages []chat.Message, more ...string) string {
	var b strings.Builder
	for _, m := range messages {
		fmt.Fprintf(&b, "%#v\n", m)
	}
	fmt.Fprintf(&b, "%q", more)
	return b.String()
}

// CheckDialogues reads a file as fine-tuning reads it: dialogues of more than limit
// tokens are left out.
func CheckDialogues(template *chat.Template, path string, how Reading, limit int) (CheckReport, error) {
	f, err := ReadDialogues(path, how)
	if err != nil {
		return CheckReport{}, err
	}
	c := newChecker("dialogues", limit, len(f.Rows))
	err = f.Keep(func(i int, d chat.Dialogue) error {
		e, err := ExampleOf(template, d)
		if err != nil {
			c.unusable++
			return err
		}
		c.length(i, len(e.Tokens))
		c.repeats(contentOf(d.Messages, d.Text, string(d.Tools)))
		if len(e.Tokens) > limit {
			c.drop(i, tooLongFor(limit))
			return nil
		}
		c.report.Kept++
		c.report.Tokens += int64(len(e.Tokens))
		c.report.Learned += int64(e.Learned())
		return nil
	})
	return c.done(f.Account), err
}

// CheckPrompts reads a file of prompts, or of dialogues for their prompts, as
// sampling and PPO read it: those that leave no room for an answer of room tokens
// within limit are left out.
func CheckPrompts(template *chat.Template, path string, how Reading, limit, room int) (CheckReport, error) {
	f, err := ReadAsked(path, how)
	if err != nil {
		return CheckReport{}, err
	}
	c := newChecker("prompts", limit-room, len(f.Rows))
	err = f.Keep(func(i int, a Asked) error {
		ids, err := a.Prompt.Render(template)
		if err != nil {
			c.unusable++
			return err
		}
		c.length(i, len(ids))
		c.repeats(contentOf(a.Prompt.Messages, a.Prompt.Prefill))
		if len(ids) > limit-room {
			c.drop(i, fmt.Sprintf("more than %d tokens, which leaves no room for an answer of %d in %d", limit-room, room, limit))
			return nil
		}
		c.report.Kept++
		c.report.Tokens += int64(len(ids))
		return nil
	})
	return c.done(f.Account), err
}

// CheckRankings reads a file of rankings or pairs as reward modelling reads it: left
// out are rankings that only tie, that have a completion of more than limit tokens,
// prompt included, or whose completions do not all fit into rows packed rows of limit
// tokens.
func CheckRankings(template *chat.Template, path string, how Reading, rows, limit int) (CheckReport, error) {
	f, err := ReadRankings(path, how)
	if err != nil {
		return CheckReport{}, err
	}
	c := newChecker("rankings", limit, len(f.Rows))
	err = f.Keep(func(i int, ranking Ranking) error {
		texts := make([][]int32, len(ranking.Completions))
		for k, completion := range ranking.Completions {
			if texts[k], err = ranking.Prompt.RenderAnswer(template, completion, ranking.EndedAt(k)); err != nil {
				c.unusable++
				return err
			}
		}
		for _, t := range texts {
			c.length(i, len(t))
		}
		c.repeats(contentOf(ranking.Prompt.Messages, append([]string{ranking.Prompt.Prefill, fmt.Sprint(ranking.Ranks)}, ranking.Completions...)...))
		if a := ranking.Annotator; a != "" && !slices.Contains(c.report.Annotators, a) {
			c.report.Annotators = append(c.report.Annotators, a)
		}
		pairs := Pairs(ranking.Ranks)
		switch {
		case len(pairs) == 0:
			c.drop(i, "all completions tie")
			return nil
		case slices.ContainsFunc(texts, func(t []int32) bool { return len(t) > limit }):
			c.drop(i, "a completion with "+tooLongFor(limit))
			return nil
		case !FitTogether(texts, rows, limit):
			c.drop(i, fmt.Sprintf("completions that do not fit into %d rows of %d tokens together", rows, limit))
			return nil
		}
		c.report.Kept++
		c.report.Pairs += len(pairs)
		for _, t := range texts {
			c.report.Tokens += int64(len(t))
		}
		return nil
	})
	slices.Sort(c.report.Annotators)
	return c.done(f.Account), err
}

// FitTogether tells whether texts go into so many packed rows of length tokens.
func FitTogether(texts [][]int32, rows, length int) bool {
	lengths := make([]int, len(texts))
	for i, t := range texts {
		lengths[i] = len(t)
	}
	packed, err := Pack(lengths, length) // fails for a text that is too long alone
	return err == nil && len(packed) <= rows
}

// CheckTexts reads a file of texts as classification reads it: what is longer than
// limit tokens is cut at its end.
func CheckTexts(t *tokenizer.Tokenizer, path string, o TextOptions, limit int) (CheckReport, error) {
	f, err := ReadTexts(path, o)
	if err != nil {
		return CheckReport{}, err
	}
	c := newChecker("texts", limit, len(f.Rows))
	if o.Labels {
		c.report.Labels = map[string]int{}
	}
	around, _ := t.WrapSize()
	err = f.Keep(func(i int, text Text) error {
		ids, cut, err := EncodeText(t, text.Text, limit)
		if err != nil {
			c.unusable++
			return err
		}
		c.length(i, around+len(t.Encode(text.Text)))
		c.repeats(contentOf(nil, append([]string{text.Text}, text.Given()...)...))
		if cut {
			c.report.Cut++
		}
		c.report.Kept++
		c.report.Tokens += int64(len(ids))
		if o.Labels {
			for _, label := range text.Given() {
				c.report.Labels[label]++
			}
		}
		return nil
	})
	return c.done(f.Account), err
}
