package dedup

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"path/filepath"

	"github.com/zeebo/xxh3"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// A record file, as docs/dedup.md draws it: a header, runs of sorted records, a
// table of the runs, a tail. All numbers are big-endian.
const (
	magic       = "almadup1"
	headerBytes = 8 + 2*5 + 6 // magic, five numbers, zeros
	entryBytes  = 8 + 8       // of the table: a run's records, XXH3 of its bytes
	tailBytes   = 8 + 8       // runs, XXH3 of header, table and number of runs
)

// The kinds of record files.
const (
	keyRecords  = 1
	bandRecords = 2
)

// A header says what a record file holds.
type header struct {
	kind, width int
	minHash     MinHash // of bands
}

func (h header) append(data []byte) []byte {
	begin := len(data)
	data = append(data, magic...)
	for _, x := range []int{h.kind, h.width, h.minHash.Shingle, h.minHash.Bands, h.minHash.Rows} {
		data = binary.BigEndian.AppendUint16(data, uint16(x))
	}
	return append(data, make([]byte, headerBytes-(len(data)-begin))...)
}

func readHeader(data []byte) header {
	number := func(i int) int { return int(binary.BigEndian.Uint16(data[len(magic)+2*i:])) }
	return header{number(0), number(1), MinHash{number(2), number(3), number(4)}}
}

func corrupt(path, reason string) error {
	return &artifact.CorruptError{Path: path, Reason: reason + "; remove the file and make it again"}
}

// A recordWriter writes a record file.
type recordWriter struct {
	out    *artifact.Writer
	width  int
	buffer []byte
	room   int
	begin  []byte // header
	table  []byte
	err    error
}

func createRecords(path string, h header, o Options) (*recordWriter, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	out, err := o.disk.Create(path)
	if err != nil {
		return nil, err
	}
	w := &recordWriter{out: out, width: h.width, room: int(o.Memory) / h.width * h.width, begin: h.append(nil)}
	if _, err := out.Write(w.begin); err != nil {
		out.Abort()
		return nil, err
	}
	return w, nil
}

func (w *recordWriter) add(record []byte) error {
	if w.err == nil && len(w.buffer) == w.room {
		w.err = w.flush()
	}
	if w.err != nil {
		return w.err
	}
	w.buffer = appendWithin(w.buffer, record, w.room)
	return nil
}

// flush writes the buffer as a run.
func (w *recordWriter) flush() error {
	if len(w.buffer) == 0 {
		return nil
	}
	sortRecords(w.buffer, w.width)
	w.table = binary.BigEndian.AppendUint64(w.table, uint64(len(w.buffer)/w.width))
	w.table = binary.BigEndian.AppendUint64(w.table, xxh3.Hash(w.buffer))
	_, err := w.out.Write(w.buffer)
	w.buffer = w.buffer[:0]
	return err
}

// Commit makes the file durable under its name. If it fails there is no such
// file, or the one that was there before.
func (w *recordWriter) Commit() error {
	if w.err == nil {
		w.err = w.flush()
	}
	w.buffer = nil // whoever holds the writer for a deferred Abort does not hold this
	if w.err != nil {
		w.out.Abort()
		return w.err
	}
	end := binary.BigEndian.AppendUint64(w.table, uint64(len(w.table)/entryBytes))
	end = binary.BigEndian.AppendUint64(end, xxh3.Hash(append(w.begin, end...)))
	if _, err := w.out.Write(end); err != nil {
		w.out.Abort()
		return err
	}
	return w.out.Commit()
}

// Abort gives the file up. After Commit it does nothing.
func (w *recordWriter) Abort() { w.out.Abort() }

// runsOf reads the header and the table of a record file and compares them with what
// is wanted.
func runsOf(path string, want header, disk *artifact.Disk) (runs []run, err error) {
	info, err := disk.FS.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading record file: %w", err)
	}
	file, err := disk.FS.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading record file: %w", err)
	}
	defer file.Close() // it is read only
	size := info.Size()
	read := func(offset, n int64) ([]byte, error) {
		data := make([]byte, n)
		if got, err := file.ReadAt(data, offset); got < len(data) {
			if err == io.EOF {
				return nil, corrupt(path, fmt.Sprintf("it ends at byte %d", offset+int64(got)))
			}
			return nil, fmt.Errorf("reading record file %s: %w", path, err)
		}
		return data, nil
	}
	if size < headerBytes+tailBytes {
		return nil, corrupt(path, fmt.Sprintf("%d bytes are too few for a record file", size))
	}
	begin, err := read(0, headerBytes)
	if err != nil {
		return nil, err
	}
	if string(begin[:len(magic)]) != magic {
		return nil, corrupt(path, "it does not begin as a record file does")
	}
	tail, err := read(size-tailBytes, tailBytes)
	if err != nil {
		return nil, err
	}
	count := binary.BigEndian.Uint64(tail)
	if count > uint64(size-headerBytes-tailBytes)/entryBytes {
		return nil, corrupt(path, fmt.Sprintf("it names %d runs, for which it is too short", count))
	}
	tableAt := size - tailBytes - int64(count)*entryBytes
	table, err := read(tableAt, int64(count)*entryBytes)
	if err != nil {
		return nil, err
	}
	sum := xxh3.New()
	for _, part := range [][]byte{begin, table, tail[:8]} {
		sum.Write(part) // a hash takes everything
	}
	if sum.Sum64() != binary.BigEndian.Uint64(tail[8:]) {
		return nil, corrupt(path, "the sum of its header and table differs from the one noted")
	}
	if got := readHeader(begin); got != want {
		return nil, artifact.Errorf(artifact.ErrUsage, "reading record file %s: it holds %s, and %s are wanted; make it again with these settings", path, got, want)
	}
	offset := int64(headerBytes)
	for ; len(table) > 0; table = table[entryBytes:] {
		records := binary.BigEndian.Uint64(table)
		if records == 0 || records > uint64(tableAt-offset)/uint64(want.width) {
			return nil, corrupt(path, fmt.Sprintf("a run of %d records at byte %d does not fit into it", records, offset))
		}
		bytes := int64(records) * int64(want.width)
		runs = append(runs, run{path: path, offset: offset, bytes: bytes, sum: binary.BigEndian.Uint64(table[8:]), checked: true})
		offset += bytes
	}
	if offset != tableAt {
		return nil, corrupt(path, fmt.Sprintf("its runs end at byte %d and its table begins at %d", offset, tableAt))
	}
	return runs, nil
}

func (h header) String() string {
	if h.kind == keyRecords {
		return fmt.Sprintf("keys (records of %d bytes)", h.width)
	}
	return fmt.Sprintf("bands of shingles of %d words, %d bands × %d rows (kind %d, records of %d bytes)", h.minHash.Shingle, h.minHash.Bands, h.minHash.Rows, h.kind, h.width)
}

// mergeFiles calls yield for the records of all files in order. Half of the memory is
// its own.
func mergeFiles(ctx context.Context, files []string, want header, o Options, yield func(record []byte) error) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	o.Memory /= 2
	var runs []run
	for _, path := range files {
		more, err := runsOf(path, want, o.disk)
		if err != nil {
			return err
		}
		runs = append(runs, more...)
	}
	return merge(ctx, runs, want.width, o, filepath.Join(o.Folder, "merged-records"), yield)
}
