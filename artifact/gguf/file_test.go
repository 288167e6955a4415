package gguf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/artifact/gguf"
)

func parse(data []byte) (*gguf.File, error) {
	return gguf.Parse("test.gguf", bytes.NewReader(data), int64(len(data)))
}

func values(v ...float32) func() ([]float32, error) {
	return func() ([]float32, error) { return v, nil }
}

func write(t testing.TB, metadata []gguf.Entry, tensors ...gguf.Tensor) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := gguf.Write(&b, metadata, tensors); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAFileOfLlamaCppsOwnPackageIsRead(t *testing.T) {
	f, err := gguf.Open("testdata/sample.gguf")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := []gguf.Entry{
		{"general.architecture", "sample"},
		{"a.uint8", uint8(200)}, {"a.int8", int8(-100)}, {"a.uint16", uint16(60000)}, {"a.int16", int16(-30000)},
		{"a.uint32", uint32(4000000000)}, {"a.int32", int32(-2000000000)}, {"a.float32", float32(.1)},
		{"a.uint64", uint64(1 << 63)}, {"a.int64", int64(-1 << 62)}, {"a.float64", .1},
		{"a.bool", true}, {"a.string", "héllo"}, {"a.strings", []string{"", "中文", "x"}},
		{"a.ints", []int32{1, -2, 3}}, {"a.floats", []float32{.5, -1.25}}, {"a.bools", []bool{true, false}},
	}
	if got := f.Entries(); !reflect.DeepEqual(got, want) {
		t.Errorf("metadata:\n%v\nwant\n%v", got, want)
	}
	for _, c := range []struct {
		name  string
		shape []int
		kind  gguf.Type
	}{{"matrix", []int{2, 3}, gguf.F32}, {"half", []int{5}, gguf.F16}, {"blocks", []int{1, 64}, gguf.Q8_0}} {
		info, ok := f.Tensor(c.name)
		if !ok || !slices.Equal(info.Shape, c.shape) || info.Type != c.kind {
			t.Errorf("tensor %s: %+v, want shape %v of %s", c.name, info, c.shape, c.kind)
		}
	}
	if got, err := f.Float32("matrix"); err != nil || !slices.Equal(got, []float32{0, 1, 2, 3, 4, 5}) {
		t.Errorf("matrix: %v, %v", got, err)
	}
	if got, err := f.Float32("half"); err != nil || !slices.Equal(got, []float32{0, 1, 2, 3, 4}) {
		t.Errorf("half: %v, %v", got, err)
	}
	if _, err := f.Float32("absent"); !errors.Is(err, artifact.ErrNotFound) {
		t.Errorf("a tensor that is not there: %v", err)
	}
}

