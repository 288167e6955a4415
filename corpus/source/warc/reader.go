package warc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// Options bound what is read. The zero value of each stands for what its comment says.
type Options struct {
	// MaxHeader is the longest header of a record in bytes. 0: 256 KiB.
	MaxHeader int
	// MaxRecord is the largest block in bytes. 0: 32 MiB.
	MaxRecord int64
	// MaxBody is the largest body of a response in bytes, unpacked. 0: 32 MiB.
	MaxBody int64
	// MaxRatio is how many times its own size a member of the file, or a body, may unpack
	// to, once that is more than 1 MiB. 0: 200.
	MaxRatio int64
	// MaxUnpacked is how much a file may unpack to in bytes. 0: 1 TiB.
	MaxUnpacked int64
	// Digests compares blocks with WARC-Block-Digest where that is SHA-1, SHA-256 or MD5.
	Digests bool
}

func (o Options) withDefaults() Options {
	if o.MaxHeader == 0 {
		o.MaxHeader = 256 << 10
	}
	if o.MaxRecord == 0 {
		o.MaxRecord = 32 << 20
	}
	if o.MaxBody == 0 {
		o.MaxBody = 32 << 20
	}
	if o.MaxRatio == 0 {
		o.MaxRatio = 200
	}
	if o.MaxUnpacked == 0 {
		o.MaxUnpacked = 1 << 40
	}
	return o
}

// A Reader reads the records of one archive. It is for one goroutine.
type Reader struct {
	name    string
	options Options
	u       *unpacker
	text    *bufio.Reader // on u
	block   []byte
	header  []byte
	passed  map[string]int64
	found   bool  // a record was
	ended   bool  // there is no more
	later   error // damage that was met when the record before was whole
	failure error // of the file, after a fault

	bodyGzip *gzip.Reader
}

// NewReader begins to read an archive, whose packing its first bytes tell. name is what
// faults call it.
func NewReader(in io.ReadSeeker, name string, o Options) (*Reader, error) {
	o = o.withDefaults()
	u, err := newUnpacker(in, o)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return &Reader{name: name, options: o, u: u, text: bufio.NewReaderSize(u, 64<<10), passed: map[string]int64{}}, nil
}

// Passed returns how many records were passed over so far, by their types.
func (r *Reader) Passed() map[string]int64 { return r.passed }

// Records yields the responses, resources and conversions of the archive in order. An
// error that is a *Fault is a part that is not taken; more may follow. Any other error
// is the last.
func (r *Reader) Records() iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		for {
			record, err := r.next()
			if err == io.EOF {
				return
			}
			var bad *Fault
			if record == nil && err == nil { // passed over
				continue
			}
			if !yield(record, err) || err != nil && !errors.As(err, &bad) {
				return
			}
		}
	}
}

// at is how many unpacked bytes are read.
func (r *Reader) at() int64 { return r.u.total - int64(r.text.Buffered()) }

// place says where an unpacked byte stands in the file.
func (r *Reader) place(at int64) (offset, within int64) {
	if r.u.packing == plain {
		return at, 0
	}
	m := r.u.member(at)
	return m.packed, at - m.unpacked
}

// refuse makes the fault of what begins at start and ends at end.
func (r *Reader) refuse(start, end int64, bad *fault) *Fault {
	f := &Fault{File: r.name, Bytes: end - start, Reason: bad.reason, Detail: bad.detail}
	f.Offset, f.Within = r.place(start)
	return f
}

