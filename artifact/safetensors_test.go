package artifact_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// file puts a header and data together as the format says.
func file(header, data string) []byte {
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(out, header...), data...)
}

func parse(data []byte) (*artifact.SafetensorsFile, error) {
	return artifact.ParseSafetensors("test", bytes.NewReader(data), int64(len(data)))
}

func TestSafetensorsReadsWhatItWrote(t *testing.T) {
	tensors := []artifact.Tensor{
		{Name: "w", Shape: []int{2, 3}, Data: []float32{1, -2, 0.5, float32(math.Inf(1)), 1e-45, 3.4e38}},
		{Name: "half", DType: "F16", Shape: []int{3}, Data: []float32{1, 65504, 0x1p-24}},
		{Name: "brain", DType: "BF16", Shape: []int{2}, Data: []float32{-1.5, 0x1p100}},
		{Name: "scalar", Shape: nil, Data: []float32{7}},
		{Name: "empty", Shape: []int{0, 4}, Data: nil},
		{Name: "flags", DType: "BOOL", Shape: []int{3}, Raw: []byte{1, 0, 1}},
		artifact.Int32Tensor("ids", []int{2}, []int32{-1, math.MaxInt32}),
		{Name: "long \"name\" <é>", DType: "I64", Shape: []int{2}, Raw: []byte{5, 0, 0, 0, 0, 0, 0, 0, 0xfa, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
	}
	path := filepath.Join(t.TempDir(), "a.safetensors")
	var buffer bytes.Buffer
	if err := artifact.WriteSafetensors(&buffer, tensors, map[string]string{"made by": "a test"}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, buffer.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	if n := 8 + binary.LittleEndian.Uint64(buffer.Bytes()); n%8 != 0 {
		t.Errorf("data begin at %d, which is no multiple of 8", n)
	}
	f, err := artifact.ReadSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if want := map[string]string{"format": "pt", "made by": "a test"}; !reflect.DeepEqual(f.Metadata(), want) {
		t.Errorf("metadata %v, want %v", f.Metadata(), want)
	}
	for _, tensor := range tensors {
		info, ok := f.Info(tensor.Name)
		if !ok || len(info.Shape) != len(tensor.Shape) {
			t.Errorf("%s: info %v %v", tensor.Name, info, ok)
		}
		if tensor.Raw != nil {
			if got, err := f.Raw(tensor.Name); err != nil || !bytes.Equal(got, tensor.Raw) {
				t.Errorf("%s: %v, %v", tensor.Name, got, err)
			}
			continue
		}
		got, err := f.Float32(tensor.Name)
		if err != nil || len(got) != len(tensor.Data) {
			t.Fatalf("%s: %v, %v", tensor.Name, got, err)
		}
		for i := range got {
			if got[i] != tensor.Data[i] {
				t.Errorf("%s[%d] = %v, want %v", tensor.Name, i, got[i], tensor.Data[i])
			}
		}
	}
	if got, err := f.Int32("ids"); err != nil || !reflect.DeepEqual(got, []int32{-1, math.MaxInt32}) {
		t.Errorf("ids: %v, %v", got, err)
	}
	if got, err := f.Int64("long \"name\" <é>"); err != nil || !reflect.DeepEqual(got, []int64{5, -6}) {
		t.Errorf("long: %v, %v", got, err)
	}
	if got, err := f.Int32("long \"name\" <é>"); err != nil || !reflect.DeepEqual(got, []int32{5, -6}) {
		t.Errorf("long as 32 bits: %v, %v", got, err)
	}
	if _, err := f.Float32("ids"); err == nil {
		t.Error("integers were read as floats")
	}
	if _, err := f.Float32("nothing"); !errors.Is(err, artifact.ErrNotFound) {
		t.Errorf("absent tensor: %v", err)
	}
}

func TestSafetensorsBytesDoNotDependOnTheOrderOfTensors(t *testing.T) {
	a := artifact.Tensor{Name: "a", DType: "U8", Shape: []int{1}, Raw: []byte{9}}
	b := artifact.Tensor{Name: "b", Shape: []int{1}, Data: []float32{1}}
	c := artifact.Tensor{Name: "c", Shape: []int{1}, Data: []float32{2}}
	var first, second bytes.Buffer
	if err := artifact.WriteSafetensors(&first, []artifact.Tensor{a, b, c}, nil); err != nil {
		t.Fatal(err)
	}
	if err := artifact.WriteSafetensors(&second, []artifact.Tensor{c, a, b}, nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("bytes differ")
	}
	f, err := parse(first.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, info := range f.Infos() {
		order = append(order, info.Name)
	}
	if want := []string{"b", "c", "a"}; !reflect.DeepEqual(order, want) {
		t.Errorf("the tensors lie in the order %v, want %v", order, want)
	}
	want := `{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"c":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"a":{"dtype":"U8","shape":[1],"data_offsets":[8,9]}}`
	header := string(first.Bytes()[8 : len(first.Bytes())-9])
	if strings.TrimRight(header, " ") != want {
		t.Errorf("header is\n%s\nwant\n%s", header, want)
	}
}

// The bytes are those drawn in docs/formats/safetensors.md, which Hugging
// Face's own library reads as [1, -2].
func TestSafetensorsFileIsAsDocumented(t *testing.T) {
	var got bytes.Buffer
	if err := artifact.WriteSafetensors(&got, []artifact.Tensor{{Name: "w", Shape: []int{2}, Data: []float32{1, -2}}}, nil); err != nil {
		t.Fatal(err)
	}
	want := "X\x00\x00\x00\x00\x00\x00\x00" +
		`{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}   ` +
		"\x00\x00\x80\x3f\x00\x00\x00\xc0"
	if got.String() != want {
		t.Errorf("got\n%q\nwant\n%q", &got, want)
	}
}

func TestSafetensorsReaderRefusesEveryMalformedFile(t *testing.T) {
	entry := `"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`
	valid := file(`{`+entry+`}`, "1234")
	if _, err := parse(valid); err != nil {
		t.Fatalf("the valid file is refused: %v", err)
	}
	long := binary.LittleEndian.AppendUint64(nil, 1<<62)
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty file", nil, "too few"},
		{"no header", []byte{1, 0, 0, 0, 0, 0, 0, 0}, "a header of 1 bytes in a file of 8"},
		{"huge header", append(long, valid...), "a header of"},
		{"header length above 2^63", append(bytes.Repeat([]byte{0xff}, 8), valid...), "a header of"},
		{"header of nothing", file("", ""), `does not begin with "{"`},
		{"a space before the brace", file(` {`+entry+`}`, "1234"), `does not begin with "{"`},
		{"invalid UTF-8", file("{\"\xff\":{}}", ""), "UTF-8"},
		{"JSON cut off", file(`{"a":{"dtype":"F32"`, ""), "EOF"},
		{"text behind the object", file(`{`+entry+`}x`, "1234"), "bytes behind"},
		{"two equal names", file(`{`+entry+`,"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, "12345678"), "two tensors"},
		{"equal names by escape", file(`{`+entry+`,"\u0061":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, "12345678"), "two tensors"},
		{"two metadata", file(`{"__metadata__":{},"__metadata__":{},`+entry+`}`, "1234"), "two __metadata__"},
		{"metadata not strings", file(`{"__metadata__":{"a":1},`+entry+`}`, "1234"), "where a string belongs"},
		{"two equal metadata keys", file(`{"__metadata__":{"a":"1","a":"2"},`+entry+`}`, "1234"), "two entries"},
		{"hole", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}`, "123"), "hole or an overlap"},
		{"overlap", file(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, "123"), "hole or an overlap"},
		{"hole at the start", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, "12"), "hole or an overlap"},
		{"cut off", file(`{`+entry+`}`, "123"), "cut off"},
		{"bytes at the end", file(`{`+entry+`}`, "12345"), "behind the last tensor"},
		{"backwards offsets", file(`{"a":{"dtype":"F32","shape":[0],"data_offsets":[4,0]}}`, "1234"), "offsets [4, 0]"},
		{"shape against offsets", file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, "1234"), "takes 8 bytes"},
		{"product overflows to 4", file(`{"a":{"dtype":"F32","shape":[4294967296,4294967296,1],"data_offsets":[0,4]}}`, "1234"), "overflows"},
		{"negative dimension", file(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, "1234"), "whole number"},
		{"fractional offset", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4.0]}}`, "1234"), "whole number"},
		{"three offsets", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}}`, "1234"), "want 2"},
		{"unknown type", file(`{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}`, "1234"), "unknown dtype"},
		{"unknown entry", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}`, "1234"), "unknown entry"},
		{"entry twice", file(`{"a":{"dtype":"F32","dtype":"U8","shape":[1],"data_offsets":[0,4]}}`, "1234"), "two entries"},
		{"entry missing", file(`{"a":{"dtype":"F32","data_offsets":[0,4]}}`, "1234"), "missing"},
		{"tensor is a list", file(`{"a":[]}`, ""), "where { belongs"},
		{"deep nesting", file(`{"a":`+strings.Repeat("[", 100000), ""), "where { belongs"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := parse(test.data)
			if !errors.Is(err, artifact.ErrCorrupt) {
				t.Fatalf("got %v, want a corrupt artifact", err)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q does not say %q", err, test.want)
			}
		})
	}
}

