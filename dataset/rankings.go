package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/rows"
)

// A Ranking is several completions of one prompt, put in order by an annotator.
type Ranking struct {
	Prompt Prompt
	// Completions [K], K ≥ 2, are what was written after the prefill.
	Completions []string
	// Ranks [K] lie in 1..K, 1 the best. Equal ranks are a tie.
	Ranks []int
	// Ended [K] says which completions the writer ended itself rather than
	// being cut off; nil: all of them.
	Ended []bool
	// Annotator says who ranked them, or "".
	Annotator string
}

// EndedAt tells whether completion k was ended by its writer.
func (r Ranking) EndedAt(k int) bool { return r.Ended == nil || r.Ended[k] }

// Check says what is wrong with a ranking.
func (r Ranking) Check() error {
	if err := r.Prompt.Check(); err != nil {
		return err
	}
	k := len(r.Completions)
	switch {
	case k == 0:
		return errors.New(`no "completions"; a ranking is {"prompt":"…","completions":["…","…"],"ranks":[1,2]}`)
	case k == 1:
		return errors.New("one completion only: there is nothing to rank; give at least two or leave the prompt out")
	case len(r.Ranks) != k:
		return fmt.Errorf("%d completions and %d ranks; give one rank for each", k, len(r.Ranks))
	case r.Ended != nil && len(r.Ended) != k:
		return fmt.Errorf(`%d completions and %d entries of "ended"; give one for each, or leave it out`, k, len(r.Ended))
	}
	first := map[string]int{}
	for i, text := range r.Completions {
		if rank := r.Ranks[i]; rank < 1 || rank > k {
			return fmt.Errorf("rank %d of completion %d lies outside 1 to %d", rank, i, k)
		}
		if text == "" && r.Prompt.Prefill == "" {
			return fmt.Errorf("completion %d is empty", i)
		}
		if !utf8.ValidString(text) {
			return fmt.Errorf("completion %d is not UTF-8, which JSON cannot hold; replace the bad bytes", i)
		}
		if j, ok := first[text]; ok && r.Ranks[j] != r.Ranks[i] {
			return fmt.Errorf("completions %d and %d are the same text with ranks %d and %d; give them one rank", j, i, r.Ranks[j], r.Ranks[i])
		} else if !ok {
			first[text] = i
		}
	}
	return nil
}

// Pairs lists the pairs (winner, loser) of a ranking by index: all i, j with
// ranks[i] < ranks[j], by i and then j. Ties are no pairs.
func Pairs(ranks []int) [][2]int {
	var pairs [][2]int
	for i := range ranks {
		for j := range ranks {
			if ranks[i] < ranks[j] {
				pairs = append(pairs, [2]int{i, j})
			}
		}
	}
	return pairs
}

// rankingLine is a line of a rankings file that is written.
type rankingLine struct {
	Prompt      turns     `json:"prompt"`
	Prefill     string    `json:"prefill,omitempty"`
	Tools       chat.JSON `json:"tools,omitempty"`
	Completions []string  `json:"completions"`
	Ranks       []int     `json:"ranks"`
	Ended       []bool    `json:"ended,omitempty"`
	Annotator   string    `json:"annotator,omitempty"`
}

// ReadRankings reads a file of rankings and pairs in any of the shapes that
// docs/formats/rankings.md draws. A pair of equal texts is a tie.
func ReadRankings(path string, how Reading) (*File[Ranking], error) {
	return readRows("rankings", path, how, func(row rows.Row) ([]Ranking, string, error) {
		r, shape, err := readRanking(fields{row})
		if err != nil {
			return nil, "", err
		}
		return []Ranking{r}, shape, r.Check()
	})
}

