package train

import (
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// field is one decoded field of a Protocol Buffers message.
type field struct {
	number int
	value  any // uint64 for varints and fixed64, uint32 for fixed32, []byte
}

func decodeMessage(t *testing.T, data []byte) []field {
	t.Helper()
	var fields []field
	for len(data) > 0 {
		key, n := binary.Uvarint(data)
		if n <= 0 {
			t.Fatalf("broken key in %x", data)
		}
		data = data[n:]
		f := field{number: int(key >> 3)}
		switch key & 7 {
		case 0:
			v, n := binary.Uvarint(data)
			f.value, data = v, data[n:]
		case 1:
			f.value, data = binary.LittleEndian.Uint64(data), data[8:]
		case 2:
			size, n := binary.Uvarint(data)
			f.value, data = data[n:n+int(size)], data[n+int(size):]
		case 5:
			f.value, data = binary.LittleEndian.Uint32(data), data[4:]
		default:
			t.Fatalf("wire type %d", key&7)
		}
		fields = append(fields, f)
	}
	return fields
}

// decodeRecords takes a TFRecord file apart and checks every checksum by the
// formula of the format's documentation.
func decodeRecords(t *testing.T, data []byte) [][]byte {
	t.Helper()
	check := func(covered, sum []byte) {
		crc := crc32.Checksum(covered, crc32.MakeTable(crc32.Castagnoli))
		want := uint32((uint64(crc>>15) + uint64(crc)<<17 + 0xa282ead8) & 0xffffffff)
		if got := binary.LittleEndian.Uint32(sum); got != want {
			t.Fatalf("checksum of %x is %08x, want %08x", covered, got, want)
		}
	}
	var records [][]byte
	for len(data) > 0 {
		size := int(binary.LittleEndian.Uint64(data))
		check(data[:8], data[8:12])
		check(data[12:12+size], data[12+size:16+size])
		records = append(records, data[12:12+size])
		data = data[16+size:]
	}
	return records
}

func TestEventFileHoldsTheScalars(t *testing.T) {
	dir := t.TempDir()
	begin := time.UnixMicro(1_700_000_000_250_000)
	e, err := CreateEvents(dir, 5, begin)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Write(300, []Metric{{"loss", 3.25}, {"objective/kl", math.Inf(1)}}, begin.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if base := filepath.Base(e.Path()); !strings.HasPrefix(base, "events.out.tfevents.1700000000.") {
		t.Errorf("the file is named %s", base)
	}
	data, err := os.ReadFile(e.Path())
	if err != nil {
		t.Fatal(err)
	}
	records := decodeRecords(t, data)
	if len(records) != 3 {
		t.Fatalf("%d records", len(records))
	}
	wall := math.Float64bits(1_700_000_000.25)
	if got, want := decodeMessage(t, records[0]), []field{{1, wall}, {2, uint64(0)}, {3, []byte("brain.Event:2")}}; !reflect.DeepEqual(got, want) {
		t.Errorf("first event %v, want %v", got, want)
	}
	if got, want := decodeMessage(t, records[1]), []field{{1, wall}, {2, uint64(5)}, {7, []byte{8, 1}}}; !reflect.DeepEqual(got, want) {
		t.Errorf("start event %v, want %v", got, want)
	}
	event := decodeMessage(t, records[2])
	if want := []field{{1, math.Float64bits(1_700_000_001.25)}, {2, uint64(300)}}; !reflect.DeepEqual(event[:2], want) || event[2].number != 5 {
		t.Errorf("scalar event %v", event)
	}
	var got []Metric
	for _, value := range decodeMessage(t, event[2].value.([]byte)) {
		parts := decodeMessage(t, value.value.([]byte))
		if value.number != 1 || len(parts) != 2 || parts[0].number != 1 || parts[1].number != 2 {
			t.Fatalf("value %v", parts)
		}
		got = append(got, Metric{string(parts[0].value.([]byte)), float64(math.Float32frombits(parts[1].value.(uint32)))})
	}
	if want := []Metric{{"loss", 3.25}, {"objective/kl", math.Inf(1)}}; !reflect.DeepEqual(got, want) {
		t.Errorf("scalars %v, want %v", got, want)
	}
}

// The first record that TensorFlow's own writer makes at time 0: 8 bytes of
// length (26 = 9 of time, 2 of step, 15 of version), a checksum, the event.
func TestEventFileBeginsWithTheVersionRecord(t *testing.T) {
	e, err := CreateEvents(t.TempDir(), 0, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(e.Path())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := hex.EncodeToString(data[:8]), "1a00000000000000"; got != want {
		t.Errorf("length is %s, want %s", got, want)
	}
	want := "090000000000000000" + "1000" + "1a0d" + hex.EncodeToString([]byte("brain.Event:2"))
	if got := hex.EncodeToString(data[12:38]); got != want {
		t.Errorf("event is %s, want %s", got, want)
	}
}

func TestMaskedCRCOfKnownData(t *testing.T) {
	// The CRC catalogue's check value of CRC-32C (iSCSI): "123456789" → e3069283.
	crc := uint32(0xe3069283)
	want := (crc>>15 | crc<<17) + 0xa282ead8
	if got := maskedCRC([]byte("123456789")); got != want {
		t.Errorf("got %08x, want %08x", got, want)
	}
}

func TestEventFilesOfOneSecondDoNotCollide(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		e, err := CreateEvents(dir, 0, time.Unix(1, 0))
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := filepath.Glob(filepath.Join(dir, "events.out.tfevents.1.*")); err != nil || len(names) != 3 {
		t.Errorf("files %v, %v", names, err)
	}
}