func TestSafetensorsWriterRefusesTensorsThatDoNotAddUp(t *testing.T) {
	for _, test := range []struct {
		name    string
		tensors []artifact.Tensor
		want    string
	}{
		{"too few values", []artifact.Tensor{{Name: "a", Shape: []int{2}, Data: []float32{1}}}, "1 values for shape [2]"},
		{"too few bytes", []artifact.Tensor{{Name: "a", DType: "I32", Shape: []int{2}, Raw: []byte{1}}}, "1 raw bytes"},
		{"two names", []artifact.Tensor{{Name: "a", Data: []float32{1}}, {Name: "a", Data: []float32{1}}}, "two tensors"},
		{"reserved name", []artifact.Tensor{{Name: "__metadata__", Data: []float32{1}}}, "reserved"},
		{"unknown type", []artifact.Tensor{{Name: "a", DType: "F9", Data: []float32{1}}}, "unknown type"},
		{"integers from Data", []artifact.Tensor{{Name: "a", DType: "I32", Data: []float32{1}}}, "written from Raw"},
		{"negative dimension", []artifact.Tensor{{Name: "a", Shape: []int{-1}}}, "negative"},
		{"overflow", []artifact.Tensor{{Name: "a", Shape: []int{math.MaxInt, math.MaxInt}}}, "counted"},
		{"Data and Raw", []artifact.Tensor{{Name: "a", Data: []float32{1}, Raw: []byte{1, 2, 3, 4}}}, "both"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var buffer bytes.Buffer
			err := artifact.WriteSafetensors(&buffer, test.tensors, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v does not say %q", err, test.want)
			}
			if buffer.Len() != 0 {
				t.Errorf("%d bytes were written before the check", buffer.Len())
			}
		})
	}
}

