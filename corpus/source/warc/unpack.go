package warc

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// A packing is how a file is packed.
type packing int

const (
	plain packing = iota
	gzipped
	zstandard
)

// How members begin.
var (
	gzipMagic = []byte{0x1f, 0x8b, 8}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

// zstdDictionary begins a frame with the dictionary of all frames of a file (IIPC,
// "WARC compression with zstd", 1.0), skippable as those of 0x184d2a50 to 5f are.
const zstdDictionary = 0x184d2a5d

// recordMagic begins a record.
var recordMagic = []byte("WARC/")

// errBomb and errDamaged are why a member ends before its end. Errors of the file itself
// are neither.
var (
	errBomb    = errors.New("unpacks past the limit")
	errDamaged = errors.New("damaged")
)

// A member is where one begins: in the file, and in what all of them unpack to.
type member struct {
	packed, unpacked int64
	record           bool // what it unpacks to begins as a record does
}

// An unpacker reads what the members of a file unpack to, one behind the other. A file
// that is not packed is one member.
type unpacker struct {
	options Options
	in      io.ReadSeeker
	size    int64 // of the file
	counted countingReader
	file    *bufio.Reader // on counted, which is on in
	packing packing

	gz    *gzip.Reader
	zst   *zstd.Decoder
	frame frame
	dicts []zstd.DOption

	text    io.Reader // what the present member unpacks to; nil between members
	begun   []byte    // of that, what was read to see whether a record begins
	failed  error     // and how that ended
	total   int64     // bytes that Read has returned, less those taken back
	members []member  // those that may be asked for; the last is the present one
	again   int64     // how many more bytes of the file may be read a second time
}

// A countingReader counts, and keeps an error other than io.EOF, so that it can be told
// from a decoder's.
type countingReader struct {
	in     io.Reader
	n      int64
	failed error
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.failed = err
	}
	return n, err
}

// newUnpacker begins to read a file at its first byte.
func newUnpacker(in io.ReadSeeker, o Options) (*unpacker, error) {
	u := &unpacker{options: o, in: in}
	u.counted.in = in
	u.file = bufio.NewReaderSize(&u.counted, 64<<10)
	var err error
	if u.size, err = in.Seek(0, io.SeekEnd); err != nil {
		return nil, err
	}
	// Damage is looked at once more from where it began. An archive made for it could
	// ask for that at every byte.
	u.again = 4*u.size + 16<<20
	if err := u.seek(0); err != nil {
		return nil, err
	}
	begin, err := u.file.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(begin, gzipMagic[:2]):
		u.packing = gzipped
	case len(begin) == 4 && (bytes.Equal(begin, zstdMagic) || skippable(begin)):
		u.packing = zstandard
	}
	return u, nil
}

// at is how many bytes of the file are read.
func (u *unpacker) at() int64 { return u.counted.n - int64(u.file.Buffered()) }

// seek goes to an offset of the file, between members.
func (u *unpacker) seek(offset int64) error {
	if _, err := u.in.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	u.counted.n = offset
	u.file.Reset(&u.counted)
	u.text, u.begun, u.failed = nil, nil, nil
	return nil
}

// back goes back in the file, to an offset that unpacked is what stands at; false where
// enough was read twice.
func (u *unpacker) back(offset, unpacked int64) (bool, error) {
	if u.again -= max(0, u.at()-offset); u.again < 0 {
		return false, nil
	}
	for len(u.members) > 0 && u.members[len(u.members)-1].packed >= offset {
		u.members = u.members[:len(u.members)-1]
	}
	u.total = unpacked
	return true, u.seek(offset)
}

// member returns the member that holds an unpacked byte.
func (u *unpacker) member(unpacked int64) member {
	for i := len(u.members) - 1; i > 0; i-- {
		if u.members[i].unpacked <= unpacked {
			return u.members[i]
		}
	}
	if len(u.members) == 0 {
		return member{}
	}
	return u.members[0]
}

// forget drops the members before the one that holds an unpacked byte.
func (u *unpacker) forget(unpacked int64) {
	keep := 0
	for i := range u.members {
		if u.members[i].unpacked <= unpacked {
			keep = i
		}
	}
	u.members = u.members[:copy(u.members, u.members[keep:])]
}

