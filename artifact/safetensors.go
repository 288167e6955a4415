package artifact

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
	"strings"
	"sync"
	"unicode/utf8"
)

// The safetensors format (github.com/huggingface/safetensors): eight bytes of
// header length, a JSON header that gives every tensor's type, shape and
// offsets, the tensors' bytes. docs/formats/safetensors.md draws it.

// maxSafetensorsHeader is the longest header accepted, in bytes, the limit of
// the format's own library.
const maxSafetensorsHeader = 100 << 20

// dtypeSizes gives the bytes of one element of each type that is read.
var dtypeSizes = map[string]int64{
	"BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1,
	"F16": 2, "BF16": 2, "I16": 2, "U16": 2,
	"F32": 4, "I32": 4, "U32": 4,
	"F64": 8, "I64": 8, "U64": 8,
}

// A Tensor is one tensor to write.
type Tensor struct {
	Name  string
	DType string // "F32" (also when empty), "F16", "BF16" with Data; any other type with Raw
	Shape []int  // row-major; no dimensions for a scalar

	// Data holds the values of a floating-point tensor, rounded to DType on
	// the way out. Exactly one of Data, Read and Raw is used.
	Data []float32
	// Read gives the values when it is their turn to be written, so that not
	// all tensors of a model need lie in memory at one time. They are not looked
	// at any more when the next tensor's are asked for.
	Read func() ([]float32, error)
	// Raw holds the tensor's bytes, little-endian, as they go into the file.
	Raw []byte
}

// Int32Tensor returns a tensor of type I32.
func Int32Tensor(name string, shape []int, values []int32) Tensor {
	raw := make([]byte, 0, 4*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, uint32(v))
	}
	return Tensor{Name: name, DType: "I32", Shape: shape, Raw: raw}
}

// WriteSafetensors writes tensors as one safetensors file. The bytes depend
// only on the tensors and meta, not on their order: tensors stand in the
// order of falling element size, then of name, so that each is aligned to its
// element. meta becomes the header's __metadata__, with "format": "pt" added
// unless it has a format, because Hugging Face's loaders ask for one.
func WriteSafetensors(w io.Writer, tensors []Tensor, meta map[string]string) error {
	sorted := slices.Clone(tensors)
	var sizes = make(map[string]int64, len(sorted)) // by name
	for i := range sorted {
		t := &sorted[i]
		if t.DType == "" {
			t.DType = "F32"
		}
		size, err := t.check()
		if err != nil {
			return fmt.Errorf("writing safetensors: tensor %q: %w", t.Name, err)
		}
		if _, ok := sizes[t.Name]; ok {
			return fmt.Errorf("writing safetensors: tensor %q: two tensors have this name", t.Name)
		}
		sizes[t.Name] = size
	}
	sort.Slice(sorted, func(i, j int) bool {
		a, b := dtypeSizes[sorted[i].DType], dtypeSizes[sorted[j].DType]
		if a != b {
			return a > b
		}
		return sorted[i].Name < sorted[j].Name
	})

	header, err := encodeSafetensorsHeader(sorted, sizes, meta)
	if err != nil {
		return fmt.Errorf("writing safetensors: %w", err)
	}
	if _, err := w.Write(header); err != nil {
		return fmt.Errorf("writing safetensors: header: %w", err)
	}
	scratch := make([]byte, 0, 64<<10)
	for i := range sorted {
		if err := sorted[i].write(w, scratch); err != nil {
			return fmt.Errorf("writing safetensors: tensor %q: %w", sorted[i].Name, err)
		}
	}
	return nil
}

