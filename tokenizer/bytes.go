package tokenizer

import (
	"fmt"
	"unicode/utf8"
)

// GPT-2's vocabulary files write every byte as one printable character, so that
// a token that is half a character is still text: the 188 bytes that are
// printable in Latin-1 stand for themselves, the other 68 are written, in
// order, as the characters from U+0100 on (encoder.py, bytes_to_unicode).

// byteRune[b] is the character that vocabulary files write for byte b.
var byteRune [256]rune

// runeByte[r] is the byte that character r stands for, or -1.
var runeByte [256 + 68]int16

// byteOrder lists the bytes by their characters, which is the order in which a
// trained vocabulary numbers them: '!' first, as in GPT-2.
var byteOrder [256]byte

func init() {
	for i := range runeByte {
		runeByte[i] = -1
	}
	next := rune(256)
	for b := range byteRune {
		r := rune(b)
		if !('!' <= r && r <= '~' || 0xa1 <= r && r <= 0xac || 0xae <= r && r <= 0xff) {
			r = next
			next++
		}
		byteRune[b] = r
		runeByte[r] = int16(b)
	}
	n := 0
	for _, b := range runeByte {
		if b >= 0 {
			byteOrder[n] = byte(b)
			n++
		}
	}
}

// appendWritten appends how vocabulary files write the bytes of token.
func appendWritten(dst []byte, token string) []byte {
	for i := range len(token) {
		dst = utf8.AppendRune(dst, byteRune[token[i]])
	}
	return dst
}

// appendUnwritten appends the bytes that the vocabulary entry written stands
// for. It fails on a character that stands for no byte.
func appendUnwritten(dst, written []byte) ([]byte, error) {
	for _, r := range string(written) {
		if int(r) >= len(runeByte) || runeByte[r] < 0 {
			return dst, fmt.Errorf("character %q (%U) stands for no byte in the byte-level alphabet", r, r)
		}
		dst = append(dst, byte(runeByte[r]))
	}
	return dst, nil
}
