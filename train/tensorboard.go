package train

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// TensorBoard's event files hold records in the framing of TFRecord, each an
// Event message in Protocol Buffers (tensorflow/core/util/event.proto,
// tensorflow/core/framework/summary.proto). Only scalars are written, so the
// few fields are encoded here. docs/formats/metrics.md draws the bytes.

// Field numbers of the messages.
const (
	eventWallTime    = 1 // double, seconds since 1970
	eventStep        = 2 // int64
	eventFileVersion = 3 // string
	eventSummary     = 5 // Summary
	eventSessionLog  = 7 // SessionLog

	summaryValue       = 1 // repeated Value
	summaryTag         = 1 // string of Value
	summarySimpleValue = 2 // float of Value

	sessionStatus = 1 // enum of SessionLog
	sessionStart  = 1 // its value for a (re)start
)

// Wire types of Protocol Buffers.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskedCRC is TFRecord's checksum: a CRC-32C, rotated and shifted so that
// data that hold their own checksums are not weak.
func maskedCRC(data []byte) uint32 {
	crc := crc32.Checksum(data, castagnoli)
	return (crc>>15 | crc<<17) + 0xa282ead8
}

// EventFile is a TensorBoard event file being written. It is a view of
// metrics.jsonl for those who use TensorBoard and may be deleted at any time.
type EventFile struct {
	path   string
	file   *os.File
	record []byte
}

// CreateEvents begins a new event file in folder, which must exist, for steps
// from firstStep on. The file is named events.out.tfevents.SECONDS.HOST after
// now. It tells TensorBoard to drop what earlier files in the folder have from
// firstStep on, so that a resumed run draws one curve.
func CreateEvents(folder string, firstStep int, now time.Time) (*EventFile, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost" // the name is for people
	}
	base := filepath.Join(folder, fmt.Sprintf("events.out.tfevents.%d.%s", now.Unix(), host))
	e := &EventFile{path: base}
	for i := 1; ; i++ {
		e.file, err = os.OpenFile(e.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrExist) {
			break
		}
		e.path = fmt.Sprintf("%s.%d", base, i) // a second start within a second
	}
	if err != nil {
		return nil, fmt.Errorf("creating TensorBoard events: %w", err)
	}
	version := appendString(nil, eventFileVersion, "brain.Event:2")
	start := appendBytes(nil, eventSessionLog, appendVarint(nil, sessionStatus, sessionStart))
	err = e.write(now, 0, version)
	if err == nil {
		err = e.write(now, firstStep, start)
	}
	if err != nil {
		e.file.Close()
		return nil, err
	}
	return e, nil
}

// Path returns the file's path.
func (e *EventFile) Path() string { return e.path }

// Write appends the metrics of a step as scalars, rounded to float32 as the
// format has them.
func (e *EventFile) Write(step int, metrics []Metric, now time.Time) error {
	var summary []byte
	for _, m := range metrics {
		value := appendString(nil, summaryTag, m.Name)
		value = append(value, summarySimpleValue<<3|wireFixed32)
		value = binary.LittleEndian.AppendUint32(value, math.Float32bits(float32(m.Value)))
		summary = appendBytes(summary, summaryValue, value)
	}
	return e.write(now, step, appendBytes(nil, eventSummary, summary))
}

// write appends an Event with the given further fields as one record.
func (e *EventFile) write(now time.Time, step int, what []byte) error {
	event := []byte{eventWallTime<<3 | wireFixed64}
	event = binary.LittleEndian.AppendUint64(event, math.Float64bits(float64(now.UnixMicro())/1e6))
	event = appendVarint(event, eventStep, uint64(step))
	event = append(event, what...)

	e.record = binary.LittleEndian.AppendUint64(e.record[:0], uint64(len(event)))
	e.record = binary.LittleEndian.AppendUint32(e.record, maskedCRC(e.record))
	e.record = append(e.record, event...)
	e.record = binary.LittleEndian.AppendUint32(e.record, maskedCRC(event))
	if n, err := e.file.Write(e.record); err != nil {
		return fmt.Errorf("writing TensorBoard events %s: step %d: after %d of %d bytes: %w", e.path, step, n, len(e.record), err)
	}
	return nil
}

// Close syncs and closes the file.
func (e *EventFile) Close() error {
	err := e.file.Sync()
	if err == nil {
		err = artifact.OS{}.SyncFolder(filepath.Dir(e.path))
	}
	if closeErr := e.file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("closing TensorBoard events %s: %w", e.path, err)
	}
	return nil
}

func appendVarint(out []byte, field int, value uint64) []byte {
	out = append(out, byte(field<<3|wireVarint))
	return binary.AppendUvarint(out, value)
}

func appendBytes(out []byte, field int, value []byte) []byte {
	out = append(out, byte(field<<3|wireBytes))
	out = binary.AppendUvarint(out, uint64(len(value)))
	return append(out, value...)
}

func appendString(out []byte, field int, value string) []byte {
	return appendBytes(out, field, []byte(value))
}