// check returns the tensor's size in bytes, or what is wrong with it.
func (t *Tensor) check() (int64, error) {
	if t.Name == "" || t.Name == "__metadata__" || !utf8.ValidString(t.Name) {
		return 0, errors.New("the name is empty, reserved or not UTF-8")
	}
	elementSize, ok := dtypeSizes[t.DType]
	if !ok {
		return 0, fmt.Errorf("unknown type %q", t.DType)
	}
	elements := int64(1)
	for _, d := range t.Shape {
		if d < 0 {
			return 0, fmt.Errorf("negative dimension in shape %v", t.Shape)
		}
		product, ok := multiply(elements, int64(d))
		if !ok {
			return 0, fmt.Errorf("shape %v has more elements than can be counted", t.Shape)
		}
		elements = product
	}
	size, ok := multiply(elements, elementSize)
	if !ok {
		return 0, fmt.Errorf("shape %v has more bytes than can be counted", t.Shape)
	}
	switch {
	case t.Raw != nil:
		if t.Data != nil || t.Read != nil {
			return 0, errors.New("both Raw and Data or Read are given")
		}
		if int64(len(t.Raw)) != size {
			return 0, fmt.Errorf("%d raw bytes for shape %v of %s, which takes %d", len(t.Raw), t.Shape, t.DType, size)
		}
	case t.DType == "F32" || t.DType == "F16" || t.DType == "BF16":
		if t.Read == nil {
			return size, t.checkValues(t.Data)
		}
		if t.Data != nil {
			return 0, errors.New("both Data and Read are given")
		}
	case size != 0:
		return 0, fmt.Errorf("type %s is written from Raw, which is not given", t.DType)
	}
	return size, nil
}

func (t *Tensor) checkValues(values []float32) error {
	elements := 1
	for _, d := range t.Shape {
		elements *= d
	}
	if len(values) != elements {
		return fmt.Errorf("%d values for shape %v, which has %d", len(values), t.Shape, elements)
	}
	return nil
}

// write writes the tensor's bytes, converting in blocks of scratch's capacity.
func (t *Tensor) write(w io.Writer, scratch []byte) error {
	if t.Raw != nil {
		_, err := w.Write(t.Raw)
		return err
	}
	data := t.Data
	if t.Read != nil {
		var err error
		if data, err = t.Read(); err != nil {
			return err
		}
		if err := t.checkValues(data); err != nil {
			return err
		}
	}
	for len(data) > 0 {
		block := data[:min(len(data), cap(scratch)/4)]
		data = data[len(block):]
		out := scratch[:0]
		switch t.DType {
		case "F32":
			out = out[:4*len(block)]
			for i, v := range block {
				binary.LittleEndian.PutUint32(out[4*i:4*i+4:4*i+4], math.Float32bits(v))
			}
		case "F16":
			for _, v := range block {
				out = binary.LittleEndian.AppendUint16(out, Float32ToFloat16(v))
			}
		case "BF16":
			for _, v := range block {
				out = binary.LittleEndian.AppendUint16(out, Float32ToBFloat16(v))
			}
		}
		if _, err := w.Write(out); err != nil {
			return err
		}
	}
	return nil
}

// encodeSafetensorsHeader returns the length field and the JSON header, padded
// with spaces so that the data begin at a multiple of eight bytes.
func encodeSafetensorsHeader(tensors []Tensor, sizes map[string]int64, meta map[string]string) ([]byte, error) {
	withFormat := map[string]string{"format": "pt"}
	for k, v := range meta {
		withFormat[k] = v
	}
	out := make([]byte, 8, 256+96*len(tensors))
	out = append(out, `{"__metadata__":`...)
	encoded, err := marshalPlain(withFormat) // in the order of keys
	if err != nil {
		return nil, err
	}
	out = append(out, encoded...)
	var offset int64
	for i := range tensors {
		t := &tensors[i]
		end := offset + sizes[t.Name]
		if end < offset {
			return nil, errors.New("all tensors together have more bytes than can be counted")
		}
		name, err := marshalPlain(t.Name)
		if err != nil {
			return nil, err
		}
		shape, err := json.Marshal(append([]int{}, t.Shape...)) // [] rather than null for a scalar
		if err != nil {
			return nil, err
		}
		out = append(out, ',')
		out = append(out, name...)
		out = fmt.Appendf(out, `:{"dtype":"%s","shape":%s,"data_offsets":[%d,%d]}`, t.DType, shape, offset, end)
		offset = end
	}
	out = append(out, '}')
	for len(out)%8 != 0 {
		out = append(out, ' ')
	}
	if len(out)-8 > maxSafetensorsHeader {
		return nil, fmt.Errorf("the header takes %d bytes, more than the format's limit of %d", len(out)-8, maxSafetensorsHeader)
	}
	binary.LittleEndian.PutUint64(out, uint64(len(out)-8))
	return out, nil
}

