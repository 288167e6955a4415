package gguf

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"sync"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// A Tensor is one tensor to write.
type Tensor struct {
	Name  string
	Shape []int // row-major, 1 to 4 dimensions
	Type  Type  // one of Types, of whose blocks a row is a whole number
	// Values returns the elements, row-major. It is called once, when the tensor
	// is written, so that not all need be in memory together.
	Values func() ([]float32, error)
	// Blocks, where it is not nil, returns the tensor's bytes in place of Values: those
	// of another file, say ([File.Blocks]).
	Blocks func() ([]byte, error)
}

// Write writes a GGUF file of version 3 with alignment 32: metadata and
// tensors in the order given. Values are rounded to the type of the tensor
// (float16 and bfloat16 to the nearest, ties to even; Q8_0 as ggml does; of the other
// quantised types scales are searched, see quantize.go), on all processors; the bytes
// are the same for any number. A value that the type cannot hold is an
// [artifact.ErrUsage], one that no scale can hold, infinite or not a number, an
// [artifact.ErrDiverged].
func Write(w io.Writer, metadata []Entry, tensors []Tensor) error {
	header, err := appendHeader(nil, metadata, tensors)
	if err != nil {
		return fmt.Errorf("writing GGUF: %w", err)
	}
	out := bufio.NewWriterSize(w, 256<<10)
	if _, err := out.Write(header); err != nil {
		return fmt.Errorf("writing GGUF: header: %w", err)
	}
	for _, t := range tensors {
		if err := t.write(out); err != nil {
			return fmt.Errorf("writing GGUF: tensor %q: %w", t.Name, err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing GGUF: %w", err)
	}
	return nil
}

func appendHeader(b []byte, metadata []Entry, tensors []Tensor) ([]byte, error) {
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(tensors)))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(metadata)))
	seen := make(map[string]bool)
	for _, e := range metadata {
		if e.Key == "" || len(e.Key) > maxKey || seen[e.Key] || e.Key == alignmentKey {
			return nil, fmt.Errorf("metadata key %q is empty, too long, given twice or the writer's own", e.Key)
		}
		seen[e.Key] = true
		b = appendText(b, e.Key)
		var err error
		if b, err = appendValue(b, e.Value); err != nil {
			return nil, fmt.Errorf("metadata entry %q: %w", e.Key, err)
		}
	}
	clear(seen)
	offset := int64(0)
	for _, t := range tensors {
		if t.Name == "" || len(t.Name) > maxKey || seen[t.Name] {
			return nil, fmt.Errorf("tensor name %q is empty, too long or given twice", t.Name)
		}
		seen[t.Name] = true
		size, err := t.size()
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		b = appendText(b, t.Name)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(t.Shape)))
		for i := len(t.Shape) - 1; i >= 0; i-- {
			b = binary.LittleEndian.AppendUint64(b, uint64(t.Shape[i]))
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(t.Type))
		b = binary.LittleEndian.AppendUint64(b, uint64(offset))
		offset += size + padding(size)
	}
	return append(b, make([]byte, padding(int64(len(b))))...), nil
}

// padding is how many bytes bring size to a multiple of the alignment.
func padding(size int64) int64 { return -size & (defaultAlignment - 1) }

func appendText(b []byte, text string) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(len(text)))
	return append(b, text...)
}

func appendValue(b []byte, value any) ([]byte, error) {
	fixed := func(kind uint32) ([]byte, error) {
		return binary.Append(binary.LittleEndian.AppendUint32(b, kind), binary.LittleEndian, value)
	}
	list := func(kind uint32, n int) ([]byte, error) {
		b = binary.LittleEndian.AppendUint32(b, kindArray)
		b = binary.LittleEndian.AppendUint32(b, kind)
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
		return binary.Append(b, binary.LittleEndian, value)
	}
	switch v := value.(type) {
	case uint8:
		return fixed(kindUint8)
	case int8:
		return fixed(kindInt8)
	case uint16:
		return fixed(kindUint16)
	case int16:
		return fixed(kindInt16)
	case uint32:
		return fixed(kindUint32)
	case int32:
		return fixed(kindInt32)
	case uint64:
		return fixed(kindUint64)
	case int64:
		return fixed(kindInt64)
	case float32:
		return fixed(kindFloat32)
	case float64:
		return fixed(kindFloat64)
	case bool:
		return fixed(kindBool)
	case string:
		return appendText(binary.LittleEndian.AppendUint32(b, kindString), v), nil
	case []uint8:
		return list(kindUint8, len(v))
	case []int8:
		return list(kindInt8, len(v))
	case []uint16:
		return list(kindUint16, len(v))
	case []int16:
		return list(kindInt16, len(v))
	case []uint32:
		return list(kindUint32, len(v))
	case []int32:
		return list(kindInt32, len(v))
	case []uint64:
		return list(kindUint64, len(v))
	case []int64:
		return list(kindInt64, len(v))
	case []float32:
		return list(kindFloat32, len(v))
	case []float64:
		return list(kindFloat64, len(v))
	case []bool:
		return list(kindBool, len(v))
	case []string:
		b = binary.LittleEndian.AppendUint32(b, kindArray)
		b = binary.LittleEndian.AppendUint32(b, kindString)
		b = binary.LittleEndian.AppendUint64(b, uint64(len(v)))
		for _, text := range v {
			b = appendText(b, text)
		}
		return b, nil
	}
	return nil, fmt.Errorf("a value of type %T is none that the format has", value)
}

