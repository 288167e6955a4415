package dedup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"
)

// KeyBytes is the size of a Key. By half of a SHA-256 two different texts have
// the same key with a probability of 2^-128: among 10^12 texts, 10^-15.
const KeyBytes = 16

// A Key is the identity of a text for exact repeats.
type Key [KeyBytes]byte

// KeyOf returns the key of a text, which is valid UTF-8: the beginning of the SHA-256
// of the text with every run of white space read as one space and none at either end,
// so that line ends and indentation make no difference. White space is Unicode's.
func KeyOf(text string) Key {
	h := sha256.New()
	var buf [8 << 10]byte
	n := 0
	space := 0     // 1: white space was passed since the last character
	begun := false // a character was written
	for i := 0; i < len(text); {
		if n > len(buf)-2*eight-1 {
			h.Write(buf[:n])
			n = 0
		}
		// Eight characters of ASCII whose spaces stand alone, as in most of most
		// texts, are copied as they are, the last of them not yet if it is a space.
		if begun && i+eight <= len(text) {
			x := uint64(text[i]) | uint64(text[i+1])<<8 | uint64(text[i+2])<<16 | uint64(text[i+3])<<24 |
				uint64(text[i+4])<<32 | uint64(text[i+5])<<40 | uint64(text[i+6])<<48 | uint64(text[i+7])<<56
			blank := spaces(x)
			if (x|(x-eachByte*' ')&^x)&highBits == 0 && blank&(blank<<8|uint64(space)<<7) == 0 {
				buf[n] = ' '
				n += space
				binary.LittleEndian.PutUint64(buf[n:], x)
				space = int(blank >> 63)
				n += eight - space
				i += eight
				continue
			}
		}
		for end := min(i+eight, len(text)); i < end; {
			c := text[i]
			size := 1
			class := bytesOfText[c]
			if class == mayBeSpace {
				var r rune
				if r, size = utf8.DecodeRuneInString(text[i:]); unicode.IsSpace(r) {
					class = isSpace
				}
			}
			if class == isSpace {
				if begun {
					space = 1
				}
				i += size
				continue
			}
			buf[n] = ' '
			n += space
			space = 0
			begun = true
			n += copy(buf[n:], text[i:i+size])
			i += size
		}
	}
	h.Write(buf[:n])
	var sum [sha256.Size]byte
	return Key(h.Sum(sum[:0])[:KeyBytes])
}

// For eight bytes in a word.
const (
	eight    = 8
	eachByte = 0x0101010101010101
	highBits = eachByte << 7
)

// spaces returns the high bits of those of eight bytes of ASCII that are a space.
func spaces(x uint64) uint64 { return ^((x ^ eachByte*' ') + (highBits - eachByte)) & highBits }

// What a byte can be in UTF-8.
const (
	isSpace    = 1 + iota // white space below 0x80
	mayBeSpace            // begins some characters that are white space, as unicode.IsSpace has it
)

var bytesOfText = [256]uint8{
	'\t': isSpace, '\n': isSpace, '\v': isSpace, '\f': isSpace, '\r': isSpace, ' ': isSpace,
	0xc2: mayBeSpace, // U+0085, U+00A0
	0xe1: mayBeSpace, // U+1680
	0xe2: mayBeSpace, // U+2000 to U+205F
	0xe3: mayBeSpace, // U+3000
}

// Paragraphs yields the paragraphs of a text with the byte at which each begins: runs of
// lines that are not blank, without the last line's end. The first has Part 0, the
// second Part 1, and so on.
func Paragraphs(text string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		begin := -1
		end := 0
		for at := 0; at < len(text); {
			line := text[at:]
			next := len(text)
			if i := strings.IndexByte(line, '\n'); i >= 0 {
				line, next = line[:i], at+i+1
			}
			if strings.TrimSpace(line) != "" {
				if begin < 0 {
					begin = at
				}
				end = at + len(line)
			} else if begin >= 0 {
				if !yield(begin, text[begin:end]) {
					return
				}
				begin = -1
			}
			at = next
		}
		if begin >= 0 {
			yield(begin, text[begin:end])
		}
	}
}

// Without returns a text without some of its paragraphs, whose numbers it takes in
// rising order. With a paragraph go the blank lines behind it.
func Without(text string, parts []uint32) string {
	if len(parts) == 0 {
		return text
	}
	var kept strings.Builder
	number, from := uint32(0), 0
	cut := false // the paragraph before is left out
	for begin := range Paragraphs(text) {
		if cut {
			from = begin
		}
		cut = len(parts) > 0 && parts[0] == number
		if cut {
			kept.WriteString(text[from:begin])
			parts = parts[1:]
		}
		number++
	}
	if !cut {
		kept.WriteString(text[from:])
	}
	return kept.String()
}

// keyRecord is the size of an exact record: key, position with part.
const keyRecord = KeyBytes + partBytes

// A KeyWriter writes a record file of keys. It is for one goroutine.
type KeyWriter struct {
	recordWriter
	record []byte
}

// CreateKeys starts the record file of a shard's keys. memory bounds what it
// collects before it sorts, in bytes; 0 stands for DefaultMemory. Commit makes
// the file, Abort gives it up; the use is that of artifact.Writer.
func CreateKeys(path string, memory int64) (*KeyWriter, error) {
	return createKeys(path, Options{Memory: memory})
}

func createKeys(path string, o Options) (*KeyWriter, error) {
	w, err := createRecords(path, header{kind: keyRecords, width: keyRecord}, o)
	if err != nil {
		return nil, err
	}
	return &KeyWriter{recordWriter: *w}, nil
}

// Add says that the text at a position has this key. Positions may come in any
// order; one that comes twice counts once.
func (w *KeyWriter) Add(key Key, at Position) error {
	w.record = at.append(append(w.record[:0], key[:]...), partBytes)
	return w.add(w.record)
}

// Exact reads the record files that CreateKeys made and yields, in the order of
// positions, every text whose key a text before it has, with the first of them. It
// stops at the first error, which it yields; what came before is then not to be used.
func Exact(ctx context.Context, files []string, o Options) iter.Seq2[Duplicate, error] {
	return sequence(func(yield func(Duplicate) error) error {
		repeats, err := newSorter(o, "exact-repeats", 2*partBytes)
		if err != nil {
			return err
		}
		defer repeats.remove()
		var group [KeyBytes]byte // the key of the records that are passing
		var first, last [partBytes]byte
		begun := false
		var pair [2 * partBytes]byte
		err = mergeFiles(ctx, files, header{kind: keyRecords, width: keyRecord}, o, func(record []byte) error {
			key, at := record[:KeyBytes], record[KeyBytes:]
			switch {
			case !begun || !bytes.Equal(key, group[:]):
				begun = true
				copy(group[:], key)
				copy(first[:], at)
			case !bytes.Equal(at, last[:]):
				copy(pair[copy(pair[:], at):], first[:])
				if err := repeats.add(pair[:]); err != nil {
					return err
				}
			}
			copy(last[:], at)
			return nil
		})
		if err != nil {
			return err
		}
		return repeats.each(ctx, func(pair []byte) error {
			return yield(Duplicate{positionAt(pair[:partBytes]), positionAt(pair[partBytes:])})
		})
	})
}