func readRanking(f fields) (r Ranking, shape string, err error) {
	pair := f.any("chosen", "rejected") != ""
	switch {
	case pair && (!f.Has("chosen") || !f.Has("rejected")):
		return r, "", errors.New(`a pair needs both "chosen" and "rejected"`)
	case pair && f.any("completions", "ranks") != "":
		return r, "", errors.New(`both a pair ("chosen", "rejected") and a ranking ("completions", "ranks"); give one of them`)
	case pair:
		return readPair(f)
	}
	if r.Prompt, err = f.prompt("prompt", "instruction", "question", "query"); err != nil {
		return r, "", err
	}
	if !f.Has("completions") {
		if f.Has("completion") && f.Has("label") {
			return r, "", f.unknown(`single answers that are good or bad ("completion", "label"), and no pairs to compare`)
		}
		return r, "", f.unknown(`no "completions"; a ranking is {"prompt":"…","completions":["…","…"],"ranks":[1,2]}`)
	}
	var scores []float64
	if r.Completions, scores, shape, err = readScored(f); err != nil {
		return r, "", err
	}
	if f.Has("ranks") {
		ranks, err := listOf[float64](f, "ranks", "an array of whole numbers")
		if err != nil {
			return r, "", err
		}
		for _, rank := range ranks {
			if rank != math.Trunc(rank) {
				return r, "", fmt.Errorf("rank %g is no whole number", rank)
			}
			r.Ranks = append(r.Ranks, int(rank))
		}
	}
	if f.Has("ended") {
		if r.Ended, err = listOf[bool](f, "ended", "an array of true and false"); err != nil {
			return r, "", err
		}
	}
	if f.isText("annotator") {
		if r.Annotator, err = f.text("annotator"); err != nil {
			return r, "", err
		}
	}
	if r.Ranks == nil && scores != nil {
		r.Ranks = ranksOf(scores)
	}
	return r, shape, nil
}

// ranksOf ranks scores, the highest first; equal scores tie.
func ranksOf(scores []float64) []int {
	ranks := make([]int, len(scores))
	for i, s := range scores {
		ranks[i] = 1
		for _, other := range scores {
			if other > s {
				ranks[i]++
			}
		}
	}
	return ranks
}

// readScored reads the completions of a row: strings, with scores or ratings beside
// them where they have no ranks, or objects with a text and its score each, as
// UltraFeedback has them.
func readScored(f fields) (completions []string, scores []float64, shape string, err error) {
	var list []json.RawMessage
	if err := f.list("completions", &list, "an array"); err != nil {
		return nil, nil, "", err
	}
	if key := f.any("scores", "ratings", "rewards"); key != "" {
		if scores, err = listOf[float64](f, key, "an array of numbers"); err != nil {
			return nil, nil, "", err
		}
		if len(scores) != len(list) {
			return nil, nil, "", fmt.Errorf("%d completions and %d %s; give one for each", len(list), len(scores), key)
		}
	}
	if shape = "completions"; scores != nil {
		shape = "completions with scores"
	}
	for i, item := range list {
		var object map[string]json.RawMessage
		if len(item) > 0 && item[0] != '{' {
			text, err := contentText("completions", item)
			if err != nil {
				return nil, nil, "", fmt.Errorf("completion %d: %w", i, err)
			}
			completions = append(completions, text)
			continue
		}
		if err := json.Unmarshal(item, &object); err != nil {
			return nil, nil, "", fmt.Errorf("completion %d: %w", i, notA("completions element", item, "a string or an object"))
		}
		o := fields{rows.Row{Fields: object}}
		key := o.any("response", "text", "completion", "content", "answer")
		if key == "" {
			return nil, nil, "", fmt.Errorf("completion %d: %w", i, o.unknown(`no "response"`))
		}
		text, err := o.text(key)
		if err != nil {
			return nil, nil, "", fmt.Errorf("completion %d: %w", i, err)
		}
		completions = append(completions, text)
		if score, ok := scoreOf(o); ok {
			scores = append(scores, score)
		}
		shape = "scored completions"
	}
	if scores != nil && len(scores) != len(completions) {
		return nil, nil, "", fmt.Errorf("%d completions, of which %d have a score; give each one", len(completions), len(scores))
	}
	return completions, scores, shape, nil
}

