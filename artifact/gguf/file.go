package gguf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"os"
	"slices"
	"sort"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
)

const (
	magic            = "GGUF"
	version          = 3
	defaultAlignment = 32
	alignmentKey     = "general.alignment"

	// Limits of what is accepted, all above what any model has.
	maxKey       = 1<<16 - 1 // bytes of a key or a tensor's name; the format's own limit
	maxEntries   = 1 << 16
	maxTensors   = 1 << 20
	maxAlignment = 1 << 20
	maxDims      = 4 // the format's own limit
)

// An Entry is one key with its value: a uint8, int8, uint16, int16, uint32,
// int32, uint64, int64, float32, float64, bool or string, or a slice of one of
// these.
type Entry struct {
	Key   string
	Value any
}

// TensorInfo describes a tensor of a file.
type TensorInfo struct {
	Name   string
	Shape  []int // row-major
	Type   Type
	Offset int64 // of the first byte in the file
	Size   int64 // in bytes

	r io.ReaderAt // of the part that has it
}

// Elements is the number of elements.
func (t TensorInfo) Elements() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// A File is an opened GGUF file: its metadata in memory, its tensors on disk.
// Its methods may be called from several goroutines.
type File struct {
	Version   int
	Alignment int

	name    string
	r       io.ReaderAt
	close   func() error
	entries []Entry
	keys    []int32 // indices of entries in the order of keys
	infos   []TensorInfo
	names   []int32 // indices of infos in the order of names
}

// Open opens a GGUF file, or the parts of a model in several of which it is one, and
// checks their whole headers. Close closes it.
func Open(path string) (*File, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	all, err := joinParts(path, f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return all, nil
}

// open opens one file.
func open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = artifact.Mark(artifact.ErrNotFound, err)
		}
		return nil, fmt.Errorf("opening GGUF file: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = artifact.Errorf(artifact.ErrUsage, "reading %s: it is no regular file; give the path of a .gguf file", path)
	}
	var file *File
	if err == nil {
		file, err = Parse(path, f, info.Size())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	file.close = f.Close
	return file, nil
}

// Parse reads the header of a GGUF file of so many bytes; name is for errors.
// Whatever the bytes say, it allocates at most 4 × size + 1 MiB. Damage is an
// [artifact.ErrCorrupt], a version or a tensor type that is not read an
// [artifact.ErrUsage].
func Parse(name string, r io.ReaderAt, size int64) (*File, error) {
	f := &File{name: name, r: r, Alignment: defaultAlignment}
	h := &headerReader{r: bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 32<<10), left: size, size: size}
	err := f.parse(h)
	if err == nil {
		return f, nil
	}
	var refused *refusal
	if errors.As(err, &refused) {
		return nil, artifact.Errorf(artifact.ErrUsage, "reading %s: %w", name, err)
	}
	if errors.Is(err, errOther) {
		return nil, artifact.Errorf(artifact.ErrCorrupt, "reading %s: %w; give one, or the folder of a model", name, err)
	}
	return nil, artifact.Errorf(artifact.ErrCorrupt, "reading %s: at byte %d: %w: the file was damaged or cut off; fetch or write it again", name, h.size-h.left, err)
}

var errOther = errors.New("it is no GGUF file")

// A refusal is a sound file that asks for what is not read.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

