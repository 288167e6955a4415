package rows

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
)

const parquetMagic = "PAR1"

// A Parquet file's footer may have maxFooter bytes, and a column chunk may unpack to
// bombRatio times its size, or maxChunk whatever its size: dictionaries repeat much.
const (
	maxFooter = 64 << 20
	maxChunk  = 1 << 30
)

// parquetBatch is how many rows are read at once.
const parquetBatch = 64

// openParquet reads Parquet. The library trusts the sizes that a file states, so
// they are held against the file first, and a panic of it is an error.
func (r *Reader) openParquet(size int64) (err error) {
	defer recovered(&err)
	r.form = "Parquet"
	var tail [8]byte
	if size < 12 {
		return fmt.Errorf("%d bytes are too few for Parquet; the file was cut off: fetch it again", size)
	}
	if _, err := r.file.ReadAt(tail[:], size-8); err != nil {
		return err
	}
	footer := int64(binary.LittleEndian.Uint32(tail[:4]))
	switch magic := string(tail[4:]); {
	case magic == "PARE":
		return fmt.Errorf("it is encrypted Parquet; decrypt it first")
	case magic != parquetMagic:
		return fmt.Errorf("it begins like Parquet and does not end so; the file was cut off: fetch it again")
	case footer > size-12 || footer > maxFooter:
		return fmt.Errorf("its footer says that it has %d bytes, of a file of %d; the file was damaged: fetch it again", footer, size)
	}
	f, err := parquet.OpenFile(r.file, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return fmt.Errorf("reading the footer of Parquet: %w", err)
	}
	for _, group := range f.Metadata().RowGroups {
		for _, column := range group.Columns {
			m := column.MetaData
			if m.TotalCompressedSize < 0 || m.TotalCompressedSize > size || m.TotalUncompressedSize < 0 ||
				m.TotalUncompressedSize > max(maxChunk, bombRatio*m.TotalCompressedSize) {
				return fmt.Errorf("column %q says that %d bytes of it unpack to %d, in a file of %d; the file was damaged: fetch it again", m.PathInSchema, m.TotalCompressedSize, m.TotalUncompressedSize, size)
			}
		}
	}
	rows := parquet.NewGenericReader[any](f)
	r.end = append(r.end, func() (err error) { defer recovered(&err); return rows.Close() })
	columns := f.Schema().Fields()
	var batch [parquetBatch]any
	var left []any
	number := 0
	r.done, r.total = func() int64 { return int64(number) }, f.NumRows()
	r.next = func() (row Row, err error) {
		if f.NumRows() == 0 {
			return Row{}, io.EOF
		}
		defer recovered(&err)
		if len(left) == 0 {
			clear(batch[:])
			n, err := rows.Read(batch[:])
			if left = batch[:n]; n == 0 {
				if err == nil {
					err = io.EOF
				}
				if err != io.EOF {
					err = fmt.Errorf("row %d of Parquet: %w; the file was damaged: fetch it again", number+1, err)
				}
				return Row{}, err
			}
		}
		number++
		value := left[0]
		left = left[1:]
		fields, ok := value.(map[string]any)
		if !ok {
			return Row{}, fmt.Errorf("row %d of Parquet is no row of columns", number)
		}
		row = Row{Line: number, Fields: make(map[string]json.RawMessage, len(fields))}
		for _, column := range columns {
			var b bytes.Buffer
			if err := appendJSON(&b, fields[column.Name()], column); err != nil {
				b.Reset()
				b.WriteString("null")
				if !slices.Contains(r.bytes, column.Name()) {
					r.bytes = append(r.bytes, column.Name())
				}
			}
			row.Fields[column.Name()] = b.Bytes()
		}
		return row, nil
	}
	return nil
}

// recovered makes an error of a panic of the Parquet library.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("reading Parquet: %v; the file was damaged: fetch it again, or write it again with another tool", p)
	}
}

// errBytes is a value of bytes that are no text.
var errBytes = errors.New("bytes that are not UTF-8")

// appendJSON writes a value of Parquet as JSON, the members of a group in the order of
// the schema. Members that are null are left out: Arrow gives every group of a column
// the members of all of them. Bytes are text, and numbers that are not finite null, as
// in other formats. node is the value's, nil where it is not known.
func appendJSON(b *bytes.Buffer, value any, node parquet.Node) error {
	switch v := value.(type) {
	case nil:
		b.WriteString("null")
		return nil
	case []byte:
		if !utf8.Valid(v) {
			return errBytes
		}
		b.Write(quoted(string(v)))
		return nil
	case string:
		if !utf8.ValidString(v) {
			return errBytes
		}
		b.Write(quoted(v))
		return nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			value = nil
		}
	case float32:
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			value = nil
		}
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := appendJSON(b, e, elementOf(node)); err != nil {
				return err
			}
		}
		b.WriteByte(']')
		return nil
	case map[string]any:
		return appendObject(b, v, node)
	default:
		switch m := reflect.ValueOf(value); m.Kind() {
		case reflect.Pointer: // of Parquet's MAP, which comes in types of its own
			if m.IsNil() {
				b.WriteString("null")
				return nil
			}
			return appendJSON(b, m.Elem().Interface(), nil)
		case reflect.Map:
			object := make(map[string]any, m.Len())
			for key, e := range m.Seq2() {
				object[fmt.Sprint(key.Interface())] = e.Interface()
			}
			return appendObject(b, object, nil)
		case reflect.Struct: // a date, a decimal
			b.Write(quoted(fmt.Sprint(value)))
			return nil
		}
	}
	data, err := json.Marshal(value)
	b.Write(data)
	return err
}

// appendObject writes members in the order of the node's, or of their names.
func appendObject(b *bytes.Buffer, members map[string]any, node parquet.Node) error {
	var names []string
	nodes := map[string]parquet.Node{}
	if node != nil && !node.Leaf() {
		for _, f := range node.Fields() {
			names = append(names, f.Name())
			nodes[f.Name()] = f
		}
	}
	for name := range members {
		if nodes[name] == nil { // a MAP, whose keys are no members of the schema
			names = slices.Sorted(maps.Keys(members))
			break
		}
	}
	b.WriteByte('{')
	first := true
	for _, name := range names {
		value, ok := members[name]
		if !ok || value == nil {
			continue
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		b.Write(quoted(name))
		b.WriteByte(':')
		if err := appendJSON(b, value, nodes[name]); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

// elementOf is the node of a list's elements: that of the innermost group of the LIST's
// three, or of the repeated node itself.
func elementOf(node parquet.Node) parquet.Node {
	if node == nil || node.Leaf() {
		return nil
	}
	if node.Repeated() {
		return node
	}
	fields := node.Fields()
	if len(fields) != 1 || !fields[0].Repeated() || fields[0].Leaf() {
		return nil
	}
	inner := fields[0].Fields()
	if len(inner) == 1 {
		return inner[0]
	}
	return fields[0]
}