// blocks opens the golden blocks.
func blocks(t *testing.T) *artifact.SafetensorsFile {
	t.Helper()
	f, err := artifact.ReadSafetensors("testdata/blocks.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// around lays raw blocks out as the only tensor of a file: the writer does not
// write most types, so the header's type is set afterwards.
func around(t *testing.T, kind gguf.Type, raw []byte, elements int) []byte {
	t.Helper()
	file := write(t, nil, gguf.Tensor{Name: "x", Shape: []int{elements}, Type: gguf.F32, Values: func() ([]float32, error) { return make([]float32, elements), nil }})
	binary.LittleEndian.PutUint32(file[4+4+8+8+8+1+4+8:], uint32(kind))
	const header = 64
	return append(file[:header:header], raw...)
}

func TestEveryTypeIsDequantisedAsLlamaCppsPackageDoes(t *testing.T) {
	golden := blocks(t)
	for _, kind := range gguf.Types {
		raw, err := golden.Raw(kind.String() + ".raw")
		if err != nil {
			t.Fatal(err)
		}
		want, err := golden.Float32(kind.String() + ".values")
		if err != nil {
			t.Fatal(err)
		}
		f, err := parse(around(t, kind, raw, len(want)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Float32("x")
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if math.Float32bits(got[i]) != math.Float32bits(want[i]) && !(got[i] == 0 && want[i] == 0) {
				t.Fatalf("%s: element %d is %v, want %v", kind, i, got[i], want[i])
			}
		}
	}
}

func TestQ8_0BlocksAreThoseOfLlamaCppsPackage(t *testing.T) {
	golden := blocks(t)
	values, err := golden.Float32("quantize.values")
	if err != nil {
		t.Fatal(err)
	}
	want, err := golden.Raw("quantize.Q8_0")
	if err != nil {
		t.Fatal(err)
	}
	got, err := gguf.Quantize(gguf.Q8_0, values)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("blocks differ")
	}
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	metadata := []gguf.Entry{
		{"u8", uint8(1)}, {"i8", int8(-1)}, {"u16", uint16(2)}, {"i16", int16(-2)}, {"u32", uint32(3)}, {"i32", int32(-3)},
		{"u64", uint64(4)}, {"i64", int64(-4)}, {"f32", float32(.5)}, {"f64", .25}, {"bool", true}, {"text", "a\x00b"},
		{"u8s", []uint8{1, 2}}, {"i8s", []int8{-1}}, {"u16s", []uint16{3}}, {"i16s", []int16{-3}}, {"u32s", []uint32{5}}, {"i32s", []int32{-5}},
		{"u64s", []uint64{6}}, {"i64s", []int64{-6}}, {"f32s", []float32{1.5}}, {"f64s", []float64{2.5}}, {"bools", []bool{false, true}},
		{"texts", []string{"x", ""}}, {"none", []int32{}},
	}
	row := make([]float32, 512)
	for i := range row {
		row[i] = float32(i-256) / 256
	}
	var tensors []gguf.Tensor
	for _, kind := range gguf.Types {
		tensors = append(tensors, gguf.Tensor{Name: kind.String(), Shape: []int{2, 256}, Type: kind, Values: values(row...)})
	}
	tensors = append(tensors, gguf.Tensor{Name: "odd", Shape: []int{1, 1, 1, 3}, Type: gguf.F16, Values: values(1, 2, 3)})
	f, err := parse(write(t, metadata, tensors...))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(f.Entries(), metadata) {
		t.Errorf("metadata:\n%v\nwant\n%v", f.Entries(), metadata)
	}
	for _, tensor := range tensors {
		info, ok := f.Tensor(tensor.Name)
		if !ok || !slices.Equal(info.Shape, tensor.Shape) || info.Offset%32 != 0 {
			t.Errorf("%s: %+v", tensor.Name, info)
		}
	}
	for _, kind := range gguf.Types {
		got, err := f.Float32(kind.String())
		if err != nil {
			t.Fatal(err)
		}
		for i := range row {
			if diff := math.Abs(float64(got[i] - row[i])); diff > 2*halfStep[kind]+map[gguf.Type]float64{gguf.BF16: 1. / 512, gguf.F16: 1. / 4096}[kind] {
				t.Errorf("%s: element %d is %g, want %g", kind, i, got[i], row[i])
			}
		}
	}
}

func TestTheWriterRefusesWhatTheFormatCannotHold(t *testing.T) {
	ok := gguf.Tensor{Name: "x", Shape: []int{2}, Type: gguf.F32, Values: values(1, 2)}
	change := func(f func(*gguf.Tensor)) []gguf.Tensor { x := ok; f(&x); return []gguf.Tensor{x} }
	for name, c := range map[string]struct {
		metadata []gguf.Entry
		tensors  []gguf.Tensor
		says     string
	}{
		"empty key":         {metadata: []gguf.Entry{{"", true}}, says: "empty"},
		"key twice":         {metadata: []gguf.Entry{{"a", true}, {"a", true}}, says: "twice"},
		"alignment":         {metadata: []gguf.Entry{{"general.alignment", uint32(8)}}, says: "writer's own"},
		"unknown value":     {metadata: []gguf.Entry{{"a", 1}}, says: "type int"},
		"name twice":        {tensors: []gguf.Tensor{ok, ok}, says: "twice"},
		"no dimensions":     {tensors: change(func(x *gguf.Tensor) { x.Shape = nil }), says: "0 dimensions"},
		"five dimensions":   {tensors: change(func(x *gguf.Tensor) { x.Shape = []int{1, 1, 1, 1, 2} }), says: "5 dimensions"},
		"no elements":       {tensors: change(func(x *gguf.Tensor) { x.Shape = []int{0} }), says: "number of elements"},
		"overflow":          {tensors: change(func(x *gguf.Tensor) { x.Shape = []int{1 << 40, 1 << 40} }), says: "number of elements"},
		"type not written":  {tensors: change(func(x *gguf.Tensor) { x.Type = 16 }), says: "IQ2_XXS is not written"},
		"rows not in block": {tensors: change(func(x *gguf.Tensor) { x.Type = gguf.Q8_0 }), says: "blocks of 32"},
		"too few values":    {tensors: change(func(x *gguf.Tensor) { x.Values = values(1) }), says: "1 values"},
		"beyond float16":    {tensors: change(func(x *gguf.Tensor) { x.Type = gguf.F16; x.Values = values(1, 1e5) }), says: "beyond the range of F16"},
	} {
		err := gguf.Write(&bytes.Buffer{}, c.metadata, c.tensors)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want an error that says %q", name, err, c.says)
		}
	}
	bad := make([]float32, 32)
	bad[3] = float32(math.NaN())
	if _, err := gguf.Quantize(gguf.Q8_0, bad); err == nil {
		t.Errorf("a value that is not a number was quantised")
	}
}

// header builds the bytes of a file from parts: uint32, uint64 and string (with
// its length before it).
func header(parts ...any) []byte {
	b := []byte("GGUF")
	for _, p := range parts {
		switch v := p.(type) {
		case uint32:
			b = binary.LittleEndian.AppendUint32(b, v)
		case uint64:
			b = binary.LittleEndian.AppendUint64(b, v)
		case string:
			b = binary.LittleEndian.AppendUint64(b, uint64(len(v)))
			b = append(b, v...)
		}
	}
	return b
}

func TestTheReaderRefusesEveryMalformedFile(t *testing.T) {
	const v, none, one = uint32(3), uint64(0), uint64(1)
	tensor := func(name string, tail ...any) []any { return append([]any{v, one, none, name}, tail...) }
	pad := func(b []byte, n int) []byte { return append(b, make([]byte, n)...) }
	for name, c := range map[string]struct {
		data []byte
		says string
		kind error
	}{
		"empty":                {nil, "4 bytes are wanted and 0 left: unexpected EOF: the file was damaged or cut off; fetch or write it again", artifact.ErrCorrupt},
		"magic":                {[]byte("GGML0000"), `begins with "GGML", one of those with "GGUF"; give one`, artifact.ErrCorrupt},
		"version 1":            {header(uint32(1), none, none), "version 1", artifact.ErrUsage},
		"version 9":            {header(uint32(9), none, none), "version 9", artifact.ErrUsage},
		"big-endian":           {header(uint32(3<<24), none, none), "big-endian", artifact.ErrUsage},
		"tensor count":         {header(v, uint64(1<<60), none), "tensors are announced", artifact.ErrCorrupt},
		"entry count":          {header(v, none, uint64(1<<60)), "metadata entries are announced", artifact.ErrCorrupt},
		"key length":           {pad(header(v, none, one, uint64(1<<50)), 9), "a string of", artifact.ErrCorrupt},
		"empty key":            {pad(header(v, none, one, ""), 9), "it is empty", artifact.ErrCorrupt},
		"value type":           {pad(header(v, none, one, "k", uint32(13)), 9), "unknown value type 13", artifact.ErrCorrupt},
		"boolean":              {append(header(v, none, one, "k", uint32(7)), 2), "a boolean is 2", artifact.ErrCorrupt},
		"value cut off":        {append(header(v, none, one, "k", uint32(10)), 1), "8 bytes are wanted and 1 left", artifact.ErrCorrupt},
		"array length":         {header(v, none, one, "k", uint32(9), uint32(5), uint64(1<<62)), "an array of", artifact.ErrCorrupt},
		"array of strings":     {header(v, none, one, "k", uint32(9), uint32(8), uint64(2), "a"), "an array of 2 values", artifact.ErrCorrupt},
		"array of arrays":      {header(v, none, one, "k", uint32(9), uint32(9), one, uint32(0), none), "array of arrays", artifact.ErrUsage},
		"array of nonsense":    {header(v, none, one, "k", uint32(9), uint32(99), one), "unknown value type 99", artifact.ErrCorrupt},
		"key twice":            {header(v, none, uint64(2), "k", uint32(4), uint32(1), "k", uint32(4), uint32(1)), "comes twice", artifact.ErrCorrupt},
		"alignment 3":          {header(v, none, one, "general.alignment", uint32(4), uint32(3)), "power of two", artifact.ErrCorrupt},
		"alignment 0":          {header(v, none, one, "general.alignment", uint32(4), uint32(0)), "power of two", artifact.ErrCorrupt},
		"alignment text":       {header(v, none, one, "general.alignment", uint32(8), "32"), "power of two", artifact.ErrCorrupt},
		"no dimensions":        {pad(header(tensor("x", uint32(0), uint32(0), none)...), 32), "0 dimensions", artifact.ErrCorrupt},
		"five dimensions":      {pad(header(tensor("x", uint32(5), one, one, one, one, one, uint32(0), none)...), 32), "5 dimensions", artifact.ErrCorrupt},
		"no elements":          {pad(header(tensor("x", uint32(1), none, uint32(0), none)...), 32), "number of elements", artifact.ErrCorrupt},
		"overflow":             {pad(header(tensor("x", uint32(2), uint64(1<<40), uint64(1<<40), uint32(0), none)...), 32), "number of elements", artifact.ErrCorrupt},
		"type not read":        {pad(header(tensor("x", uint32(1), uint64(256), uint32(17), none)...), 96), "type IQ2_XS, which alma does not read", artifact.ErrUsage},
		"type unknown":         {pad(header(tensor("x", uint32(1), uint64(256), uint32(999), none)...), 96), "type 999, which", artifact.ErrUsage},
		"rows not in blocks":   {pad(header(tensor("x", uint32(1), uint64(33), uint32(8), none)...), 96), "blocks of 32", artifact.ErrCorrupt},
		"offset not aligned":   {pad(header(tensor("x", uint32(1), one, uint32(0), uint64(4))...), 96), "multiple of the alignment", artifact.ErrCorrupt},
		"offset beyond":        {pad(header(tensor("x", uint32(1), one, uint32(0), uint64(1<<40))...), 96), "cut off", artifact.ErrCorrupt},
		"offset beyond 63 bit": {pad(header(tensor("x", uint32(1), one, uint32(0), uint64(1<<63))...), 96), "beyond any file", artifact.ErrCorrupt},
		"data cut off":         {pad(header(tensor("x", uint32(1), uint64(64), uint32(0), none)...), 96), "cut off", artifact.ErrCorrupt},
		"tensor twice": {pad(header(v, uint64(2), none, "x", uint32(1), one, uint32(0), none, "x", uint32(1), one, uint32(0), uint64(32)), 96),
			"comes twice", artifact.ErrCorrupt},
		"overlap": {pad(header(v, uint64(2), none, "x", uint32(1), uint64(9), uint32(0), none, "y", uint32(1), one, uint32(0), uint64(32)), 128),
			`tensors "x" and "y" overlap`, artifact.ErrCorrupt},
	} {
		_, err := parse(c.data)
		if err == nil || !strings.Contains(err.Error(), c.says) || !errors.Is(err, c.kind) {
			t.Errorf("%s: %v, want %v that says %q", name, err, c.kind, c.says)
		}
	}
}

func TestEveryTruncationIsSeen(t *testing.T) {
	data := write(t, []gguf.Entry{{"a", "text"}, {"b", []int32{1, 2}}}, gguf.Tensor{Name: "x", Shape: []int{8}, Type: gguf.F32, Values: values(1, 2, 3, 4, 5, 6, 7, 8)})
	for n := range data {
		if _, err := parse(data[:n]); !errors.Is(err, artifact.ErrCorrupt) {
			t.Errorf("cut off at byte %d of %d: %v", n, len(data), err)
		}
	}
}

func TestMetadataOfAnotherTypeIsNamed(t *testing.T) {
	f, err := parse(write(t, []gguf.Entry{{"n", int64(-1)}, {"big", uint64(1 << 63)}, {"text", "x"}, {"u", []uint32{1 << 31}}}))
	if err != nil {
		t.Fatal(err)
	}
	for name, get := range map[string]func() error{
		`"absent" is missing`:              func() error { _, err := f.Int("absent"); return err },
		`"text" is of type string`:         func() error { _, err := f.Int("text"); return err },
		`"n" is -1`:                        func() error { _, err := f.Int("n"); return err },
		`"big" is 9223372036854775808`:     func() error { _, err := f.Int("big"); return err },
		`"n" is of type int64`:             func() error { _, err := f.Text("n"); return err },
		`"text" is of type string, want a`: func() error { _, err := f.Float("text"); return err },
		`"u": value 0 is 2147483648`:       func() error { _, err := f.Int32s("u"); return err },
	} {
		if err := get(); err == nil || !strings.Contains(err.Error(), name) || !errors.Is(err, artifact.ErrCorrupt) {
			t.Errorf("%v, want a corrupt file with %s", err, name)
		}
	}
}

// allocated is how many bytes f allocates in all.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

func TestTheHeaderIsReadWithinBoundedMemory(t *testing.T) {
	small := []any{uint32(3), uint64(0), uint64(60000)}
	for i := range 60000 {
		small = append(small, fmt.Sprint(i), uint32(4), uint32(i))
	}
	texts := make([]string, 300000)
	var tensors []gguf.Tensor
	for i := range 20000 {
		tensors = append(tensors, gguf.Tensor{Name: fmt.Sprint(i), Shape: []int{1}, Type: gguf.F32, Values: values(1)})
	}
	for name, data := range map[string][]byte{
		"many entries":     header(small...),
		"many texts":       write(t, []gguf.Entry{{"texts", texts}}),
		"many tensors":     write(t, nil, tensors...)[:],
		"counts that lie":  header(uint32(3), uint64(0), uint64(1), "k", uint32(9), uint32(8), uint64(1<<40)),
		"numbers":          write(t, []gguf.Entry{{"u16s", make([]uint16, 500000)}, {"u64s", make([]uint64, 100000)}}),
		"a string cut off": header(uint32(3), uint64(0), uint64(1), "k", uint32(8), uint64(1<<40)),
	} {
		got := allocated(func() { parse(data) })
		if limit := int64(4*len(data) + 1<<20); got > limit {
			t.Errorf("%s: %d bytes are allocated for a file of %d, limit %d", name, got, len(data), limit)
		}
	}
}

// FuzzParse holds the reader to this: it does not crash, allocates within its
// bound, calls what it refuses corrupt or unsupported, and what it accepts can
// be read, written and read again with the same content.
func FuzzParse(f *testing.F) {
	sample, err := os.ReadFile("testdata/sample.gguf")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample)
	f.Add(header(uint32(3), uint64(0), uint64(0)))
	f.Add(header(uint32(2), uint64(0), uint64(1), "general.alignment", uint32(4), uint32(64)))
	f.Add(write(f, []gguf.Entry{{"a", []string{"b"}}}, gguf.Tensor{Name: "x", Shape: []int{1, 2}, Type: gguf.BF16, Values: values(1, 2)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		var file *gguf.File
		var err error
		if got, limit := allocated(func() { file, err = parse(data) }), int64(4*len(data)+1<<20); got > limit {
			t.Fatalf("%d bytes are allocated, limit %d", got, limit)
		}
		if err != nil {
			if !errors.Is(err, artifact.ErrCorrupt) && !errors.Is(err, artifact.ErrUsage) {
				t.Fatalf("refused with neither kind: %v", err)
			}
			return
		}
		var tensors []gguf.Tensor
		for _, info := range file.Tensors() {
			got, err := file.Float32(info.Name)
			if err != nil || len(got) != info.Elements() {
				t.Fatalf("%q: %d values, %v", info.Name, len(got), err)
			}
			tensors = append(tensors, gguf.Tensor{Name: info.Name, Shape: info.Shape, Type: gguf.F32, Values: values(got...)})
		}
		entries := slices.DeleteFunc(slices.Clone(file.Entries()), func(e gguf.Entry) bool { return e.Key == "general.alignment" })
		again, err := parse(write(t, entries, tensors...))
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(again.Entries()) != fmt.Sprint(entries) {
			t.Fatalf("metadata came back different:\n%v\n%v", again.Entries(), entries)
		}
	})
}
