package corpus

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// Folder is a folder of text as a source: every regular file below Root, in
// lexical order of the paths, links not followed, hidden names left out.
//
//   - NAME.jsonl and NAME.ndjson hold one JSON object a line with a string
//     "text"; each line is a document, named "NAME.jsonl:LINE". A string
//     "group" is its Group. NAME.json does too where its first line is one.
//   - Any other file is one document, or several where Cut says so.
//   - NAME.gz and NAME.zst are unpacked on the way.
//
// The group of a document without one of its own is its name, so that the
// split goes by file, by line, or by part.
type Folder struct {
	// Root is the folder, or a single file.
	Root string
	// MaxDocument is the largest document in bytes, and the longest line of a
	// JSONL file; it bounds the memory of reading. 0: DefaultMaxDocument.
	MaxDocument int
	// MaxUnpacked is how many bytes one compressed file may unpack to, and
	// MaxRatio how many times its own size. 0: DefaultMaxUnpacked and
	// DefaultMaxRatio.
	MaxUnpacked int64
	MaxRatio    int64
	// Cut, if not 0, cuts text files into documents of at most so many bytes,
	// named "FILE#1" and on, each at the last paragraph's end that fits, else
	// the last line's, else the last whole character.
	Cut int
}

// What the zero values of Folder's limits stand for.
const (
	DefaultMaxDocument = 16 << 20
	DefaultMaxUnpacked = 4 << 30
	DefaultMaxRatio    = 200
)

// ratioFloor is how much a file may unpack to whatever its ratio: short runs
// of zeros are no attack.
const ratioFloor = 1 << 20

func (f Folder) withDefaults() Folder {
	if f.MaxDocument == 0 {
		f.MaxDocument = DefaultMaxDocument
	}
	if f.MaxUnpacked == 0 {
		f.MaxUnpacked = DefaultMaxUnpacked
	}
	if f.MaxRatio == 0 {
		f.MaxRatio = DefaultMaxRatio
	}
	return f
}

// Name returns the path as given.
func (f Folder) Name() string { return f.Root }

// Read implements Source. It fails only where Root itself cannot be read.
func (f Folder) Read(ctx context.Context, accept func(Document) error, refuse func(Refusal)) error {
	f = f.withDefaults()
	if f.Cut < 0 || f.Cut > 0 && f.Cut < utf8.UTFMax {
		return artifact.Errorf(artifact.ErrUsage, "reading text folder %s: cut of %d bytes: it must be 0 or at least %d", f.Root, f.Cut, utf8.UTFMax)
	}
	if _, err := os.Stat(f.Root); err != nil {
		return fmt.Errorf("reading text folder: %w; name a folder that exists", err)
	}
	err := filepath.WalkDir(f.Root, func(name string, d fs.DirEntry, err error) error {
		if ctxErr := ctx.Err(); ctxErr != nil {
			return ctxErr
		}
		rel, relErr := filepath.Rel(f.Root, name)
		if relErr != nil {
			return relErr
		}
		if rel == "." {
			rel = filepath.Base(name)
		}
		rel = filepath.ToSlash(rel)
		no := func(reason Reason, detail string) {
			r := Refusal{Source: f.Name(), File: rel, Reason: reason, Detail: detail}
			if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
				r.Bytes = info.Size()
			}
			refuse(r)
		}
		switch {
		case err != nil && name == f.Root:
			return err
		case err != nil:
			no(Unreadable, err.Error())
			return nil
		case name != f.Root && strings.HasPrefix(d.Name(), "."):
			no(Hidden, "")
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		case !d.Type().IsRegular():
			no(NotRegular, d.Type().String())
			return nil
		}
		return f.readFile(ctx, name, rel, accept, refuse)
	})
	if err != nil {
		return fmt.Errorf("reading text folder %s: %w", f.Root, err)
	}
	return nil
}