// scoreOf is the score of a completion that is an object: overall_score, score or
// rating, fine-grained_score, or the mean of UltraFeedback's ratings by aspect.
func scoreOf(o fields) (float64, bool) {
	number := func(value json.RawMessage) (float64, bool) {
		var n float64
		text := strings.Trim(string(value), `"`)
		err := json.Unmarshal([]byte(text), &n)
		return n, err == nil && text != "null"
	}
	for _, key := range []string{"overall_score", "score", "rating", "reward", "fine-grained_score"} {
		if value, ok := o.Value(key); ok {
			if n, ok := number(value); ok {
				return n, true
			}
		}
	}
	var aspects map[string]struct{ Rating json.RawMessage }
	value, ok := o.Value("annotations")
	if !ok || json.Unmarshal(value, &aspects) != nil {
		return 0, false
	}
	sum, n := 0.0, 0
	for _, aspect := range aspects {
		if rating, ok := number(aspect.Rating); ok {
			sum += rating
			n++
		}
	}
	return sum / float64(max(1, n)), n > 0
}

// readPair reads what was chosen and what was rejected: strings or messages, with
// the prompt beside them, or as their common beginning, which of strings is written
// as hh-rlhf writes it.
func readPair(f fields) (r Ranking, shape string, err error) {
	plain := f.isText("chosen") && f.isText("rejected")
	var texts [2]string
	var talks [2][]chat.Message
	for i, key := range []string{"chosen", "rejected"} {
		if plain {
			if texts[i], err = f.text(key); err != nil {
				return r, "", err
			}
			continue
		}
		if talks[i], err = f.turns(key, chat.Assistant); err != nil {
			return r, "", err
		}
		if len(talks[i]) == 0 {
			return r, "", fmt.Errorf("%q has no messages", key)
		}
	}
	prompt := f.any("prompt", "question", "instruction", "query", "conversations")
	switch {
	case plain && prompt == "":
		shape = "pairs of Human and Assistant"
		for i, text := range texts {
			if talks[i], err = readHumanAssistant(text); err != nil {
				return r, "", fmt.Errorf("%s: %w", []string{"chosen", "rejected"}[i], err)
			}
		}
	case plain:
		shape = "pairs"
		if r.Prompt, err = f.prompt(prompt); err != nil {
			return r, "", err
		}
	default:
		shape = "pairs of messages"
		if prompt != "" && len(talks[0]) == 1 && len(talks[1]) == 1 {
			if r.Prompt, err = f.prompt(prompt); err != nil {
				return r, "", err
			}
		}
	}
	if !plain || prompt == "" {
		asked := r.Prompt.Messages // beside the messages, where each is an answer alone
		var before [2][]chat.Message
		for i, talk := range talks {
			last := talk[len(talk)-1]
			if last.Role != chat.Assistant {
				return r, "", fmt.Errorf("%s ends with a turn of the %s; it must end with the assistant's", []string{"chosen", "rejected"}[i], last.Role)
			}
			if last.ToolCalls != "" || last.Reasoning != "" {
				return r, "", fmt.Errorf("%s calls tools or has thoughts, which answers that are ranked cannot hold; leave the row out", []string{"chosen", "rejected"}[i])
			}
			before[i], texts[i] = talk[:len(talk)-1], last.Content
		}
		switch {
		case !slices.Equal(before[0], before[1]):
			return r, "", errors.New(`"chosen" and "rejected" answer different prompts: their messages differ before the last`)
		case len(before[0]) > 0:
			r.Prompt.Messages = before[0]
		}
		if len(asked) == 0 && prompt != "" { // the prompt beside whole dialogues: its system message may be there alone
			if p, err := f.prompt(prompt); err == nil {
				asked = p.Messages
			}
		}
		if system, err := f.text("system"); err != nil {
			return r, "", err
		} else if system != "" {
			asked = []chat.Message{{Role: chat.System, Content: system}}
		}
		if m := r.Prompt.Messages; len(m) > 0 && m[0].Role != chat.System && len(asked) > 0 && asked[0].Role == chat.System {
			r.Prompt.Messages = append([]chat.Message{asked[0]}, m...)
		}
		tools, _ := f.Value("tools")
		if r.Prompt.Tools, err = readTools(tools); err != nil {
			return r, "", err
		}
	}
	r.Completions, r.Ranks = texts[:], []int{1, 2}
	if texts[0] == texts[1] {
		r.Ranks[1] = 1
	}
	if f.isText("annotator") {
		r.Annotator, err = f.text("annotator")
	}
	return r, shape, err
}

