package rows

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

// peeker is what text is read from.
type peeker = *bufio.Reader

func newPeeker(r io.Reader) peeker { return bufio.NewReaderSize(r, 64<<10) }

// A packed file may hold bombRatio times its size, and bombFree whatever its size:
// text is packed to a tenth, files that are made to fill memories to a thousandth.
const (
	bombRatio = 250
	bombFree  = 1 << 30
)

// unpack returns what a file holds, and how it was packed.
func (r *Reader) unpack(counted *counter) (peeker, string, error) {
	packed := newPeeker(counted)
	magic, err := packed.Peek(6)
	if err != nil && err != io.EOF {
		return nil, "", err
	}
	var inside io.Reader
	var name string
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		name = "gzip"
		inside, err = gzip.NewReader(packed)
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		name = "zstandard"
		var z *zstd.Decoder
		if z, err = zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20)); err == nil {
			inside = z
			r.end = append(r.end, func() error { z.Close(); return nil })
		}
	case bytes.HasPrefix(magic, []byte("BZh")):
		name, inside, err = "bzip2", bzip2.NewReader(packed), nil
	case bytes.HasPrefix(magic, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return nil, "", errors.New("it is packed with xz; unpack it first (xz -d)")
	case bytes.HasPrefix(magic, []byte("PK\x03\x04")):
		return nil, "", errors.New("it is a zip archive or a spreadsheet; unpack it (unzip), or save the spreadsheet as CSV")
	default:
		return packed, "", nil
	}
	if err != nil && err != io.EOF {
		return nil, "", fmt.Errorf("unpacking %s: %w", name, err)
	}
	return newPeeker(&unpacked{r: inside, in: counted, name: name}), name, nil
}

// counter counts the bytes that are read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// unpacked ends a file that grows too much in unpacking.
type unpacked struct {
	r    io.Reader
	in   *counter
	name string
	n    int64
}

func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	u.n += int64(n)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("unpacking %s: %w; the file was cut off or damaged: fetch it again", u.name, err)
	}
	if u.n > bombFree && u.n > bombRatio*u.in.n {
		return n, fmt.Errorf("unpacking %s: %d bytes became more than %d, which no text does; unpack it yourself if you trust it", u.name, u.in.n, u.n)
	}
	return n, err
}

// decodeText passes a byte order mark over and makes UTF-8 of UTF-16, which is told
// by its mark or, without one, by the zero bytes between ASCII characters.
func decodeText(text peeker) (peeker, string, error) {
	begin, err := text.Peek(64)
	if err != nil && err != io.EOF {
		return nil, "", err
	}
	little, big := 0, 0
	for i := 0; i+1 < len(begin); i += 2 {
		switch {
		case begin[i] != 0 && begin[i+1] == 0:
			little++
		case begin[i] == 0 && begin[i+1] != 0:
			big++
		}
	}
	pairs := len(begin) / 2
	if bytes.HasPrefix(begin, []byte{0xff, 0xfe, 0, 0}) || bytes.HasPrefix(begin, []byte{0, 0, 0xfe, 0xff}) || bytes.Count(begin, []byte{0}) > pairs+pairs/4 {
		return nil, "", errors.New("it is UTF-32 or no text; convert it (iconv -f UTF-32 -t UTF-8)")
	}
	switch {
	case bytes.HasPrefix(begin, []byte("\ufeff")):
		text.Discard(3)
		return text, "", nil
	case bytes.HasPrefix(begin, []byte{0xff, 0xfe}):
		text.Discard(2)
		return newPeeker(&utf16Reader{r: text}), "UTF-16", nil
	case bytes.HasPrefix(begin, []byte{0xfe, 0xff}):
		text.Discard(2)
		return newPeeker(&utf16Reader{r: text, big: true}), "UTF-16", nil
	case pairs > 1 && little*2 > pairs:
		return newPeeker(&utf16Reader{r: text}), "UTF-16", nil
	case pairs > 1 && big*2 > pairs:
		return newPeeker(&utf16Reader{r: text, big: true}), "UTF-16", nil
	}
	return text, "", nil
}

// utf16Reader makes UTF-8 of UTF-16. Half a surrogate pair becomes the byte 0xFF,
// which no UTF-8 has, so that its row is refused and not altered.
type utf16Reader struct {
	r    peeker
	big  bool
	out  []byte // decoded and not yet read
	high rune   // half a pair that waits for the other, 0 for none
	err  error
}