func refusef(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

func (f *File) parse(h *headerReader) error {
	start, err := h.bytes(4)
	if err != nil {
		return err
	}
	if string(start) != magic {
		return fmt.Errorf("%w: it begins with %q, one of those with %q", errOther, start, magic)
	}
	v, err := h.uint32()
	if err != nil {
		return err
	}
	switch {
	case v == 1:
		return refusef("version 1, which alma does not read; convert the model again with a current tool")
	case bits.ReverseBytes32(v) <= version && v != 0:
		return refusef("a big-endian file, which alma does not read; convert the model again as little-endian")
	case v != 2 && v != version:
		return refusef("version %d; alma reads 2 and %d", v, version)
	}
	f.Version = int(v)
	tensors, err := h.uint64()
	if err != nil {
		return err
	}
	entries, err := h.uint64()
	if err != nil {
		return err
	}
	// A tensor takes at least a length, a name's byte, a count of dimensions,
	// one dimension, a type and an offset; an entry a length, a key's byte, a
	// type and a value's byte.
	if limit := min(maxTensors, h.left/33); tensors > uint64(limit) {
		return fmt.Errorf("%d tensors are announced; the %d bytes left hold at most %d", tensors, h.left, limit)
	}
	if limit := min(maxEntries, h.left/14); entries > uint64(limit) {
		return fmt.Errorf("%d metadata entries are announced; the %d bytes left hold at most %d", entries, h.left, limit)
	}
	if err := f.parseEntries(h, int(entries)); err != nil {
		return err
	}
	if a, ok := f.Value(alignmentKey); ok {
		alignment, ok := a.(uint32)
		if !ok || alignment == 0 || alignment&(alignment-1) != 0 || alignment > maxAlignment {
			return fmt.Errorf("%s is %v, want a power of two up to %d, of type uint32", alignmentKey, a, maxAlignment)
		}
		f.Alignment = int(alignment)
	}
	return f.parseTensors(h, int(tensors))
}

func (f *File) parseEntries(h *headerReader, n int) error {
	f.entries = make([]Entry, 0, n)
	for i := range n {
		key, err := h.name()
		if err != nil {
			return fmt.Errorf("key of metadata entry %d: %w", i, err)
		}
		value, err := h.value()
		if err != nil {
			return fmt.Errorf("metadata entry %q: %w", key, err)
		}
		f.entries = append(f.entries, Entry{key, value})
	}
	f.keys = order(n, func(i int32) string { return f.entries[i].Key })
	for i := 1; i < n; i++ {
		if key := f.entries[f.keys[i]].Key; key == f.entries[f.keys[i-1]].Key {
			return fmt.Errorf("metadata entry %q comes twice", key)
		}
	}
	return nil
}

// order returns the indices 0 … n−1 in the order of their names.
func order(n int, name func(int32) string) []int32 {
	indices := make([]int32, n)
	for i := range indices {
		indices[i] = int32(i)
	}
	slices.SortFunc(indices, func(a, b int32) int { return strings.Compare(name(a), name(b)) })
	return indices
}

func (f *File) parseTensors(h *headerReader, n int) error {
	f.infos = make([]TensorInfo, 0, n)
	for i := range n {
		name, err := h.name()
		if err != nil {
			return fmt.Errorf("name of tensor %d: %w", i, err)
		}
		info, err := h.tensor(name)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		info.r = f.r
		f.infos = append(f.infos, info)
	}
	f.names = order(n, func(i int32) string { return f.infos[i].Name })
	for i := 1; i < n; i++ {
		if name := f.infos[f.names[i]].Name; name == f.infos[f.names[i-1]].Name {
			return fmt.Errorf("tensor %q comes twice", name)
		}
	}
	alignment := int64(f.Alignment)
	start := (h.size - h.left + alignment - 1) / alignment * alignment
	data := h.size - start // may be negative where there are no tensors
	for i := range f.infos {
		t := &f.infos[i]
		if t.Offset%alignment != 0 {
			return fmt.Errorf("tensor %q: its offset %d is no multiple of the alignment %d", t.Name, t.Offset, alignment)
		}
		if t.Offset > data || t.Size > data-t.Offset {
			return fmt.Errorf("tensor %q: %d bytes at offset %d do not fit into the %d bytes of data", t.Name, t.Size, t.Offset, max(0, data))
		}
		t.Offset += start
	}
	at := make([]int32, n)
	for i := range at {
		at[i] = int32(i)
	}
	slices.SortFunc(at, func(a, b int32) int {
		x, y := &f.infos[a], &f.infos[b]
		if x.Offset != y.Offset {
			return int(min(1, max(-1, x.Offset-y.Offset)))
		}
		return int(a - b)
	})
	for i := 1; i < n; i++ {
		if a, b := &f.infos[at[i-1]], &f.infos[at[i]]; a.Offset+a.Size > b.Offset {
			return fmt.Errorf("tensors %q and %q overlap at byte %d", a.Name, b.Name, b.Offset)
		}
	}
	return nil
}

// A headerReader reads the header in order and knows how many bytes are left.
type headerReader struct {
	r          *bufio.Reader
	left, size int64
	word       [8]byte
}

// read fills p.
func (h *headerReader) read(p []byte) error {
	if int64(len(p)) > h.left {
		return fmt.Errorf("%d bytes are wanted and %d left: %w", len(p), h.left, io.ErrUnexpectedEOF)
	}
	n, err := io.ReadFull(h.r, p)
	h.left -= int64(n)
	return err
}

// bytes reads up to 8 bytes, valid until the next call.
func (h *headerReader) bytes(n int) ([]byte, error) { return h.word[:n], h.read(h.word[:n]) }

func (h *headerReader) uint32() (uint32, error) {
	b, err := h.bytes(4)
	return binary.LittleEndian.Uint32(b), err
}

func (h *headerReader) uint64() (uint64, error) {
	b, err := h.bytes(8)
	return binary.LittleEndian.Uint64(b), err
}

func (h *headerReader) string(limit int64) (string, error) {
	n, err := h.uint64()
	if err != nil {
		return "", err
	}
	if n > uint64(h.left) {
		return "", fmt.Errorf("a string of %d bytes is announced and %d bytes are left", n, h.left)
	}
	if n > uint64(limit) {
		return "", fmt.Errorf("a name of %d bytes is longer than the %d that are allowed", n, limit)
	}
	data := make([]byte, n)
	err = h.read(data)
	return string(data), err
}

// name reads a key or a tensor's name.
func (h *headerReader) name() (string, error) {
	name, err := h.string(maxKey)
	if err == nil && name == "" {
		err = errors.New("it is empty")
	}
	return name, err
}

func (h *headerReader) value() (any, error) {
	kind, err := h.uint32()
	if err != nil {
		return nil, err
	}
	switch kind {
	case kindString:
		return h.string(h.left)
	case kindArray:
		return h.array()
	}
	size, ok := kindSizes[kind]
	if !ok {
		return nil, fmt.Errorf("unknown value type %d", kind)
	}
	b, err := h.bytes(int(size))
	if err != nil {
		return nil, err
	}
	if kind == kindBool && b[0] > 1 {
		return nil, fmt.Errorf("a boolean is %d, want 0 or 1", b[0])
	}
	return scalar(kind, b), nil
}

// scalar decodes a value of fixed size.
func scalar(kind uint32, b []byte) any {
	switch kind {
	case kindUint8:
		return b[0]
	case kindInt8:
		return int8(b[0])
	case kindBool:
		return b[0] != 0
	case kindUint16:
		return binary.LittleEndian.Uint16(b)
	case kindInt16:
		return int16(binary.LittleEndian.Uint16(b))
	case kindUint32:
		return binary.LittleEndian.Uint32(b)
	case kindInt32:
		return int32(binary.LittleEndian.Uint32(b))
	case kindFloat32:
		return math.Float32frombits(binary.LittleEndian.Uint32(b))
	case kindUint64:
		return binary.LittleEndian.Uint64(b)
	case kindInt64:
		return int64(binary.LittleEndian.Uint64(b))
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

func (h *headerReader) array() (any, error) {
	kind, err := h.uint32()
	if err != nil {
		return nil, err
	}
	n, err := h.uint64()
	if err != nil {
		return nil, err
	}
	size := int64(8) // of a string: its length
	switch {
	case kind == kindArray:
		return nil, refusef("an array of arrays, which alma does not read")
	case kind != kindString:
		var ok bool
		if size, ok = kindSizes[kind]; !ok {
			return nil, fmt.Errorf("an array of unknown value type %d", kind)
		}
	}
	if n > uint64(h.left/size) {
		return nil, fmt.Errorf("an array of %d values of at least %d bytes is announced and %d bytes are left", n, size, h.left)
	}
	switch kind {
	case kindString:
		values := make([]string, n)
		for i := range values {
			if values[i], err = h.string(h.left); err != nil {
				return nil, fmt.Errorf("value %d: %w", i, err)
			}
		}
		return values, nil
	case kindUint8:
		return readArray[uint8](h, kind, n)
	case kindInt8:
		return readArray[int8](h, kind, n)
	case kindBool:
		return readArray[bool](h, kind, n)
	case kindUint16:
		return readArray[uint16](h, kind, n)
	case kindInt16:
		return readArray[int16](h, kind, n)
	case kindUint32:
		return readArray[uint32](h, kind, n)
	case kindInt32:
		return readArray[int32](h, kind, n)
	case kindFloat32:
		return readArray[float32](h, kind, n)
	case kindUint64:
		return readArray[uint64](h, kind, n)
	case kindInt64:
		return readArray[int64](h, kind, n)
	}
	return readArray[float64](h, kind, n)
}

// readArray reads n values of a fixed-size kind, whose Go type is T.
func readArray[T any](h *headerReader, kind uint32, n uint64) ([]T, error) {
	values := make([]T, n)
	size := int(kindSizes[kind])
	block := make([]byte, min(4096, len(values)*size))
	for rest := values; len(rest) > 0; {
		k := min(len(rest), len(block)/size)
		b := block[:k*size]
		if err := h.read(b); err != nil {
			return nil, err
		}
		if _, err := binary.Decode(b, binary.LittleEndian, rest[:k]); err != nil {
			return nil, err
		}
		rest = rest[k:]
	}
	return values, nil
}

// tensor reads the rest of a tensor's description. Its offset counts from the
// begin of the data.
func (h *headerReader) tensor(name string) (TensorInfo, error) {
	t := TensorInfo{Name: name}
	dims, err := h.uint32()
	if err != nil {
		return t, err
	}
	if dims < 1 || dims > maxDims {
		return t, fmt.Errorf("%d dimensions, want 1 to %d", dims, maxDims)
	}
	t.Shape = make([]int, dims)
	elements := int64(1)
	for i := range t.Shape {
		d, err := h.uint64()
		if err != nil {
			return t, err
		}
		high, product := bits.Mul64(uint64(elements), d)
		if d == 0 || d > math.MaxInt || high != 0 || product > math.MaxInt64/8 {
			return t, fmt.Errorf("dimension %d is %d: the number of elements must be from 1 to 2⁶⁰", i, d)
		}
		elements = int64(product)
		t.Shape[len(t.Shape)-1-i] = int(d)
	}
	kind, err := h.uint32()
	if err != nil {
		return t, err
	}
	t.Type = Type(kind)
	n, size := t.Type.Block()
	if n == 0 {
		return t, refusef("tensor %q is of type %s, which alma does not read; it reads %v: convert the model to one of these", name, t.Type, Types)
	}
	if row := t.Shape[len(t.Shape)-1]; row%n != 0 {
		return t, fmt.Errorf("rows of %d elements of type %s, which has blocks of %d", row, t.Type, n)
	}
	t.Size = elements / int64(n) * int64(size) // below 2⁶³: a block has at most 4 bytes an element
	offset, err := h.uint64()
	if err != nil {
		return t, err
	}
	if offset > math.MaxInt64 {
		return t, fmt.Errorf("offset %d is beyond any file", offset)
	}
	t.Offset = int64(offset)
	return t, nil
}

// Close closes the file.
func (f *File) Close() error {
	if f.close == nil {
		return nil
	}
	return f.close()
}

// Name is the path that was opened, for messages.
func (f *File) Name() string { return f.name }

// Entries lists the metadata in the order of the file.
func (f *File) Entries() []Entry { return f.entries }

// Tensors lists the tensors in the order of the file.
func (f *File) Tensors() []TensorInfo { return f.infos }

// Tensor describes a tensor; ok is false if the file has none of that name.
func (f *File) Tensor(name string) (info TensorInfo, ok bool) {
	i := sort.Search(len(f.names), func(i int) bool { return f.infos[f.names[i]].Name >= name })
	if i == len(f.names) || f.infos[f.names[i]].Name != name {
		return TensorInfo{}, false
	}
	return f.infos[f.names[i]], true
}

// Float32 reads a tensor of any type as float32, row-major. What a type stores
// in float32, float16 or bfloat16 comes out exactly; a quantised element is
// computed in float32 as ggml's reference does.
func (f *File) Float32(name string) ([]float32, error) {
	t, err := f.find(name)
	if err != nil {
		return nil, err
	}
	elements, size := t.Type.Block()
	values := make([]float32, t.Elements())
	block := make([]byte, min(t.Size, int64(256<<10/size*size)))
	for at, done := int64(0), 0; at < t.Size; {
		b := block[:min(int64(len(block)), t.Size-at)]
		if err := f.readAt(t, b, at); err != nil {
			return nil, err
		}
		n := len(b) / size * elements
		dequantize(t.Type, values[done:done+n], b)
		at, done = at+int64(len(b)), done+n
	}
	return values, nil
}

// Blocks reads a tensor's bytes as they stand in the file.
func (f *File) Blocks(name string) ([]byte, error) {
	t, err := f.find(name)
	if err != nil {
		return nil, err
	}
	b := make([]byte, t.Size)
	return b, f.readAt(t, b, 0)
}

func (f *File) find(name string) (TensorInfo, error) {
	t, ok := f.Tensor(name)
	if !ok {
		return t, artifact.Errorf(artifact.ErrNotFound, "reading %s: no tensor %q among its %d", f.name, name, len(f.infos))
	}
	return t, nil
}

// readAt fills b with a tensor's bytes from its byte at on.
func (f *File) readAt(t TensorInfo, b []byte, at int64) error {
	if n, err := t.r.ReadAt(b, t.Offset+at); n < len(b) {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("reading %s: tensor %q: %w", f.name, t.Name, err)
	}
	return nil
}