// prompt reads a row's prompt: a string or messages, with the prefill.
func (f fields) prompt(keys ...string) (p Prompt, err error) {
	key := f.any(keys...)
	if key == "" {
		return p, f.unknown(`no "prompt": the prompt is empty`)
	}
	if p.Messages, err = f.turns(key, chat.User); err != nil {
		return p, err
	}
	if text := p.Text(); len(p.Messages) == 1 && strings.HasSuffix(strings.TrimSpace(text), strings.TrimSpace(assistant)) && strings.HasPrefix(strings.TrimSpace(text), strings.TrimSpace(human)) {
		if p.Messages, err = readHumanAssistant(strings.TrimSuffix(strings.TrimSpace(text), strings.TrimSpace(assistant))); err != nil {
			return p, err
		}
	}
	if p.Prefill, err = f.text("prefill"); err != nil {
		return p, err
	}
	if system, err := f.text("system"); err != nil {
		return p, err
	} else if system != "" && len(p.Messages) > 0 && p.Messages[0].Role != chat.System {
		p.Messages = append([]chat.Message{{Role: chat.System, Content: system}}, p.Messages...)
	}
	tools, _ := f.Value("tools")
	p.Tools, err = readTools(tools)
	return p, err
}

// The headings of turns in hh-rlhf (Bai et al. 2022).
const (
	human     = "\n\nHuman:"
	assistant = "\n\nAssistant:"
)

// readHumanAssistant reads a dialogue that is one string, with a heading above each
// turn.
func readHumanAssistant(text string) (messages []chat.Message, err error) {
	rest := "\n\n" + strings.TrimLeft(text, "\n")
	if !strings.HasPrefix(rest, human) {
		return nil, fmt.Errorf(`there is no "prompt" beside it, and it does not begin with "Human:", as hh-rlhf has it; give the prompt, or messages`)
	}
	for rest != "" {
		role, head := chat.User, human
		if strings.HasPrefix(rest, assistant) {
			role, head = chat.Assistant, assistant
		}
		rest = rest[len(head):]
		end := len(rest)
		for _, next := range []string{human, assistant} {
			if at := strings.Index(rest, next); at >= 0 {
				end = min(end, at)
			}
		}
		messages = append(messages, chat.Message{Role: role, Content: strings.TrimSpace(rest[:end])})
		rest = rest[end:]
	}
	return messages, nil
}

// WriteRankings writes a file that ReadRankings reads, durably. It fails on the
// first ranking that Check refuses.
func WriteRankings(path string, rankings []Ranking) error {
	lines := make([]rankingLine, len(rankings))
	for i, r := range rankings {
		if err := r.Check(); err != nil {
			return fmt.Errorf("writing rankings %s: ranking %d: %w", path, i, err)
		}
		lines[i] = rankingLine{r.Prompt.Messages, r.Prompt.Prefill, r.Prompt.Tools, r.Completions, r.Ranks, r.Ended, r.Annotator}
	}
	return WriteLines(path, lines)
}