// next returns the next record, nil where it is passed over, a *Fault, io.EOF, or the
// error that ends reading.
func (r *Reader) next() (*Record, error) {
	if r.failure != nil {
		return nil, r.failure
	}
	if r.ended {
		return nil, io.EOF
	}
	if err := r.later; err != nil {
		r.later = nil
		return nil, r.broken(r.at(), err)
	}
	if err := r.pastBlank(); err != nil {
		if err == io.EOF {
			r.ended = true
			if !r.found {
				return nil, r.refuse(0, r.at(), faultf(NoWARC, "it holds no record"))
			}
			return nil, io.EOF
		}
		return nil, r.broken(r.at(), err)
	}
	start := r.at()
	r.u.forget(start)
	begin, err := r.text.Peek(len(recordMagic))
	if err != nil && err != io.EOF {
		return nil, r.broken(start, err)
	}
	if !bytes.Equal(begin, recordMagic) {
		return nil, r.notARecord(start)
	}
	version, fields, length, bad, err := r.readHeader()
	if err != nil {
		return nil, r.cut(start, start+1, "header", err)
	}
	if m, ok := r.crossed(start, r.at()); ok {
		return nil, r.restart(start, m, "its header")
	}
	if bad != nil {
		return nil, r.scan(start, bad)
	}
	r.found = true
	headerEnd := r.at()
	kind := strings.ToLower(fields.Get("WARC-Type"))
	wanted := kind == "response" || kind == "resource" || kind == "conversion"
	if left := r.u.size - headerEnd; r.u.packing == plain && length > left {
		return nil, r.scan(start, faultf(BadRecord, "its block has %d bytes, and the file %d more", length, left))
	}
	keep := wanted && length <= r.options.MaxRecord
	r.block = r.block[:0]
	for left := length; left > 0; {
		part := int(min(left, 1<<20))
		var n int
		if keep {
			r.block = append(r.block, make([]byte, part)...)
			n, err = io.ReadFull(r.text, r.block[len(r.block)-part:])
		} else {
			n, err = r.text.Discard(part)
		}
		if m, ok := r.crossed(start, r.at()); ok {
			return nil, r.restart(start, m, "its block")
		}
		if err != nil {
			return nil, r.cut(start, headerEnd, "block", err)
		}
		left -= int64(n)
	}
	end := r.at()
	if err := r.boundary(start, headerEnd); err != nil {
		return nil, err
	}
	switch {
	case !wanted:
		r.passed[kind]++
		return nil, nil
	case !keep:
		return nil, r.refuse(start, end, faultf(TooLarge, "its block has %d bytes; the limit is %d", length, r.options.MaxRecord))
	case fields.Get("WARC-Segment-Number") != "":
		return nil, r.refuse(start, end, faultf(Segmented, "its block is segment %.20s", fields.Get("WARC-Segment-Number")))
	}
	if r.options.Digests {
		if bad := checkDigest(fields.Get("WARC-Block-Digest"), r.block); bad != nil {
			return nil, r.refuse(start, end, bad)
		}
	}
	record := &Record{Version: version, Type: kind, Header: fields, Block: r.block, reader: r}
	record.Offset, record.Within = r.place(start)
	return record, nil
}

// pastBlank goes past line ends.
func (r *Reader) pastBlank() error {
	for {
		c, err := r.text.ReadByte()
		if err != nil {
			return err
		}
		if c != '\r' && c != '\n' {
			return r.text.UnreadByte()
		}
	}
}

// readHeader reads a record's header with the empty line behind it. An error is one of
// reading; what is wrong with the header is bad.
func (r *Reader) readHeader() (version string, fields Fields, length int64, bad *fault, err error) {
	r.header = r.header[:0]
	for {
		line, err := r.text.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return "", nil, 0, nil, err
		}
		if len(r.header)+len(line) > r.options.MaxHeader {
			return "", nil, 0, faultf(BadRecord, "its header is longer than %d bytes", r.options.MaxHeader), nil
		}
		begins := len(r.header) == 0 || r.header[len(r.header)-1] == '\n' // of a line
		r.header = append(r.header, line...)
		if begins && err == nil && len(bytes.TrimRight(line, "\r\n")) == 0 {
			version, fields, length, bad = parseHeader(r.header)
			return version, fields, length, bad, nil
		}
	}
}

// crossed returns a member that begins a record between two unpacked bytes, which
// should be one record.
func (r *Reader) crossed(start, end int64) (member, bool) {
	for _, m := range r.u.members {
		if m.record && m.unpacked > start && m.unpacked < end {
			return m, true
		}
	}
	return member{}, false
}

// restart refuses a record that another begins in, and goes on with that.
func (r *Reader) restart(start int64, m member, where string) error {
	f := r.refuse(start, m.unpacked, faultf(BadRecord, "another record begins in %s, at byte %d of the file", where, m.packed))
	if done, err := r.u.back(m.packed, m.unpacked); err != nil {
		r.failure = fmt.Errorf("reading %s: %w", r.name, err)
	} else if done {
		r.text.Reset(r.u)
	} else {
		return r.scanOn(f)
	}
	return f
}

