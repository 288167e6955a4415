package rows

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"reflect"
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
	var batch [parquetBatch]any
	var left []any
	number := 0
	r.done, r.total = func() int64 { return int64(number) }, f.NumRows()
	r.next = func() (row Row, err error) {
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
		for key, value := range fields {
			var b bytes.Buffer
			if err := appendJSON(&b, value); err != nil {
				return Row{}, r.bad(number, "a value that is no text", fmt.Sprintf("column %q: %v", key, err))
			}
			row.Fields[key] = b.Bytes()
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

// appendJSON writes a value of Parquet as JSON: bytes are text, and numbers that are
// not finite null, as in other formats.
func appendJSON(b *bytes.Buffer, value any) error {
	switch v := value.(type) {
	case []byte:
		if !utf8.Valid(v) {
			return fmt.Errorf("%d bytes that are not UTF-8", len(v))
		}
		b.Write(quoted(string(v)))
	case string:
		if !utf8.ValidString(v) {
			return fmt.Errorf("%d bytes that are not UTF-8", len(v))
		}
		b.Write(quoted(v))
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := appendJSON(b, e); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	case map[string]any:
		b.WriteByte('{')
		first := true
		for key, e := range v {
			if !first {
				b.WriteByte(',')
			}
			first = false
			b.Write(quoted(key))
			b.WriteByte(':')
			if err := appendJSON(b, e); err != nil {
				return err
			}
		}
		b.WriteByte('}')
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			b.WriteString("null")
			return nil
		}
		return appendNumber(b, v)
	case float32:
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			b.WriteString("null")
			return nil
		}
		return appendNumber(b, v)
	default:
		// Parquet's MAP comes in types of its own.
		switch m := reflect.ValueOf(value); {
		case m.Kind() == reflect.Pointer && m.IsNil():
			return appendNumber(b, nil)
		case m.Kind() == reflect.Pointer:
			return appendJSON(b, m.Elem().Interface())
		case m.Kind() == reflect.Map:
			object := make(map[string]any, m.Len())
			for key, e := range m.Seq2() {
				object[fmt.Sprint(key.Interface())] = e.Interface()
			}
			return appendJSON(b, object)
		}
		return appendNumber(b, v)
	}
	return nil
}

func appendNumber(b *bytes.Buffer, v any) error {
	data, err := json.Marshal(v)
	b.Write(data)
	return err
}
