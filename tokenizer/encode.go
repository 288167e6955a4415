package tokenizer

import (
	"math/bits"
	"strings"
	"unicode/utf8"
)

// Encode returns the ids of text. No special token comes out of it, whatever the
// text says; added tokens that are text do. Byte-level BPE takes any bytes, valid
// UTF-8 or not, and Decode gives them back; the other kinds read bytes that are
// no valid UTF-8 as U+FFFD.
func (t *Tokenizer) Encode(text string) []int32 {
	return t.AppendEncode(make([]int32, 0, len(text)/3+4), text)
}

// AppendEncode is Encode appending to dst; where dst has room and nothing is to
// be normalized, it allocates nothing once its caches are warm.
func (t *Tokenizer) AppendEncode(dst []int32, text string) []int32 {
	return t.appendEncode(dst, text, allowance{})
}

// EncodeWithSpecial is Encode for trusted text in which the names of added
// tokens stand for those tokens: a rendered template, never what a user typed.
// Its ids are those of Hugging Face tokenizers for the same tokenizer.json with
// add_special_tokens=False; Wrap adds the others.
func (t *Tokenizer) EncodeWithSpecial(text string) []int32 {
	return t.appendEncode(make([]int32, 0, len(text)/3+4), text, allowance{all: true})
}

// EncodeRendered is EncodeWithSpecial for a rendered template in which guard, a
// character, stands inside the names that users have typed, which therefore stand
// for no tokens. It is taken out of the text before that is encoded; "" for none.
func (t *Tokenizer) EncodeRendered(text, guard string) []int32 {
	return t.appendEncode(make([]int32, 0, len(text)/3+4), text, allowance{all: true, guard: guard})
}

// EncodeAllowing is Encode for text in which the names of the special tokens
// listed, and of no others, stand for those tokens.
func (t *Tokenizer) EncodeAllowing(text string, names ...string) []int32 {
	return t.appendEncode(make([]int32, 0, len(text)/3+4), text, allowance{names: names})
}

func (t *Tokenizer) appendEncode(dst []int32, text string, allowed allowance) []int32 {
	e := t.borrow()
	defer t.giveBack(e)
	if t.kind != ByteLevelBPE && !utf8.ValidString(text) {
		text = replaceInvalid(text)
	}
	if allowed.guard == "" && t.matcher.raw.silent(allowed) && t.matcher.normalized.silent(allowed) {
		return e.section(dst, text, true)
	}
	return e.appendParts(dst, text, allowed)
}

// section appends the ids of text in which no added token is looked for; first
// says that the whole text begins here.
func (e *encoder) section(dst []int32, text string, first bool) []int32 {
	p := &e.t.pipeline
	if p.normalize != nil {
		text = p.normalize(text)
	}
	if p.prepare != nil && text != "" {
		text = p.prepare(text, first)
	}
	return e.encode(dst, text)
}

// appendParts appends the ids of text with the added tokens in it that are
// allowed.
func (e *encoder) appendParts(dst []int32, text string, allowed allowance) []int32 {
	t := e.t
	t.matcher.raw.split(text, allowed, func(part string, at int, id int32) {
		if id >= 0 {
			dst = append(dst, id)
			return
		}
		first := at == 0
		if normalize := t.pipeline.normalize; normalize != nil {
			part = normalize(part)
		}
		t.matcher.normalized.split(part, allowed, func(part string, at int, id int32) {
			if id >= 0 {
				dst = append(dst, id)
				return
			}
			if allowed.guard != "" {
				part = strings.ReplaceAll(part, allowed.guard, "")
			}
			if prepare := t.pipeline.prepare; prepare != nil {
				part = prepare(part, first && at == 0)
			}
			dst = e.encode(dst, part)
		})
	})
	return dst
}

// An encoder is the working space of one call: a cache of encoded pieces and
// scratch arrays. Each call borrows one, so the cache needs no lock, and since
// the ids of a piece depend on nothing else, which encoder a call gets cannot be
// seen in its result.
type encoder struct {
	t     *Tokenizer
	cache []cacheSlot

	ids   []int32  // of a piece that is not in the cache
	ranks []uint32 // of the pairs of neighbours in a piece under way
	long  longPiece
	best  bestCut

	levels []level // of the pre-tokenizer's steps
}

// cacheSlot holds the ids of one short piece; it fills a cache line. Of the
// pieces of English text and code, about 99 in 100 fit.
type cacheSlot struct {
	k0, k1, k2 uint64 // the bytes of the piece, little-endian, zeros after the end
	len        uint8  // of the piece, 0 for an empty slot
	n          uint8  // number of ids
	ids        [maxCachedIDs]int32
}

const (
	maxCachedBytes = 24
	maxCachedIDs   = 9
	cacheBits      = 15 // 2 MiB an encoder
	maxIdle        = 16 // encoders kept for later calls
)

