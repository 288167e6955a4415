package tokenizer

import (
	"fmt"
	"slices"
	"sync"
)

// The special tokens of vocabularies trained here, in the order of their ids.
const (
	EndOfText = "<|endoftext|>" // after each document; 0
	IMStart   = "<|im_start|>"  // before each turn of a dialogue; 1
	IMEnd     = "<|im_end|>"    // after each turn of a dialogue; 2
	Pad       = "<|pad|>"       // fills rows, never trained on; 3
)

// DefaultSpecialTokens returns the special tokens that Train gives a vocabulary
// when Options names none.
func DefaultSpecialTokens() []string {
	return []string{EndOfText, IMStart, IMEnd, Pad}
}

// AddedToken is a token that is matched as a whole, outside pieces and merges.
type AddedToken struct {
	ID      int32
	Content string
	// Special marks structure rather than text: Text and Decoder leave it out.
	Special bool
	// Normalized is Hugging Face's flag of that name. With no normalizer its only
	// effect is on order: tokens without it are looked for first.
	Normalized bool
}

// Tokenizer is a byte-level BPE vocabulary. It does not change after it is made
// (what it caches is invisible), and all its methods may be called from many
// goroutines at once.
type Tokenizer struct {
	arena   string   // the bytes of all tokens, one after the other
	offsets []uint32 // token id is arena[offsets[id]:offsets[id+1]]; V+1 entries
	byteID  [256]int32
	merges  []merge // by rank
	pairs   pairTable
	added   []AddedToken // by id
	kinds   []kind       // by id
	byName  map[string]int32
	matcher addedMatcher

	eos, pad     string // names of the tokens for tokenizer_config.json, "" for none
	chatTemplate string // Jinja, "" for none

	mu   sync.Mutex
	idle []*encoder // scratch space and caches that no call is using
}

// kind says what an id is.
type kind uint8

const (
	ordinary kind = iota
	added         // an added token that is text
	special       // an added token that marks structure
)

// merge makes token id out of left and right standing side by side.
type merge struct{ left, right, id int32 }

// maxVocab bounds the vocabularies that are accepted. The largest in use has
// about 262,000 entries (Gemma).
const maxVocab = 1 << 20

// vocabulary is what a Tokenizer is made of.
type vocabulary struct {
	tokens []string // by id; "" where an added token stands
	merges []merge
	added  []AddedToken

	eos, pad, chatTemplate string
}

// newTokenizer checks that v is a vocabulary that can encode any bytes and gives
// every text one meaning, and makes its tables.
func newTokenizer(v vocabulary) (*Tokenizer, error) {
	if len(v.tokens) > maxVocab {
		return nil, fmt.Errorf("%d tokens are more than the limit of %d", len(v.tokens), maxVocab)
	}
	t := &Tokenizer{
		merges: v.merges, added: v.added,
		kinds:  make([]kind, len(v.tokens)),
		byName: make(map[string]int32, len(v.added)),
		eos:    v.eos, pad: v.pad, chatTemplate: v.chatTemplate,
	}
	slices.SortFunc(t.added, func(a, b AddedToken) int { return int(a.ID) - int(b.ID) })
	for _, a := range t.added {
		if a.ID < 0 || int(a.ID) >= len(v.tokens) {
			return nil, fmt.Errorf("added token %q has id %d outside 0 … %d", a.Content, a.ID, len(v.tokens)-1)
		}
		if a.Content == "" {
			return nil, fmt.Errorf("added token %d is empty", a.ID)
		}
		if t.kinds[a.ID] != ordinary {
			return nil, fmt.Errorf("id %d is given to two added tokens", a.ID)
		}
		if other, taken := t.byName[a.Content]; taken {
			return nil, fmt.Errorf("added token %q has two ids, %d and %d", a.Content, other, a.ID)
		}
		if v.tokens[a.ID] != "" {
			return nil, fmt.Errorf("id %d is given to the added token %q and to the token %q", a.ID, a.Content, v.tokens[a.ID])
		}
		t.kinds[a.ID] = added
		if a.Special {
			t.kinds[a.ID] = special
		}
		t.byName[a.Content] = a.ID
		v.tokens[a.ID] = a.Content
	}

	size := 0
	for _, token := range v.tokens {
		size += len(token)
	}
	if size > 1<<31 {
		return nil, fmt.Errorf("the tokens hold %d bytes, more than the limit of 2 GiB", size)
	}
	arena := make([]byte, 0, size)
	t.offsets = make([]uint32, 1, len(v.tokens)+1)
	for b := range t.byteID {
		t.byteID[b] = -1
	}
	for id, token := range v.tokens {
		if token == "" {
			return nil, fmt.Errorf("id %d has no token; ids must run from 0 to %d without holes", id, len(v.tokens)-1)
		}
		if len(token) == 1 && t.kinds[id] == ordinary {
			t.byteID[token[0]] = int32(id)
		}
		arena = append(arena, token...)
		t.offsets = append(t.offsets, uint32(len(arena)))
	}
	t.arena = string(arena)
	for b, id := range t.byteID {
		if id < 0 {
			return nil, fmt.Errorf("byte 0x%02x (written %q) has no token, so not every text could be encoded", b, byteRune[b])
		}
	}

	t.pairs = newPairTable(len(t.merges))
	for rank, m := range t.merges {
		for _, id := range []int32{m.left, m.right, m.id} {
			if id < 0 || int(id) >= len(v.tokens) || t.kinds[id] != ordinary {
				return nil, fmt.Errorf("merge %d uses id %d, which is no ordinary token", rank, id)
			}
		}
		if !t.pairs.insert(m.left, m.right, uint32(rank)) {
			return nil, fmt.Errorf("merge %d joins %q and %q a second time", rank, t.token(m.left), t.token(m.right))
		}
	}
	t.matcher = newAddedMatcher(t.added)
	return t, nil
}