// marshalPlain is json.Marshal without the escapes for HTML.
func marshalPlain(v any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(buffer.Bytes(), "\n"), nil
}

// multiply returns a·b for numbers that are not negative, and whether it fits.
func multiply(a, b int64) (int64, bool) {
	if a != 0 && b > math.MaxInt64/a {
		return 0, false
	}
	return a * b, true
}

// TensorInfo describes a tensor in a file.
type TensorInfo struct {
	Name  string
	DType string
	Shape []int // not to be changed
	Begin int64 // offset of its first byte in the data section
	End   int64 // offset behind its last byte
}

// Elements is the number of elements.
func (t *TensorInfo) Elements() int { return int((t.End - t.Begin) / dtypeSizes[t.DType]) }

// A SafetensorsFile is an open safetensors file whose header was checked. The
// file is mapped into memory where the system can, and one tensor is read at a
// time, so a file larger than memory is no trouble. It is safe for use by
// several goroutines, but not after Close.
type SafetensorsFile struct {
	name      string
	r         io.ReaderAt
	close     func() error
	dataStart int64
	meta      map[string]string
	infos     []TensorInfo // by name
}

// ReadSafetensors opens a safetensors file and checks its header: a header
// of at most 100 MiB that fits the file and begins with "{", names that are
// unique, known types, shapes whose products do not overflow and match the
// offsets, offsets without hole or overlap that end where the file ends. A
// file that fails a check is an [ErrCorrupt]. The caller closes the result.
func ReadSafetensors(path string) (*SafetensorsFile, error) {
	r, size, release, err := openMapped(path)
	if err != nil {
		return nil, fmt.Errorf("opening safetensors: %w", err)
	}
	s, err := ParseSafetensors(path, r, size)
	if err != nil {
		release()
		return nil, err
	}
	s.close = release
	return s, nil
}

// ParseSafetensors is [ReadSafetensors] for size bytes behind any ReaderAt;
// name appears in errors.
func ParseSafetensors(name string, r io.ReaderAt, size int64) (*SafetensorsFile, error) {
	corrupt := func(format string, args ...any) (*SafetensorsFile, error) {
		return nil, &CorruptError{Path: name, Reason: fmt.Sprintf(format, args...)}
	}
	if size < 8 {
		return corrupt("%d bytes, too few for the length of a safetensors header", size)
	}
	var length [8]byte
	if err := readAtFull(r, length[:], 0); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	headerSize := binary.LittleEndian.Uint64(length[:])
	if headerSize > maxSafetensorsHeader || int64(headerSize) > size-8 {
		return corrupt("a header of %d bytes in a file of %d (limit %d): not safetensors, or cut off", headerSize, size, maxSafetensorsHeader)
	}
	header := make([]byte, headerSize)
	if err := readAtFull(r, header, 8); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	s := &SafetensorsFile{name: name, r: r, dataStart: 8 + int64(headerSize)}
	if err := s.parseHeader(header); err != nil {
		return corrupt("header: %v", err)
	}
	if err := s.checkOffsets(size - s.dataStart); err != nil {
		return corrupt("header: %v", err)
	}
	return s, nil
}

