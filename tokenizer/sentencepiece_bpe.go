package tokenizer

import (
	"strconv"
	"unicode/utf8"
)

// byteToken returns the byte that a token like <0x0A> stands for.
func byteToken(name string) (byte, bool) {
	if len(name) != 6 || name[:3] != "<0x" || name[5] != '>' {
		return 0, false
	}
	b, err := strconv.ParseUint(name[3:5], 16, 8)
	return byte(b), err == nil && name[3:5] == hexByte(byte(b))
}

func hexByte(b byte) string {
	const digits = "0123456789ABCDEF"
	return string([]byte{digits[b>>4], digits[b&15]})
}

// appendCharacters appends the tokens that a piece's merges begin with: those of
// its characters, the bytes of characters that have none, or the unknown token.
func (t *Tokenizer) appendCharacters(dst []int32, piece string) []int32 {
	unknown := false
	for i := 0; i < len(piece); {
		_, size := utf8.DecodeRuneInString(piece[i:])
		c := piece[i : i+size]
		i += size
		if id, ok := t.ids[c]; ok {
			dst = append(dst, id)
			unknown = false
			continue
		}
		if t.model.byteFallback {
			for j := range len(c) {
				dst = append(dst, t.byteID[c[j]])
			}
			unknown = false
			continue
		}
		if !unknown || !t.model.fuseUnk {
			dst = append(dst, t.unk)
		}
		unknown = true
	}
	return dst
}

// splits lists, for tokens given in the order of their ranks, every pair of
// tokens that joins to one: what a vocabulary without a list of merges merges.
// The pairs of one token follow each other, shorter left sides first. ranked
// holds ids; find returns the id of a token's name, and whether it takes part.
func splits(ranked []int32, name func(id int32) string, find func(name string) (int32, bool), limit int) []merge {
	var merges []merge
	for _, id := range ranked {
		s := name(id)
		for cut := 1; cut < len(s); cut++ {
			left, ok := find(s[:cut])
			if !ok {
				continue
			}
			right, ok := find(s[cut:])
			if !ok {
				continue
			}
			if merges = append(merges, merge{left, right, id}); len(merges) > limit {
				return merges
			}
		}
	}
	return merges
}