// VocabSize returns the number of token ids, added tokens included: the V of a
// model's embedding and head.
func (t *Tokenizer) VocabSize() int { return len(t.offsets) - 1 }

// TokenID returns the id of the added token with this name, such as EndOfText,
// and whether there is one.
func (t *Tokenizer) TokenID(name string) (int32, bool) {
	id, ok := t.byName[name]
	return id, ok
}

// AddedTokens returns the added tokens in the order of their ids.
func (t *Tokenizer) AddedTokens() []AddedToken { return slices.Clone(t.added) }

// EOS returns the id of the token that ends a text, and whether there is one:
// the eos_token of tokenizer_config.json, EndOfText where no such file said
// otherwise.
func (t *Tokenizer) EOS() (int32, bool) { return t.TokenID(t.eos) }

// Pad returns the id of the token that fills rows, and whether there is one:
// the pad_token of tokenizer_config.json, Pad where no such file said otherwise.
func (t *Tokenizer) Pad() (int32, bool) { return t.TokenID(t.pad) }

// ChatTemplate returns the Jinja chat template that came with the tokenizer, ""
// for none. For vocabularies trained here it is ChatTemplateJinja.
func (t *Tokenizer) ChatTemplate() string { return t.chatTemplate }

// TokenBytes returns the bytes that token id stands for in a text, nil for an id
// outside the vocabulary. An added token stands for the bytes of its name. The
// result is the caller's.
func (t *Tokenizer) TokenBytes(id int32) []byte {
	if id < 0 || int(id) >= t.VocabSize() {
		return nil
	}
	return []byte(t.token(id))
}

// ByteLengths returns, for each token id [V], how many bytes of text the token
// stands for: what bits per byte are counted in. Special tokens stand for none.
func (t *Tokenizer) ByteLengths() []int32 {
	lengths := make([]int32, t.VocabSize())
	for id := range lengths {
		if t.kinds[id] != special {
			lengths[id] = int32(len(t.token(int32(id))))
		}
	}
	return lengths
}

func (t *Tokenizer) token(id int32) string {
	return t.arena[t.offsets[id]:t.offsets[id+1]]
}

// pairTable finds the merge of two tokens: open addressing with linear probing,
// at most half full.
type pairTable struct {
	slots []pairSlot
	shift uint
}

type pairSlot struct {
	left, right int32 // left is -1 in an empty slot
	rank        uint32
}

func newPairTable(n int) pairTable {
	bits := uint(4)
	for 1<<bits < 2*n {
		bits++
	}
	p := pairTable{slots: make([]pairSlot, 1<<bits), shift: 64 - bits}
	for i := range p.slots {
		p.slots[i].left = -1
	}
	return p
}

// insert reports whether the pair was not there yet.
func (p *pairTable) insert(left, right int32, rank uint32) bool {
	for i := pairHash(pairKey(left, right)) >> p.shift; ; i = (i + 1) & uint64(len(p.slots)-1) {
		s := &p.slots[i]
		if s.left < 0 {
			*s = pairSlot{left, right, rank}
			return true
		}
		if s.left == left && s.right == right {
			return false
		}
	}
}

// noRank is the rank of two tokens that no merge joins.
const noRank = ^uint32(0)

// rank returns the rank of the merge of two tokens, noRank where there is none.
func (p *pairTable) rank(left, right int32) uint32 {
	mask := uint64(len(p.slots) - 1)
	for i := pairHash(pairKey(left, right)) >> p.shift; ; i++ {
		s := &p.slots[i&mask]
		if s.left == left && s.right == right {
			return s.rank
		}
		if s.left < 0 {
			return noRank
		}
	}
}

func pairKey(left, right int32) uint64 { return uint64(uint32(left))<<32 | uint64(uint32(right)) }

// pairHash spreads a key over 64 bits; its high bits are the best (Fibonacci
// hashing, Knuth, The Art of Computer Programming, volume 3, 6.4).
func pairHash(key uint64) uint64 {
	key ^= key >> 29
	return key * 0x9e3779b97f4a7c15
}