// readFile yields the documents of one file. Only accept's and the context's
// errors come back.
func (f Folder) readFile(ctx context.Context, name, rel string, accept func(Document) error, refuse func(Refusal)) error {
	no := func(offset, size int64, reason Reason, detail string) {
		refuse(Refusal{Source: f.Name(), File: rel, Offset: offset, Reason: reason, Bytes: size, Detail: detail})
	}
	file, err := os.Open(name)
	if err != nil {
		no(0, 0, Unreadable, err.Error())
		return nil
	}
	defer file.Close()
	in, plain, err := f.unpack(file, rel)
	if err != nil {
		no(0, 0, reasonOf(err), err.Error())
		return nil
	}
	defer in.Close()
	text := bufio.NewReaderSize(in, 64<<10)
	if ext := filepath.Ext(plain); ext == ".jsonl" || ext == ".ndjson" || ext == ".json" && holdsLines(text) {
		return f.readLines(ctx, text, rel, accept, no)
	}
	return f.readText(text, rel, accept, no)
}

// holdsLines tells whether a file that is called JSON holds an object with a text on
// its first line, as JSON Lines have it.
func holdsLines(text *bufio.Reader) bool {
	begin, _ := text.Peek(text.Size())
	first, _, whole := bytes.Cut(bytes.TrimPrefix(begin, utf8BOM), []byte{'\n'})
	var row struct{ Text *string }
	return whole && json.Unmarshal(first, &row) == nil && row.Text != nil
}

var utf8BOM = []byte("\ufeff")

func (f Folder) readText(in io.Reader, rel string, accept func(Document) error, no func(int64, int64, Reason, string)) error {
	data, err := io.ReadAll(io.LimitReader(in, int64(f.MaxDocument)+1))
	switch {
	case err != nil:
		no(int64(len(data)), int64(len(data)), reasonOf(err), err.Error())
		return nil
	case len(data) > f.MaxDocument:
		no(int64(f.MaxDocument), int64(len(data)), TooLarge, fmt.Sprintf("the limit is %d bytes", f.MaxDocument))
		return nil
	}
	text := string(bytes.TrimPrefix(data, utf8BOM))
	if reason, at := checkText(text); reason != "" {
		no(at, int64(len(data)), reason, "")
		return nil
	}
	if f.Cut == 0 {
		return accept(Document{ID: rel, Source: f.Name(), Text: text})
	}
	for part := 1; text != ""; part++ {
		n := cutAt(text, f.Cut)
		if err := accept(Document{ID: fmt.Sprintf("%s#%d", rel, part), Source: f.Name(), Text: text[:n]}); err != nil {
			return err
		}
		text = text[n:]
	}
	return nil
}

// cutAt returns the length of the first part of text, at most limit bytes.
func cutAt(text string, limit int) int {
	if len(text) <= limit {
		return len(text)
	}
	if i := strings.LastIndex(text[:limit], "\n\n"); i > 0 {
		return i + 2
	}
	if i := strings.LastIndexByte(text[:limit], '\n'); i > 0 {
		return i + 1
	}
	for limit > 1 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return limit
}

