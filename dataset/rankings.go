package dataset

import (
	"errors"
	"fmt"
	"unicode/utf8"
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

// rankingLine is a line of a rankings file: a ranking, or a pair.
type rankingLine struct {
	Prompt      turns    `json:"prompt"`
	Prefill     string   `json:"prefill,omitempty"`
	Completions []string `json:"completions,omitempty"`
	Ranks       []int    `json:"ranks,omitempty"`
	Ended       []bool   `json:"ended,omitempty"`
	Chosen      *string  `json:"chosen,omitempty"`
	Rejected    *string  `json:"rejected,omitempty"`
	Annotator   string   `json:"annotator,omitempty"`
}

func (l rankingLine) ranking() (Ranking, error) {
	r := Ranking{
		Prompt:      Prompt{Messages: l.Prompt, Prefill: l.Prefill},
		Completions: l.Completions, Ranks: l.Ranks, Ended: l.Ended, Annotator: l.Annotator,
	}
	if l.Chosen != nil || l.Rejected != nil {
		switch {
		case l.Chosen == nil || l.Rejected == nil:
			return r, errors.New(`a pair needs both "chosen" and "rejected"`)
		case l.Completions != nil || l.Ranks != nil:
			return r, errors.New(`both a pair ("chosen", "rejected") and a ranking ("completions", "ranks"); give one of them`)
		}
		r.Completions, r.Ranks = []string{*l.Chosen, *l.Rejected}, []int{1, 2}
	}
	return r, r.Check()
}

// ReadRankings reads a JSONL file of rankings and pairs as
// docs/formats/rankings.md draws it. The first line that is none ends it with an
// error that names file and line.
func ReadRankings(path string) ([]Ranking, error) {
	var rankings []Ranking
	err := readLines("rankings", path, func(l rankingLine) error {
		r, err := l.ranking()
		if err != nil {
			return err
		}
		rankings = append(rankings, r)
		return nil
	})
	return rankings, err
}

// WriteRankings writes a file that ReadRankings reads, durably. It fails on the
// first ranking that Check refuses.
func WriteRankings(path string, rankings []Ranking) error {
	lines := make([]rankingLine, len(rankings))
	for i, r := range rankings {
		if err := r.Check(); err != nil {
			return fmt.Errorf("writing rankings %s: ranking %d: %w", path, i, err)
		}
		lines[i] = rankingLine{Prompt: r.Prompt.Messages, Prefill: r.Prompt.Prefill, Completions: r.Completions, Ranks: r.Ranks, Ended: r.Ended, Annotator: r.Annotator}
	}
	return writeLines(path, lines)
}