func TestSafetensorsHeaderIsReadWithinBoundedMemory(t *testing.T) {
	var header strings.Builder
	header.WriteByte('{')
	for i := range 20000 {
		if i > 0 {
			header.WriteByte(',')
		}
		fmt.Fprintf(&header, `"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`, i)
	}
	header.WriteByte('}')
	data := file(header.String(), "")
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	held := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	if limit := int64(4*len(data) + 1<<20); held > limit {
		t.Errorf("%d bytes are held for a header of %d, limit %d", held, len(data), limit)
	}
	runtime.KeepAlive(f)
}

// FuzzSafetensors holds the reader to this: it does not crash, and what it
// accepts covers the file exactly, can be read, and comes out of the writer so
// that it is accepted again with the same content.
func FuzzSafetensors(f *testing.F) {
	f.Add(file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, "1234"))
	f.Add(file(`{"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[2,0],"data_offsets":[0,0]},"b":{"dtype":"F16","shape":[],"data_offsets":[0,2]}}   `, "12"))
	f.Add(file(`{}`, ""))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parse(data)
		if err != nil {
			if !errors.Is(err, artifact.ErrCorrupt) {
				t.Fatalf("refused without being called corrupt: %v", err)
			}
			return
		}
		var tensors []artifact.Tensor
		total := 8 + int(binary.LittleEndian.Uint64(data))
		for _, name := range s.Names() {
			raw, err := s.Raw(name)
			if err != nil {
				t.Fatal(err)
			}
			info, _ := s.Info(name)
			total += len(raw)
			tensors = append(tensors, artifact.Tensor{Name: name, DType: info.DType, Shape: info.Shape, Raw: raw})
			if info.DType == "F32" || info.DType == "F16" || info.DType == "BF16" {
				if values, err := s.Float32(name); err != nil || len(values) != info.Elements() {
					t.Fatalf("%q: %d values, %v", name, len(values), err)
				}
			}
		}
		if total != len(data) {
			t.Fatalf("header and tensors take %d of %d bytes", total, len(data))
		}
		var buffer bytes.Buffer
		if err := artifact.WriteSafetensors(&buffer, tensors, s.Metadata()); err != nil {
			for _, tensor := range tensors {
				if tensor.Name == "" { // readable, but not written by us
					return
				}
			}
			t.Fatal(err)
		}
		again, err := parse(buffer.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for _, tensor := range tensors {
			if raw, err := again.Raw(tensor.Name); err != nil || !bytes.Equal(raw, tensor.Raw) {
				t.Fatalf("%q came back different: %v", tensor.Name, err)
			}
		}
	})
}