// Read implements io.Reader over all members. It ends with io.EOF at the end of the
// file, and with errDamaged or errBomb within a member.
func (u *unpacker) Read(p []byte) (int, error) {
	for len(p) > 0 {
		if u.text == nil {
			if err := u.next(); err != nil {
				return 0, err
			}
		}
		if u.packing == plain {
			n, err := u.file.Read(p)
			u.total += int64(n)
			return n, err
		}
		if len(u.begun) > 0 {
			n := copy(p, u.begun)
			u.begun = u.begun[n:]
			u.total += int64(n)
			return n, nil
		}
		n, err := 0, u.failed
		if err == nil {
			n, err = u.text.Read(p)
		}
		u.total += int64(n)
		begin := u.members[len(u.members)-1]
		if got := u.total - begin.unpacked; got > ratioFloor && got/u.options.MaxRatio > u.at()-begin.packed {
			return n, fmt.Errorf("%w of %d times its size", errBomb, u.options.MaxRatio)
		}
		if u.total > u.options.MaxUnpacked {
			return n, fmt.Errorf("%w of %d bytes for the file", errBomb, u.options.MaxUnpacked)
		}
		switch {
		case err == io.EOF:
			u.text = nil
		case err != nil:
			return n, u.damage(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, nil
}

// ratioFloor is how much may be unpacked whatever the ratio: short runs of zeros are no
// attack.
const ratioFloor = 1 << 20

// damage tells an error of unpacking from one of the file.
func (u *unpacker) damage(err error) error {
	if u.counted.failed != nil {
		return u.counted.failed
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w: %w", errDamaged, err)
}

// next begins the next member, io.EOF where there is none.
func (u *unpacker) next() error {
	if u.packing == plain {
		if len(u.members) == 0 {
			u.members = append(u.members, member{})
		}
		u.text = u.file
		return nil
	}
	if err := u.pastPadding(); err != nil {
		return err
	}
	u.members = append(u.members, member{packed: u.at(), unpacked: u.total})
	if err := u.open(); err != nil {
		return u.damage(err)
	}
	// What it unpacks to says whether a record begins with it.
	begun := make([]byte, len(recordMagic))
	n := 0
	u.failed = nil
	for n < len(begun) && u.failed == nil {
		var more int
		more, u.failed = u.text.Read(begun[n:])
		n += more
	}
	u.begun = begun[:n]
	u.members[len(u.members)-1].record = bytes.Equal(u.begun, recordMagic)
	return nil
}

// pastPadding goes to where the next member begins: behind zeros in gzip, behind
// skippable frames in zstd.
func (u *unpacker) pastPadding() error {
	for {
		begin, err := u.file.Peek(8)
		if len(begin) == 0 {
			return err
		}
		switch {
		case u.packing == gzipped && begin[0] == 0:
			u.file.Discard(1)
		case u.packing == zstandard && len(begin) == 8 && skippable(begin):
			size := int64(binary.LittleEndian.Uint32(begin[4:]))
			u.file.Discard(8)
			if binary.LittleEndian.Uint32(begin) == zstdDictionary && u.zst == nil && size <= maxDictionary {
				err = u.readDictionary(size)
			} else {
				_, err = io.CopyN(io.Discard, u.file, size)
			}
			if err != nil {
				u.members = append(u.members, member{packed: u.at(), unpacked: u.total})
				return u.damage(err)
			}
		default:
			return nil
		}
	}
}

// open opens the member that begins here.
func (u *unpacker) open() (err error) {
	if u.packing == gzipped {
		if u.gz == nil {
			u.gz, err = gzip.NewReader(u.file)
		} else {
			err = u.gz.Reset(u.file)
		}
		if err == nil {
			u.gz.Multistream(false)
			u.text = u.gz
		}
		return err
	}
	if u.zst == nil {
		u.zst, err = newZstd(nil, u.dicts...)
		if err != nil {
			return err
		}
	}
	// The decoder takes a frame whose header is cut for the end of all frames.
	if u.frame, err = newFrame(u.file); err != nil {
		return err
	}
	u.text = u.zst
	return u.zst.Reset(&u.frame)
}

// maxWindow is the largest window of a frame, in bytes, which a decoder takes whole; RFC 8878
// asks for 8 MiB at least.
const maxWindow = 32 << 20

// newZstd makes a decoder without goroutines and with bounded memory.
func newZstd(in io.Reader, more ...zstd.DOption) (*zstd.Decoder, error) {
	return zstd.NewReader(in, append(more, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))...)
}

// maxDictionary bounds a dictionary, in bytes; packed ones unpack to at most as much.
const maxDictionary = 4 << 20

// readDictionary reads the dictionary of all frames, which may be packed itself.
func (u *unpacker) readDictionary(size int64) error {
	var dictionary bytes.Buffer
	if _, err := io.CopyN(&dictionary, u.file, size); err != nil {
		return err
	}
	if bytes.HasPrefix(dictionary.Bytes(), zstdMagic) {
		d, err := newZstd(nil, zstd.WithDecoderMaxMemory(maxDictionary))
		if err != nil {
			return err
		}
		defer d.Close()
		unpacked, err := d.DecodeAll(dictionary.Bytes(), nil)
		if err != nil {
			return err
		}
		u.dicts = []zstd.DOption{zstd.WithDecoderDicts(unpacked)}
	} else {
		u.dicts = []zstd.DOption{zstd.WithDecoderDicts(dictionary.Bytes())}
	}
	return nil
}

// resync goes to the next member that begins a record. After damage it is looked for
// behind the beginning of the damaged member, since the decoder may have run past
// others; after a bomb from where unpacking stopped. io.EOF: there is none.
func (u *unpacker) resync(bomb bool) error {
	magic := gzipMagic
	if u.packing == zstandard {
		magic = zstdMagic
	}
	if !bomb && len(u.members) > 0 {
		if _, err := u.back(u.members[len(u.members)-1].packed+1, u.total); err != nil {
			return err
		}
	}
	u.text, u.begun, u.failed = nil, nil, nil
	for {
		window, err := u.file.Peek(32 << 10)
		if err != nil && err != io.EOF {
			return err
		}
		i := bytes.Index(window, magic)
		if i < 0 {
			if err == io.EOF {
				return io.EOF
			}
			u.file.Discard(len(window) - len(magic) + 1)
			continue
		}
		u.file.Discard(i)
		at, before := u.at(), len(u.members)
		err = u.next()
		if err == nil && u.members[len(u.members)-1].record {
			return nil
		}
		if err != nil && err != io.EOF && !errors.Is(err, errDamaged) {
			return err
		}
		u.members = u.members[:before]
		if _, err := u.back(at+1, u.total); err != nil {
			return err
		}
		u.text, u.begun, u.failed = nil, nil, nil
	}
}

// skippable tells whether a frame of zstd is one that decoders pass over (RFC 8878,
// 3.1.2).
func skippable(begin []byte) bool { return binary.LittleEndian.Uint32(begin)&^0xf == 0x184d2a50 }

// A frame reads the bytes of one frame of zstd and no more, so that it is known where
// the next begins (RFC 8878, 3.1.1).
type frame struct {
	in   *bufio.Reader
	left int  // bytes of the present piece
	last bool // the last block is the present piece, or passed
	sum  int  // bytes of the checksum behind it
}

// newFrame begins to read a frame, with its header as the first piece.
func newFrame(in *bufio.Reader) (frame, error) {
	begin, err := in.Peek(zstd.HeaderMaxSize)
	if err != nil && err != io.EOF {
		return frame{}, err
	}
	if !bytes.HasPrefix(begin, zstdMagic) {
		return frame{}, errors.New("zstd: no frame begins here")
	}
	var h zstd.Header
	if err := h.Decode(begin); err != nil {
		return frame{}, err
	}
	f := frame{in: in, left: h.HeaderSize}
	if h.HasCheckSum {
		f.sum = 4
	}
	return f, nil
}

func (f *frame) Read(p []byte) (int, error) {
	for f.left == 0 {
		switch {
		case !f.last:
			b, err := f.in.Peek(3)
			if err == io.EOF {
				return 0, io.ErrUnexpectedEOF
			} else if err != nil {
				return 0, err
			}
			head := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
			f.last = head&1 != 0
			f.left = 3 + head>>3
			if head>>1&3 == 1 { // a byte that is repeated
				f.left = 3 + 1
			}
		case f.sum > 0:
			f.left, f.sum = f.sum, 0
		default:
			return 0, io.EOF
		}
	}
	n, err := f.in.Read(p[:min(len(p), f.left)])
	f.left -= n
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