// size checks the tensor's shape and type and returns its size in bytes.
func (t Tensor) size() (int64, error) {
	if len(t.Shape) < 1 || len(t.Shape) > maxDims {
		return 0, fmt.Errorf("shape %v has %d dimensions, want 1 to %d", t.Shape, len(t.Shape), maxDims)
	}
	if !slices.Contains(Types, t.Type) {
		return 0, fmt.Errorf("type %s is not written; alma writes %v", t.Type, Types)
	}
	n := int64(1)
	for _, d := range t.Shape {
		if d < 1 || n > math.MaxInt64/8/int64(d) {
			return 0, fmt.Errorf("shape %v: the number of elements must be from 1 to 2⁶⁰", t.Shape)
		}
		n *= int64(d)
	}
	elements, size := t.Type.Block()
	if row := t.Shape[len(t.Shape)-1]; row%elements != 0 {
		return 0, fmt.Errorf("rows of %d elements cannot be of type %s, which has blocks of %d", row, t.Type, elements)
	}
	return n / int64(elements) * int64(size), nil
}

func (t Tensor) write(w io.Writer) error {
	size, err := t.size()
	if err != nil {
		return err
	}
	if t.Blocks != nil {
		blocks, err := t.Blocks()
		if err != nil {
			return err
		}
		if int64(len(blocks)) != size {
			return fmt.Errorf("%d bytes were given for shape %v of %s, which takes %d", len(blocks), t.Shape, t.Type, size)
		}
		if _, err := w.Write(blocks); err != nil {
			return err
		}
	} else if err := t.writeValues(w, size); err != nil {
		return err
	}
	_, err = w.Write(make([]byte, padding(size)))
	return err
}

// atOnce is how many values a processor encodes at once, a multiple of every block.
const atOnce = 32 << 10

func (t Tensor) writeValues(w io.Writer, size int64) error {
	values, err := t.Values()
	if err != nil {
		return err
	}
	elements, bytes := t.Type.Block()
	if n := int64(len(values)); n != size/int64(bytes)*int64(elements) {
		return fmt.Errorf("%d values were given for shape %v", n, t.Shape)
	}
	type piece struct {
		bytes []byte
		err   error
	}
	pieces := make([]piece, runtime.GOMAXPROCS(0))
	for len(values) > 0 {
		n := 0 // pieces of this round
		var work sync.WaitGroup
		for ; n < len(pieces) && len(values) > 0; n++ {
			p, x := &pieces[n], values[:min(atOnce, len(values))]
			values = values[len(x):]
			work.Go(func() { p.bytes, p.err = appendElements(p.bytes[:0], t.Type, x) })
		}
		work.Wait()
		for _, p := range pieces[:n] {
			if p.err != nil {
				return p.err
			}
			if _, err := w.Write(p.bytes); err != nil {
				return err
			}
		}
	}
	return nil
}

func appendElements(b []byte, t Type, values []float32) ([]byte, error) {
	if _, ok := quantizers[t]; ok {
		return quantize(b, t, values)
	}
	for _, v := range values {
		switch t {
		case F32:
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		case F16:
			h := artifact.Float32ToFloat16(v)
			if h&0x7fff == 0x7c00 && !math.IsInf(float64(v), 0) {
				return nil, artifact.Errorf(artifact.ErrUsage, "%g is beyond the range of F16; write BF16 or F32", v)
			}
			b = binary.LittleEndian.AppendUint16(b, h)
		case BF16:
			b = binary.LittleEndian.AppendUint16(b, artifact.Float32ToBFloat16(v))
		}
	}
	return b, nil
}