func (f Folder) readLines(ctx context.Context, in io.Reader, rel string, accept func(Document) error, no func(int64, int64, Reason, string)) error {
	r := bufio.NewReaderSize(in, 64<<10)
	var offset int64
	for number := 1; ; number++ {
		line, size, err := readLine(r, f.MaxDocument)
		start := offset
		offset += size
		if ctxErr := ctx.Err(); ctxErr != nil {
			return ctxErr
		}
		if err != nil && err != io.EOF {
			no(offset, size, reasonOf(err), err.Error())
			return nil
		}
		if number == 1 {
			line = bytes.TrimPrefix(line, utf8BOM)
		}
		if size > int64(f.MaxDocument) {
			no(start, size, TooLarge, fmt.Sprintf("line %d; the limit is %d bytes", number, f.MaxDocument))
		} else if len(bytes.TrimSpace(line)) > 0 {
			doc, reason, at, detail := parseLine(line)
			if reason != "" {
				no(start+at, size, reason, fmt.Sprintf("line %d%s", number, detail))
			} else {
				doc.ID, doc.Source = fmt.Sprintf("%s:%d", rel, number), f.Name()
				if err := accept(doc); err != nil {
					return err
				}
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

// readLine returns the next line with its end, of which it keeps the first
// limit bytes, and the number of bytes that it read.
func readLine(r *bufio.Reader, limit int) (line []byte, size int64, err error) {
	for {
		part, err := r.ReadSlice('\n')
		size += int64(len(part))
		if room := limit - len(line); room > 0 {
			line = append(line, part[:min(room, len(part))]...)
		}
		if err != bufio.ErrBufferFull {
			return line, size, err
		}
	}
}

// parseLine reads one JSON object. at is the offset of a fault in the line.
func parseLine(line []byte) (doc Document, reason Reason, at int64, detail string) {
	for i := 0; i < len(line); {
		r, n := utf8.DecodeRune(line[i:])
		if r == utf8.RuneError && n == 1 {
			return doc, BadUTF8, int64(i), ""
		}
		i += n
	}
	var fields struct {
		Text  json.RawMessage `json:"text"`
		Group json.RawMessage `json:"group"`
	}
	if err := json.Unmarshal(line, &fields); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			at = max(0, syntax.Offset-1)
		}
		return doc, BadJSON, at, ": " + err.Error()
	}
	var text *string
	if len(fields.Text) == 0 || json.Unmarshal(fields.Text, &text) != nil || text == nil {
		return doc, NoText, 0, ""
	}
	if loneSurrogate(fields.Text) {
		return doc, BadUTF8, 0, ": an escape names half of a surrogate pair"
	}
	if reason, _ := checkText(*text); reason != "" {
		return doc, reason, 0, ": in the text field"
	}
	doc.Text = *text
	// A group of another type is somebody else's field, not a fault.
	_ = json.Unmarshal(fields.Group, &doc.Group)
	return doc, "", 0, ""
}

// loneSurrogate reports whether a JSON string holds an escape \uD800–\uDFFF
// without its other half, which encoding/json would turn into U+FFFD.
func loneSurrogate(raw []byte) bool {
	const high, low = 1, 2
	half := func(i int) int {
		if i+6 > len(raw) || raw[i] != '\\' || raw[i+1] != 'u' || raw[i+2]|0x20 != 'd' {
			return 0
		}
		switch c := raw[i+3] | 0x20; {
		case c == '8' || c == '9' || c == 'a' || c == 'b':
			return high
		case c >= 'c' && c <= 'f':
			return low
		}
		return 0
	}
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		switch half(i) {
		case low:
			return true
		case high:
			if half(i+6) != low {
				return true
			}
			i += 11
		default:
			i++ // the escaped character
		}
	}
	return false
}

// Errors of unpacking, to be told apart from those of the file.
var (
	errBomb    = errors.New("unpacks past the limit")
	errArchive = errors.New("damaged archive")
)

func reasonOf(err error) Reason {
	switch {
	case errors.Is(err, errBomb):
		return Bomb
	case errors.Is(err, errArchive):
		return BadArchive
	}
	return Unreadable
}

// unpack wraps file by its name's extension and returns the name without it.
func (f Folder) unpack(file io.Reader, name string) (in io.ReadCloser, plain string, err error) {
	packed := &countingReader{r: file}
	switch ext := filepath.Ext(name); ext {
	case ".gz":
		z, err := gzip.NewReader(packed)
		if err != nil {
			return nil, "", fmt.Errorf("%w: %w", errArchive, err)
		}
		return &guard{in: z, close: z.Close, packed: packed, folder: f}, strings.TrimSuffix(name, ext), nil
	case ".zst":
		z, err := zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(64<<20))
		if err != nil {
			return nil, "", fmt.Errorf("%w: %w", errArchive, err)
		}
		return &guard{in: z, close: func() error { z.Close(); return nil }, packed: packed, folder: f}, strings.TrimSuffix(name, ext), nil
	}
	return io.NopCloser(file), name, nil
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// guard ends an unpacking stream that grows beyond the folder's limits: the
// decoders of gzip and zstd have none of their own.
type guard struct {
	in     io.Reader
	close  func() error
	packed *countingReader
	folder Folder
	n      int64
}

func (g *guard) Read(p []byte) (int, error) {
	n, err := g.in.Read(p)
	g.n += int64(n)
	switch {
	case g.n > g.folder.MaxUnpacked:
		return n, fmt.Errorf("%w of %d bytes", errBomb, g.folder.MaxUnpacked)
	case g.n > ratioFloor && g.n/g.folder.MaxRatio > g.packed.n:
		return n, fmt.Errorf("%w of %d times its size", errBomb, g.folder.MaxRatio)
	case err != nil && err != io.EOF:
		return n, fmt.Errorf("%w: %w", errArchive, err)
	}
	return n, err
}

func (g *guard) Close() error { return g.close() }