// readAtFull fills p, treating an end of file that comes with the last byte
// as success.
func readAtFull(r io.ReaderAt, p []byte, offset int64) error {
	n, err := r.ReadAt(p, offset)
	if n == len(p) {
		return nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// parseHeader reads the JSON token by token, because decoding into a map
// would let the second of two equal names win in silence.
func (s *SafetensorsFile) parseHeader(header []byte) error {
	if len(header) == 0 || header[0] != '{' {
		return errors.New(`does not begin with "{"`)
	}
	if !utf8.Valid(header) {
		return errors.New("not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(header))
	d.UseNumber()
	if err := expectDelim(d, '{'); err != nil {
		return err
	}
	hasMeta := false
	for d.More() {
		name, err := expectString(d)
		if err != nil {
			return err
		}
		if name == "__metadata__" {
			if hasMeta {
				return errors.New("two __metadata__ entries")
			}
			hasMeta = true
			if s.meta, err = parseMetadata(d); err != nil {
				return fmt.Errorf("__metadata__: %w", err)
			}
			continue
		}
		info, err := parseTensorInfo(d, name)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		s.infos = append(s.infos, info)
	}
	if err := expectDelim(d, '}'); err != nil {
		return err
	}
	if rest := bytes.TrimRight(header[d.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return fmt.Errorf("%d bytes behind the JSON object", len(rest))
	}
	return nil
}

func expectDelim(d *json.Decoder, want json.Delim) error {
	token, err := d.Token()
	if err != nil {
		return unexpectedEnd(err)
	}
	if token != want {
		return fmt.Errorf("found %v where %v belongs", token, want)
	}
	return nil
}

func expectString(d *json.Decoder) (string, error) {
	token, err := d.Token()
	if err != nil {
		return "", unexpectedEnd(err)
	}
	text, ok := token.(string)
	if !ok {
		return "", fmt.Errorf("found %v where a string belongs", token)
	}
	return text, nil
}

func unexpectedEnd(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func parseMetadata(d *json.Decoder) (map[string]string, error) {
	if err := expectDelim(d, '{'); err != nil {
		return nil, err
	}
	meta := map[string]string{}
	for d.More() {
		key, err := expectString(d)
		if err != nil {
			return nil, err
		}
		if _, ok := meta[key]; ok {
			return nil, fmt.Errorf("two entries %q", key)
		}
		if meta[key], err = expectString(d); err != nil {
			return nil, fmt.Errorf("%q: %w", key, err)
		}
	}
	return meta, expectDelim(d, '}')
}

func parseTensorInfo(d *json.Decoder, name string) (TensorInfo, error) {
	info := TensorInfo{Name: name, Shape: []int{}}
	if err := expectDelim(d, '{'); err != nil {
		return info, err
	}
	seen := map[string]bool{}
	for d.More() {
		key, err := expectString(d)
		if err != nil {
			return info, err
		}
		if seen[key] {
			return info, fmt.Errorf("two entries %q", key)
		}
		seen[key] = true
		switch key {
		case "dtype":
			text, err := expectString(d)
			if err != nil {
				return info, fmt.Errorf("dtype: %w", err)
			}
			if _, ok := dtypeSizes[text]; !ok {
				return info, fmt.Errorf("unknown dtype %q", text)
			}
			info.DType = strings.Clone(text)
		case "shape":
			dims, err := parseNumbers(d)
			if err != nil {
				return info, fmt.Errorf("shape: %w", err)
			}
			for _, n := range dims {
				if n > math.MaxInt {
					return info, fmt.Errorf("shape: dimension %d is too large for this machine", n)
				}
				info.Shape = append(info.Shape, int(n))
			}
		case "data_offsets":
			offsets, err := parseNumbers(d)
			if err != nil {
				return info, fmt.Errorf("data_offsets: %w", err)
			}
			if len(offsets) != 2 {
				return info, fmt.Errorf("data_offsets: %d numbers, want 2", len(offsets))
			}
			info.Begin, info.End = offsets[0], offsets[1]
		default:
			return info, fmt.Errorf("unknown entry %q", key)
		}
	}
	if err := expectDelim(d, '}'); err != nil {
		return info, err
	}
	if len(seen) != 3 {
		return info, errors.New("one of dtype, shape and data_offsets is missing")
	}
	size := dtypeSizes[info.DType]
	for _, dim := range info.Shape {
		product, ok := multiply(size, int64(dim))
		if !ok {
			return info, errors.New("the product of the shape overflows")
		}
		size = product
	}
	if info.End < info.Begin || info.End-info.Begin != size {
		return info, fmt.Errorf("offsets [%d, %d] for shape %v of %s, which takes %d bytes", info.Begin, info.End, info.Shape, info.DType, size)
	}
	return info, nil
}

// parseNumbers reads an array of whole numbers that are not negative.
func parseNumbers(d *json.Decoder) ([]int64, error) {
	if err := expectDelim(d, '['); err != nil {
		return nil, err
	}
	var numbers []int64
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, unexpectedEnd(err)
		}
		number, ok := token.(json.Number)
		if !ok {
			return nil, fmt.Errorf("found %v where a number belongs", token)
		}
		n, err := number.Int64()
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%s is not a whole number from 0 to 2⁶³−1", number)
		}
		numbers = append(numbers, n)
	}
	return numbers, expectDelim(d, ']')
}

// checkOffsets checks that the tensors cover the data section exactly, and
// leaves them sorted by name.
func (s *SafetensorsFile) checkOffsets(dataSize int64) error {
	sort.Slice(s.infos, func(i, j int) bool {
		a, b := &s.infos[i], &s.infos[j]
		if a.Begin != b.Begin {
			return a.Begin < b.Begin
		}
		return a.End < b.End
	})
	var end int64
	for i := range s.infos {
		if t := &s.infos[i]; t.Begin != end {
			return fmt.Errorf("tensor %q begins at %d where %d is expected: a hole or an overlap", t.Name, t.Begin, end)
		}
		end = s.infos[i].End
	}
	if end != dataSize {
		return fmt.Errorf("the tensors end at %d and the data at %d: cut off, or bytes behind the last tensor", end, dataSize)
	}
	sort.Slice(s.infos, func(i, j int) bool { return s.infos[i].Name < s.infos[j].Name })
	for i := 1; i < len(s.infos); i++ {
		if s.infos[i].Name == s.infos[i-1].Name {
			return fmt.Errorf("two tensors are named %q", s.infos[i].Name)
		}
	}
	return nil
}

// Name is what the file is called in errors.
func (s *SafetensorsFile) Name() string { return s.name }

// Close closes the file.
func (s *SafetensorsFile) Close() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}

// Names lists the tensors in the order of names.
func (s *SafetensorsFile) Names() []string {
	names := make([]string, len(s.infos))
	for i := range s.infos {
		names[i] = s.infos[i].Name
	}
	return names
}

// Infos describes the tensors in the order in which they lie in the file.
func (s *SafetensorsFile) Infos() []TensorInfo {
	infos := slices.Clone(s.infos)
	// The ends tell a tensor without elements from one that begins at its place.
	slices.SortFunc(infos, func(a, b TensorInfo) int {
		return cmp.Or(cmp.Compare(a.Begin, b.Begin), cmp.Compare(a.End, b.End), cmp.Compare(a.Name, b.Name))
	})
	return infos
}

// Metadata returns the header's __metadata__, nil if it has none.
func (s *SafetensorsFile) Metadata() map[string]string { return s.meta }

// Info describes a tensor; ok is false if the file has none of that name.
func (s *SafetensorsFile) Info(name string) (info TensorInfo, ok bool) {
	i := sort.Search(len(s.infos), func(i int) bool { return s.infos[i].Name >= name })
	if i == len(s.infos) || s.infos[i].Name != name {
		return TensorInfo{}, false
	}
	return s.infos[i], true
}

// Raw reads a tensor's bytes as they stand in the file.
func (s *SafetensorsFile) Raw(name string) ([]byte, error) {
	info, err := s.find(name)
	if err != nil {
		return nil, err
	}
	raw := make([]byte, info.End-info.Begin)
	return raw, s.readAt(info, raw, 0)
}

// Float32 reads a tensor of type F32, F16 or BF16 as float32, exactly.
func (s *SafetensorsFile) Float32(name string) ([]float32, error) {
	return s.AppendFloat32(nil, name)
}

// AppendFloat32 is [SafetensorsFile.Float32] that appends to values, so that one
// buffer can serve for many tensors.
func (s *SafetensorsFile) AppendFloat32(values []float32, name string) ([]float32, error) {
	info, err := s.find(name)
	if err != nil {
		return nil, err
	}
	switch info.DType {
	case "F32", "F16", "BF16":
	default:
		return nil, fmt.Errorf("reading %s: tensor %q is of type %s, want F32, F16 or BF16", s.name, name, info.DType)
	}
	values = slices.Grow(values, info.Elements())
	err = s.readBlocks(info, func(block []byte) {
		switch info.DType {
		case "F32":
			for i := 0; i < len(block); i += 4 {
				values = append(values, math.Float32frombits(binary.LittleEndian.Uint32(block[i:])))
			}
		case "F16":
			for i := 0; i < len(block); i += 2 {
				values = append(values, Float16ToFloat32(binary.LittleEndian.Uint16(block[i:])))
			}
		case "BF16":
			for i := 0; i < len(block); i += 2 {
				values = append(values, BFloat16ToFloat32(binary.LittleEndian.Uint16(block[i:])))
			}
		}
	})
	return values, err
}

// Int32 reads a tensor of type I32, or one of type I64 whose values fit.
func (s *SafetensorsFile) Int32(name string) ([]int32, error) {
	info, err := s.find(name)
	if err != nil {
		return nil, err
	}
	values := make([]int32, 0, info.Elements())
	switch info.DType {
	case "I32":
		err = s.readBlocks(info, func(block []byte) {
			for i := 0; i < len(block); i += 4 {
				values = append(values, int32(binary.LittleEndian.Uint32(block[i:])))
			}
		})
	case "I64":
		var outside error
		err = s.readBlocks(info, func(block []byte) {
			for i := 0; i < len(block); i += 8 {
				v := int64(binary.LittleEndian.Uint64(block[i:]))
				if int64(int32(v)) != v && outside == nil {
					outside = fmt.Errorf("reading %s: tensor %q: element %d is %d, which does not fit 32 bits", s.name, name, len(values), v)
				}
				values = append(values, int32(v))
			}
		})
		if err == nil {
			err = outside
		}
	default:
		return nil, fmt.Errorf("reading %s: tensor %q is of type %s, want I32 or I64", s.name, name, info.DType)
	}
	return values, err
}

// Int64 reads a tensor of type I64.
func (s *SafetensorsFile) Int64(name string) ([]int64, error) {
	info, err := s.find(name)
	if err != nil {
		return nil, err
	}
	if info.DType != "I64" {
		return nil, fmt.Errorf("reading %s: tensor %q is of type %s, want I64", s.name, name, info.DType)
	}
	values := make([]int64, 0, info.Elements())
	err = s.readBlocks(info, func(block []byte) {
		for i := 0; i < len(block); i += 8 {
			values = append(values, int64(binary.LittleEndian.Uint64(block[i:])))
		}
	})
	return values, err
}

func (s *SafetensorsFile) find(name string) (TensorInfo, error) {
	info, ok := s.Info(name)
	if !ok {
		return info, Errorf(ErrNotFound, "reading %s: no tensor %q among its %d", s.name, name, len(s.infos))
	}
	return info, nil
}

// blockSize is how much is read at a time of a file that is not mapped, in bytes.
const blockSize = 256 << 10

// blocks are buffers of readBlocks: a model has hundreds of tensors.
var blocks = sync.Pool{New: func() any { return new([blockSize]byte) }}

// readBlocks passes a tensor's bytes to use in blocks that hold whole elements.
func (s *SafetensorsFile) readBlocks(info TensorInfo, use func([]byte)) error {
	size := info.End - info.Begin
	if m, ok := s.r.(*mapping); ok {
		if err := m.look(s.dataStart+info.Begin, size, use); err != nil {
			return fmt.Errorf("tensor %q: %w", info.Name, err)
		}
		return nil
	}
	held := blocks.Get().(*[blockSize]byte)
	defer blocks.Put(held)
	buffer := held[:]
	for offset := int64(0); offset < size; {
		block := buffer[:min(int64(len(buffer)), size-offset)]
		if err := s.readAt(info, block, offset); err != nil {
			return err
		}
		use(block)
		offset += int64(len(block))
	}
	return nil
}

func (s *SafetensorsFile) readAt(info TensorInfo, p []byte, offset int64) error {
	if err := readAtFull(s.r, p, s.dataStart+info.Begin+offset); err != nil {
		return fmt.Errorf("reading %s: tensor %q: %w", s.name, info.Name, err)
	}
	return nil
}
