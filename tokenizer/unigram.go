package tokenizer

import (
	"slices"
	"unicode/utf8"
)

// unknownPenalty is how far the score of an unknown character lies below the
// lowest score of the vocabulary (SentencePiece's kUnkPenalty).
const unknownPenalty = 10

// bestCut finds the cut of a piece into tokens whose scores (log probabilities)
// have the highest sum (Kudo, 2018, "Subword Regularization"; Viterbi).
type bestCut struct{ ends []cutEnd }

// cutEnd is the best cut of a piece up to some place: its score, and its last
// token.
type cutEnd struct {
	score float64
	start int   // where the last token begins, -1 where no cut ends
	id    int32 // the last token
}

// lowestScore is the least score of an ordinary token.
func (t *Tokenizer) lowestScore() float64 {
	lowest := 0.0
	for id, score := range t.scores {
		if t.kinds[id] == ordinary {
			lowest = min(lowest, score)
		}
	}
	return lowest
}

// cut appends the ids of the best cut of piece. Unknown characters side by side
// are one unknown token, or the tokens of their bytes.
func (c *bestCut) cut(t *Tokenizer, dst []int32, piece string) []int32 {
	c.ends = slices.Grow(c.ends[:0], len(piece)+1)[:len(piece)+1]
	for i := range c.ends {
		c.ends[i].start = -1
	}
	c.ends[0] = cutEnd{}
	offer := func(start, end int, score float64, id int32) {
		score += c.ends[start].score
		if e := &c.ends[end]; e.start < 0 || score > e.score {
			*e = cutEnd{score, start, id}
		}
	}
	for i := 0; i < len(piece); {
		_, size := utf8.DecodeRuneInString(piece[i:])
		single := false
		for end := i + size; end <= len(piece) && end-i <= t.longest; {
			if id, ok := t.ids[piece[i:end]]; ok && t.kinds[id] == ordinary {
				offer(i, end, t.scores[id], id)
				single = single || end == i+size
			}
			if end == len(piece) {
				break
			}
			_, next := utf8.DecodeRuneInString(piece[end:])
			end += next
		}
		if !single {
			offer(i, i+size, t.pipeline.unknownScore, -1)
		}
		i += size
	}
	start := len(dst)
	for end := len(piece); end > 0; {
		e := c.ends[end]
		switch {
		case e.id >= 0:
			dst = append(dst, e.id)
		case t.model.byteFallback:
			for j := end - 1; j >= e.start; j-- {
				dst = append(dst, t.byteID[piece[j]])
			}
		case len(dst) == start || dst[len(dst)-1] != t.unk:
			dst = append(dst, t.unk)
		}
		end = e.start
	}
	slices.Reverse(dst[start:])
	return dst
}
