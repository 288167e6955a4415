package dataset

import (
	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// Masking hides tokens that an encoder is to guess (Devlin et al. 2019, section
// 3.1): each token that is text is chosen with probability Share; of the chosen
// 80 % become the mask token, 10 % a random token, and 10 % stay as they are.
// Special tokens are neither chosen nor put in.
//
// What happens to a token is a function of the seed, the stream and its place
// (row, position) alone: not of the rows beside it, of the micro-batch, or of
// when a run was resumed.
type Masking struct {
	Share float64
	mask  int32
	text  []bool  // [V]: whether a token is text
	words []int32 // the tokens that are text
	seed  uint64
	// Streams of the choice, of what becomes of a chosen token, and of the random
	// token.
	choice, fate, replacement uint64
}

// Shares of what becomes of a chosen token.
const (
	masked   = .8
	replaced = .1
)

// NewMasking prepares masking for a tokenizer, which must have a mask token. The
// name sets its streams of random numbers apart from others of the seed.
func NewMasking(t *tokenizer.Tokenizer, share float64, seed uint64, name string) (*Masking, error) {
	mask, ok := t.Mask()
	if !ok {
		return nil, artifact.Errorf(artifact.ErrUsage, "preparing to mask tokens: the tokenizer has no mask token; train one with alma tokenizer train --encoder, or name its mask_token in tokenizer_config.json")
	}
	m := &Masking{
		Share: share, mask: mask, text: make([]bool, t.VocabSize()), seed: seed,
		choice: compute.Stream(name + "/choice"), fate: compute.Stream(name + "/fate"), replacement: compute.Stream(name + "/replacement"),
	}
	for i := range m.text {
		m.text[i] = true
	}
	for _, a := range t.AddedTokens() {
		m.text[a.ID] = m.text[a.ID] && !a.Special
	}
	for id, text := range m.text {
		if text {
			m.words = append(m.words, int32(id))
		}
	}
	if len(m.words) == 0 {
		return nil, artifact.Errorf(artifact.ErrUsage, "preparing to mask tokens: all %d tokens of the tokenizer are special", len(m.text))
	}
	return m, nil
}

// Apply hides tokens [T] of row number row in place and writes to targets [T]
// what stood where one was chosen, Ignored elsewhere. It returns the number
// chosen. Tokens below 0 or outside the vocabulary are left alone.
func (m *Masking) Apply(row uint64, tokens, targets []int32) (chosen int) {
	for i, id := range tokens {
		targets[i] = Ignored
		at := row*uint64(len(tokens)) + uint64(i)
		if id < 0 || int(id) >= len(m.text) || !m.text[id] || compute.Uniform(m.seed, m.choice, at) >= m.Share {
			continue
		}
		targets[i] = id
		chosen++
		switch u := compute.Uniform(m.seed, m.fate, at); {
		case u < masked:
			tokens[i] = m.mask
		case u < masked+replaced:
			tokens[i] = m.words[int(compute.Uniform(m.seed, m.replacement, at)*float64(len(m.words)))]
		}
	}
	return chosen
}

// SplitAt makes a segment of each document in rows of running text: a new one
// begins at each token that begins a document, with positions from 0 on, so that
// no document of a row sees another.
func (p *Packed) SplitAt(begin int32) {
	for b := range p.B {
		segment, position := int32(0), int32(0)
		for i := b * p.T; i < (b+1)*p.T; i++ {
			if p.Tokens[i] == begin && position > 0 {
				segment, position = segment+1, 0
			}
			p.Segments[i], p.Positions[i] = segment, position
			position++
		}
	}
}
