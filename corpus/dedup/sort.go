package dedup

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"path/filepath"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// Options say where and with how much memory record files are written and merged.
type Options struct {
	// Folder holds temporaries while files are merged: at most 1.1 times the bytes of
	// the record files, twice that where Memory has no room for a piece of each of
	// their runs (16 KiB) or there are more than 256 of them. It must exist.
	Folder string
	// Memory bounds the buffers, in bytes; at least MinMemory. 0: DefaultMemory. Near
	// needs, besides, 16 bytes for each document that shares a band with another, and
	// up to as much again while it collects them.
	Memory int64

	disk *artifact.Disk // nil: the operating system's; tests set it
}

// What Memory stands for, and the least it may be, in bytes.
const (
	DefaultMemory = 256 << 20
	MinMemory     = 64 << 10
)

func (o Options) withDefaults() (Options, error) {
	if o.Memory == 0 {
		o.Memory = DefaultMemory
	}
	if o.Memory < MinMemory {
		return o, artifact.Errorf(artifact.ErrUsage, "sorting duplicates' records: %d bytes of memory; give at least %d", o.Memory, MinMemory)
	}
	if o.disk == nil {
		o.disk = &artifact.Disk{FS: artifact.OS{}}
	}
	return o, nil
}

// maxRecord is the longest record in bytes.
const maxRecord = 40

// sortRecords sorts records of width bytes each as bytes.Compare orders them, in
// place: a radix sort from the first byte on (American flag sort; McIlroy, Bostic and
// McIlroy, "Engineering Radix Sort", 1993). Records that are equal are the same
// bytes, so that no order among them can be told.
func sortRecords(data []byte, width int) { sortFrom(data, width, 0) }

// fewRecords are sorted by insertion.
const fewRecords = 24

// sortFrom sorts records that agree before byte at.
func sortFrom(data []byte, width, at int) {
	var swap [maxRecord]byte
	held := swap[:width]
	for ; at < width; at++ {
		n := len(data) / width
		if n <= fewRecords {
			insertionSort(data, width, at, held)
			return
		}
		var count [256]int
		for i := at; i < len(data); i += width {
			count[data[i]]++
		}
		if count[data[at]] == n {
			continue
		}
		var next, end [256]int // of each bucket, as offsets into data
		for b, from := 0, 0; b < 256; b++ {
			next[b] = from
			from += count[b] * width
			end[b] = from
		}
		for b := range 256 {
			for next[b] < end[b] {
				record := data[next[b] : next[b]+width]
				c := record[at]
				if int(c) != b {
					other := data[next[c] : next[c]+width]
					copy(held, record)
					copy(record, other)
					copy(other, held)
				}
				next[c] += width
			}
		}
		for b, from := 0, 0; b < 256; b++ {
			if count[b] > 1 {
				sortFrom(data[from:end[b]], width, at+1)
			}
			from = end[b]
		}
		return
	}
}

func insertionSort(data []byte, width, at int, held []byte) {
	for i := width; i < len(data); i += width {
		j := i
		for j > 0 && bytes.Compare(data[j-width+at:j], data[i+at:i+width]) > 0 {
			j -= width
		}
		if j < i {
			copy(held, data[i:i+width])
			copy(data[j+width:i+width], data[j:i])
			copy(data[j:], held)
		}
	}
}

// A sorter sorts more records than memory holds: sorted runs of them wait in a
// temporary file and are merged.
type sorter struct {
	options Options
	path    string // what the temporaries are for
	width   int
	buffer  []byte
	room    int // bytes of the buffer, whole records
	file    *artifact.Temporary
	runs    []run
}

// newSorter makes a sorter that takes half of the memory while records come, and half
// while they are read.
func newSorter(o Options, name string, width int) (*sorter, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	o.Memory /= 2
	return &sorter{options: o, path: filepath.Join(o.Folder, name), width: width, room: int(o.Memory) / width * width}, nil
}

func (s *sorter) add(record []byte) error {
	if len(s.buffer) == s.room {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.buffer = appendWithin(s.buffer, record, s.room)
	return nil
}

// appendWithin appends to a buffer that grows to room and no further: a few times while
// it is small, then at once, since what is not written to takes no memory, and what
// a buffer grew out of does.
func appendWithin(buffer, record []byte, room int) []byte {
	if cap(buffer)-len(buffer) < len(record) {
		size := room
		if len(buffer) < 1<<20 {
			size = min(room, max(64<<10, 2*cap(buffer)))
		}
		grown := make([]byte, len(buffer), size)
		copy(grown, buffer)
		buffer = grown
	}
	return append(buffer, record...)
}

func (s *sorter) spill() error {
	if s.file == nil {
		file, err := s.options.disk.CreateTemporary(s.path)
		if err != nil {
			return err
		}
		s.file = file
	}
	sortRecords(s.buffer, s.width)
	s.runs = append(s.runs, run{in: s.file, offset: s.file.Written(), bytes: int64(len(s.buffer))})
	if _, err := s.file.Write(s.buffer); err != nil {
		return err
	}
	s.buffer = s.buffer[:0]
	return nil
}

// each calls yield for every record in order. It is called once.
func (s *sorter) each(ctx context.Context, yield func(record []byte) error) error {
	if s.file == nil {
		sortRecords(s.buffer, s.width)
		for i := 0; i < len(s.buffer); i += s.width {
			if i%(1<<16) == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			if err := yield(s.buffer[i : i+s.width]); err != nil {
				return err
			}
		}
		return nil
	}
	if len(s.buffer) > 0 {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.buffer = nil
	return merge(ctx, s.runs, s.width, s.options, s.path, yield)
}

// remove removes the temporary.
func (s *sorter) remove() {
	if s.file != nil {
		_ = s.file.Remove() // what stays is a temporary, which the next start removes
	}
}

// sequence makes a sequence of what walk yields, with its error at the end.
func sequence(walk func(yield func(Duplicate) error) error) iter.Seq2[Duplicate, error] {
	return func(yield func(Duplicate, error) bool) {
		err := walk(func(d Duplicate) error {
			if !yield(d, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && err != errStopped {
			yield(Duplicate{}, err)
		}
	}
}

var errStopped = errors.New("stopped")