func (u *utf16Reader) Read(p []byte) (int, error) {
	for len(u.out) == 0 && u.err == nil {
		u.fill()
	}
	if len(u.out) == 0 {
		return 0, u.err
	}
	n := copy(p, u.out)
	u.out = u.out[n:]
	return n, nil
}

func (u *utf16Reader) fill() {
	var in [8 << 10]byte
	n, err := io.ReadFull(u.r, in[:])
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	u.err = err
	u.out = u.out[:0]
	for i := 0; i+1 < n; i += 2 {
		unit := rune(in[i]) | rune(in[i+1])<<8
		if u.big {
			unit = rune(in[i])<<8 | rune(in[i+1])
		}
		if u.high != 0 {
			if both := utf16.DecodeRune(u.high, unit); both != unicode.ReplacementChar {
				u.out, u.high = utf8.AppendRune(u.out, both), 0
				continue
			}
			u.out, u.high = append(u.out, 0xff), 0
		}
		switch {
		case unit >= 0xd800 && unit < 0xdc00:
			u.high = unit
		case utf16.IsSurrogate(unit):
			u.out = append(u.out, 0xff)
		default:
			u.out = utf8.AppendRune(u.out, unit)
		}
	}
	if err != nil && (u.high != 0 || n%2 == 1) {
		u.out = append(u.out, 0xff)
	}
}

// beginning returns what a text begins with, without white space around it.
func beginning(text peeker) []byte {
	begin, _ := text.Peek(text.Size())
	return bytes.TrimSpace(begin)
}

// firstByte returns the first byte that is no white space, 0 for none near.
func firstByte(text peeker) byte {
	for n := 512; ; n *= 8 {
		begin, err := text.Peek(min(n, text.Size()))
		if trimmed := bytes.TrimLeft(begin, " \t\r\n"); len(trimmed) > 0 {
			return trimmed[0]
		}
		if err != nil || n >= text.Size() {
			return 0
		}
	}
}

// A line or a record may be unending bytes long: what is longer than Longest is passed
// over, and this is where that ends.
const unending = 32 * Longest

var errUnending = fmt.Errorf("it is longer than %d MiB, and so is no row of text; the file is damaged or is something else", unending>>20)

// errTooLong is a row of more than Longest bytes.
var errTooLong = fmt.Errorf("longer than %d MiB", Longest>>20)

// lineReader reads lines, each of bounded length.
type lineReader struct {
	text   peeker
	number int // of the line that was read last, from 1
	line   []byte
}

func newLineReader(text peeker) *lineReader { return &lineReader{text: text} }

// next returns the next line without its end, valid until the next call, and io.EOF
// behind the last. Of a line that is too long it returns errTooLong and goes behind
// it.
func (l *lineReader) next() ([]byte, error) {
	l.line = l.line[:0]
	l.number++
	length := 0
	for {
		part, err := l.text.ReadSlice('\n')
		length += len(part)
		if length <= Longest {
			l.line = append(l.line, part...)
		}
		switch {
		case length > unending:
			return nil, &fileError{errUnending}
		case err == bufio.ErrBufferFull:
			continue
		case err == io.EOF && length == 0:
			return nil, io.EOF
		case err != nil && err != io.EOF:
			return nil, &fileError{err}
		case length > Longest:
			return nil, errTooLong
		}
		return bytes.TrimSuffix(bytes.TrimSuffix(l.line, []byte{'\n'}), []byte{'\r'}), nil
	}
}

// fileError ends a file.
type fileError struct{ err error }

func (f *fileError) Error() string { return f.err.Error() }
func (f *fileError) Unwrap() error { return f.err }

// fault makes of an error about a line a *Bad, and of one about the file itself an
// error with the line.
func (r *Reader) fault(line int, err error) error {
	var whole *fileError
	var bad *Bad
	switch {
	case errors.As(err, &whole):
		return fmt.Errorf("line %d: %w", line, whole.err)
	case errors.As(err, &bad):
		bad.Path, bad.Line = r.path, line
		return bad
	}
	return r.bad(line, err.Error(), "")
}

// checkUTF8 names the first byte that is not UTF-8.
func checkUTF8(text []byte) error {
	if utf8.Valid(text) {
		return nil
	}
	at := 0
	for {
		r, n := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && n == 1 {
			return &Bad{Reason: "not UTF-8", Detail: fmt.Sprintf("byte %d of the line is not UTF-8; convert the file (iconv -f ENCODING -t UTF-8), for example from WINDOWS-1252 or GB18030", at)}
		}
		at += n
	}
}