// boundary refuses a record that is not followed by an empty line, another record or
// the end, since its length is wrong.
func (r *Reader) boundary(start, headerEnd int64) error {
	begin, err := r.text.Peek(4)
	twice := bytes.Equal(begin, []byte("\r\n\r\n")) || bytes.HasPrefix(begin, []byte("\n\n"))
	if blank := len(begin) - len(bytes.TrimLeft(begin, "\r\n")); blank == len(begin) || err == nil {
		r.text.Discard(blank)
		if err == nil {
			// What unpacks to a record ends here as a rule; its checksum is compared now.
			_, err = r.text.Peek(1)
		}
		if err == nil && !twice {
			err = r.pastBlank()
		}
		if err == nil && twice || err == io.EOF {
			return nil
		}
	}
	if err != nil && err != io.EOF {
		if n := len(r.u.members); r.u.packing != plain && n > 0 && r.u.members[n-1].unpacked >= r.at() {
			r.later = err // of a member behind the record
			return nil
		}
		return r.broken(start, err)
	}
	begin, err = r.text.Peek(len(recordMagic))
	if err != nil && err != io.EOF {
		return r.broken(start, err)
	}
	if bytes.Equal(begin, recordMagic) {
		return nil
	}
	return r.scanFrom(start, headerEnd, faultf(BadRecord, "no record follows where its block ends by its Content-Length"))
}

// cut refuses a record that the file, or the member, ends in.
func (r *Reader) cut(start, headerEnd int64, where string, err error) error {
	if err != io.EOF && err != io.ErrUnexpectedEOF {
		return r.broken(start, err)
	}
	return r.scanFrom(start, headerEnd, faultf(BadRecord, "the file ends in its %s", where))
}

// notARecord refuses bytes that are no record, up to the next.
func (r *Reader) notARecord(start int64) error {
	bad := faultf(BadRecord, "no record begins here")
	if begin, _ := r.text.Peek(len(arcMagic)); !r.found && string(begin) == arcMagic {
		r.ended = true
		return r.refuse(start, r.u.size, faultf(NoWARC, "it is an ARC file, which is not read; convert it to WARC, as warcio recompress does"))
	}
	return r.scan(start, bad)
}

// arcMagic begins an ARC file.
const arcMagic = "filedesc://"

// scanFrom is scan from an earlier byte where the file is not packed: a wrong length may
// have run over records.
func (r *Reader) scanFrom(start, from int64, bad *fault) error {
	if r.u.packing == plain && from < r.at() {
		if done, err := r.u.back(from, from); err != nil {
			r.failure = fmt.Errorf("reading %s: %w", r.name, err)
			return r.refuse(start, r.at(), bad)
		} else if done {
			r.text.Reset(r.u)
		}
	}
	return r.scan(start, bad)
}

// scan refuses what begins at start, up to the next line that begins a record.
func (r *Reader) scan(start int64, bad *fault) error {
	f := r.refuse(start, r.at(), bad)
	err := r.scanOn(f)
	f.Bytes = max(f.Bytes, r.at()-start)
	if !r.found && r.ended {
		f.Reason, f.Detail = NoWARC, "it holds no record: "+bad.detail
	}
	return err
}

func (r *Reader) scanOn(f *Fault) error {
	if begin, _ := r.text.Peek(len(recordMagic)); bytes.Equal(begin, recordMagic) {
		return f
	}
	for {
		_, err := r.text.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			continue
		}
		if err == nil {
			var begin []byte
			begin, err = r.text.Peek(len(recordMagic))
			if bytes.Equal(begin, recordMagic) {
				return f
			}
			if err == nil {
				continue
			}
			if err == io.EOF && len(begin) > 0 {
				continue
			}
		}
		if err == io.EOF {
			r.ended = true
			return f
		}
		var damage *Fault
		if errors.As(r.broken(r.at(), err), &damage) { // what was damaged is told, what is damaged too is behind it
			f.Detail += "; then " + damage.Detail
		}
		return f
	}
}

// broken refuses what begins at start for an error of unpacking, and goes to the next
// member that begins a record. Any other error is of the file, and the last.
func (r *Reader) broken(start int64, err error) error {
	bomb := errors.Is(err, errBomb)
	if !bomb && !errors.Is(err, errDamaged) {
		r.failure = fmt.Errorf("reading %s: %w", r.name, err)
		return r.failure
	}
	reason := BadArchive
	if bomb {
		reason = Bomb
	}
	f := r.refuse(start, r.u.total, faultf(reason, "%v", err))
	if r.u.total > r.options.MaxUnpacked {
		r.ended = true
		return f
	}
	err = r.u.resync(bomb)
	r.text.Reset(r.u)
	switch {
	case err == io.EOF:
		r.ended = true
	case err != nil:
		r.failure = fmt.Errorf("reading %s: %w", r.name, err)
	}
	return f
}