func (t *Tokenizer) borrow() *encoder {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.idle); n > 0 {
		e := t.idle[n-1]
		t.idle = t.idle[:n-1]
		return e
	}
	return &encoder{t: t, cache: make([]cacheSlot, 1<<cacheBits)}
}

func (t *Tokenizer) giveBack(e *encoder) {
	e.long.shrink()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.idle) < maxIdle {
		t.idle = append(t.idle, e)
	}
}

// encode appends the ids of a text, piece by piece.
func (e *encoder) encode(dst []int32, text string) []int32 {
	if e.t.pipeline.steps == nil {
		return e.pieces(dst, text)
	}
	word := e.t.pipeline.word
	e.cutBySteps(0, text, func(piece string) {
		if word != nil {
			piece = word(piece)
		}
		dst = e.pieces(dst, piece)
	})
	return dst
}

// pieces appends the ids of the pieces that one function cuts.
func (e *encoder) pieces(dst []int32, text string) []int32 {
	cut := e.t.pipeline.cut
	for i := 0; i < len(text); {
		end := cut(text, i)
		n := end - i
		if n > maxCachedBytes {
			dst = e.piece(dst, text[i:end])
			i = end
			continue
		}
		k0, k1, k2 := pieceKey(text, i, n)
		h := cacheHash(k0, k1, k2)
		s := &e.cache[h]
		if s.k0 != k0 || s.k1 != k1 || s.k2 != k2 || int(s.len) != n {
			s = e.fill(s, &e.cache[h^1], k0, k1, k2, text[i:end])
			if s == nil {
				dst = append(dst, e.ids...)
				i = end
				continue
			}
		}
		if s.n == 1 {
			dst = append(dst, s.ids[0])
		} else {
			dst = append(dst, s.ids[:s.n]...)
		}
		i = end
	}
	return dst
}

// fill returns the slot, first or second, that holds piece, after encoding it
// where neither does; the older of the two then gives way. It returns nil for a
// piece of too many ids, which are then in e.ids.
func (e *encoder) fill(first, second *cacheSlot, k0, k1, k2 uint64, piece string) *cacheSlot {
	if second.k0 == k0 && second.k1 == k1 && second.k2 == k2 && int(second.len) == len(piece) {
		return second
	}
	e.ids = e.piece(e.ids[:0], piece)
	if len(e.ids) > maxCachedIDs {
		return nil
	}
	if first.len != 0 {
		*second = *first
	}
	first.k0, first.k1, first.k2 = k0, k1, k2
	first.len, first.n = uint8(len(piece)), uint8(len(e.ids))
	copy(first.ids[:], e.ids)
	return first
}

// pieceKey returns the n ≤ 24 bytes of s from i on as three little-endian words
// with zeros after the end.
func pieceKey(s string, i, n int) (k0, k1, k2 uint64) {
	if i+maxCachedBytes > len(s) {
		for j := n - 1; j >= 0; j-- {
			b := uint64(s[i+j])
			switch j >> 3 {
			case 0:
				k0 = k0<<8 | b
			case 1:
				k1 = k1<<8 | b
			default:
				k2 = k2<<8 | b
			}
		}
		return k0, k1, k2
	}
	s = s[i : i+maxCachedBytes]
	switch {
	case n <= 8:
		return word(s[:8]) & lowBytes(n), 0, 0
	case n <= 16:
		return word(s[:8]), word(s[8:16]) & lowBytes(n-8), 0
	}
	return word(s[:8]), word(s[8:16]), word(s[16:24]) & lowBytes(n-16)
}

// word loads eight bytes; the compiler makes one load of it.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// lowBytes is a mask of the n low bytes, 1 ≤ n ≤ 8.
func lowBytes(n int) uint64 { return ^uint64(0) >> (uint(64-8*n) & 63) }

func cacheHash(k0, k1, k2 uint64) uint64 {
	h := k0 ^ bits.RotateLeft64(k1*0xbf58476d1ce4e5b9, 23) ^ bits.RotateLeft64(k2*0x94d049bb133111eb, 41)
	h ^= h >> 32
	return h * 0x9e3779b97f4a7c15 >> (64 - cacheBits)
}

// piece appends the ids of one piece.
func (e *encoder) piece(dst []int32, piece string) []int32 {
	t := e.t
	if t.model.ignoreMerges {
		if id, ok := t.ids[piece]; ok {
			return append(dst, id)
		}
	}
	start := len(dst)
	switch t.kind {
	case ByteLevelBPE:
		for i := range len(piece) {
			if id := t.byteID[piece[i]]; id >= 0 {
				dst = append(dst, id)
			} else if t.unk >= 0 {
				dst = append(dst, t.unk)
			}
		}
		return e.join(dst, start)
	case CharacterBPE:
		return e.join(t.appendCharacters(dst, piece), start)
	case Unigram:
		return e.best.cut(t, dst, piece)
	default:
		return t.appendWord(dst, piece)
	}
}
