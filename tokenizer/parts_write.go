package tokenizer

import (
	"fmt"
	"slices"
)

// Parts lists the vocabulary as the tokenizer.ggml keys of a GGUF file have it,
// the inverse of [NewFromParts]. What these keys cannot say is an error that
// names it: a vocabulary of another kind than BPE, a pre-tokenizer that no name
// of tokenizer.ggml.pre stands for, special tokens around a text other than the
// one that begins and the one that ends it.
func (t *Tokenizer) Parts() (Parts, error) {
	p, err := t.parts()
	if err != nil {
		return Parts{}, fmt.Errorf("listing a tokenizer as GGUF keys: %w", err)
	}
	return p, nil
}

func (t *Tokenizer) parts() (p Parts, err error) {
	p = Parts{ChatTemplate: t.chatTemplate, IDs: make(map[string]int32)}
	switch t.kind {
	case ByteLevelBPE:
		p.Model = "gpt2"
		if p.Pre, err = t.preName(); err != nil {
			return p, err
		}
		for _, m := range t.merges {
			p.Merges = append(p.Merges, t.written(m.left)+" "+t.written(m.right))
		}
	case CharacterBPE:
		p.Model = "llama"
		p.NoSpacePrefix = t.pipeline.normalize == nil || t.pipeline.normalize("x") == "x"
		if t.pipeline.prepare != nil {
			p.NoSpacePrefix = t.pipeline.prepare("x", true) == "x"
		}
		p.Scores = t.mergeScores()
	default:
		return p, fmt.Errorf("the vocabulary is %s, which alma does not write; it writes %s and %s", t.kind, ByteLevelBPE, CharacterBPE)
	}
	for id := range int32(t.VocabSize()) {
		token, kind := t.written(id), int32(ggufNormal)
		switch t.kinds[id] {
		case special:
			kind = ggufControl
		case added:
			kind = ggufUserDefined
		case hole:
			token, kind = UnusedName(int(id)), ggufUnused
		default:
			if _, ok := byteToken(token); ok && t.kind == CharacterBPE {
				kind = ggufByte
			}
		}
		if id == t.unk && t.kind == CharacterBPE {
			kind = ggufUnknown
		}
		p.Tokens = append(p.Tokens, token)
		p.Types = append(p.Types, kind)
	}
	for key, name := range map[string]string{"bos": t.roles.bos, "eos": t.roles.eos, "unknown": t.roles.unk, "padding": t.roles.pad} {
		if id, ok := t.byName[name]; ok {
			p.IDs[key] = id
		}
	}
	if t.unk >= 0 {
		p.IDs["unknown"] = t.unk
	}
	bos, hasBOS := p.IDs["bos"]
	eos, hasEOS := p.IDs["eos"]
	around := t.Wrap(nil)
	switch {
	case len(around) == 0:
	case len(around) == 1 && hasBOS && around[0] == bos && slices.Equal(t.Wrap([]int32{-1}), []int32{bos, -1}):
		p.AddBOS = true
	case len(around) == 1 && hasEOS && around[0] == eos:
		p.AddEOS = true
	case len(around) == 2 && hasBOS && hasEOS && around[0] == bos && around[1] == eos:
		p.AddBOS, p.AddEOS = true, true
	default:
		return p, fmt.Errorf("the post-processor puts the tokens %v around a text; GGUF has places for bos_token and eos_token alone", around)
	}
	return p, nil
}

// UnusedName is what stands in a GGUF file for an id without a token.
func UnusedName(id int) string { return fmt.Sprintf("[PAD%d]", id) }

// preName finds the name that GGUF files give the pre-tokenizer.
func (t *Tokenizer) preName() (string, error) {
	if t.pipeline.prepare != nil {
		return "", fmt.Errorf("pre_tokenizer has add_prefix_space, for which GGUF has no name")
	}
	name := preName(t.description, t.model.ignoreMerges)
	if name == "" {
		return "", fmt.Errorf("pre_tokenizer is %s, for which GGUF has no name", shortValue(t.description.preTokenizer))
	}
	return name, nil
}

// mergeScores gives each token of a SentencePiece BPE vocabulary the score that
// puts the merges in their order: the negated rank of the first that makes it. A
// token that no merge makes is behind all others.
func (t *Tokenizer) mergeScores() []float32 {
	scores := make([]float32, t.VocabSize())
	last := -float32(len(t.merges)) - 1
	for id := range scores {
		scores[id] = last
		if t.kinds[id] != ordinary {
			scores[id] = 0
		}
	}
	for _, m := range t.merges {
		if rank := -float32(t.pairs.rank(m.left, m.right)); rank > scores[m.id] {
			scores[m.id] = rank
		}
	}
	return scores
}
