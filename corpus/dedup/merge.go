package dedup

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/zeebo/xxh3"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// A run is sorted records that stand in a file.
type run struct {
	in            io.ReaderAt // nil: the file at path, which is opened to read the run
	path          string
	offset, bytes int64
	sum           uint64 // XXH3 of the bytes, of a run in a record file
	checked       bool   // sum counts
}

// mergeBuffer is the smallest piece in which a run is read, in bytes, and maxRuns how
// many runs are merged at once: each may hold a file open.
const (
	mergeBuffer = 16 << 10
	maxRuns     = 256
)

// merge calls yield for the records of all runs in order. More runs than memory has
// buffers for are first merged into fewer, on the disk.
func merge(ctx context.Context, runs []run, width int, o Options, path string, yield func(record []byte) error) error {
	at := int(min(maxRuns, max(2, o.Memory/mergeBuffer-1)))
	var before *artifact.Temporary // what the turn before merged
	defer func() {
		if before != nil {
			_ = before.Remove() // what stays is a temporary, which the next start removes
		}
	}()
	for len(runs) > at {
		file, err := o.disk.CreateTemporary(path)
		if err != nil {
			return err
		}
		runs, err = mergeTo(ctx, file, runs, at, width, o, path)
		if before != nil {
			_ = before.Remove()
		}
		before = file
		if err != nil {
			return err
		}
	}
	return mergeAtOnce(ctx, runs, width, o, yield)
}

// mergeTo merges at most so many runs at a time into a run of a file each.
func mergeTo(ctx context.Context, file *artifact.Temporary, runs []run, at, width int, o Options, path string) (merged []run, err error) {
	// The groups are as alike in number as can be, so that none is copied alone.
	groups := (len(runs) + at - 1) / at
	buffer := make([]byte, 0, mergeBuffer)
	for i := range groups {
		begin := file.Written()
		err := mergeAtOnce(ctx, runs[i*len(runs)/groups:(i+1)*len(runs)/groups], width, o, func(record []byte) error {
			if len(buffer)+width > cap(buffer) {
				if _, err := file.Write(buffer); err != nil {
					return err
				}
				buffer = buffer[:0]
			}
			buffer = append(buffer, record...)
			return nil
		})
		if err == nil {
			_, err = file.Write(buffer)
		}
		if err != nil {
			return nil, err
		}
		buffer = buffer[:0]
		merged = append(merged, run{in: file, path: path, offset: begin, bytes: file.Written() - begin})
	}
	return merged, nil
}

// mergeAtOnce merges runs that memory has a buffer for, by a heap of their first
// records.
func mergeAtOnce(ctx context.Context, runs []run, width int, o Options, yield func(record []byte) error) error {
	if len(runs) == 0 {
		return nil
	}
	size := max(width, int(min(o.Memory/int64(len(runs)+1), 4<<20))/width*width)
	var heap []*runReader
	defer func() {
		for _, r := range heap {
			r.close()
		}
	}()
	for _, x := range runs {
		r := &runReader{run: x, disk: o.disk, width: width, size: size}
		if more, err := r.next(); err != nil {
			r.close()
			return err
		} else if more {
			heap = append(heap, r)
		}
	}
	for i := len(heap)/2 - 1; i >= 0; i-- {
		sift(heap, i)
	}
	for count := 0; len(heap) > 0; count++ {
		if count%(1<<16) == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		top := heap[0]
		if err := yield(top.record); err != nil {
			return err
		}
		more, err := top.next()
		if err != nil {
			return err
		}
		if !more {
			last := len(heap) - 1
			heap[0] = heap[last]
			heap = heap[:last]
		}
		sift(heap, 0)
	}
	return nil
}

func sift(heap []*runReader, i int) {
	for {
		least := 2*i + 1
		if least >= len(heap) {
			return
		}
		if right := least + 1; right < len(heap) && bytes.Compare(heap[right].record, heap[least].record) < 0 {
			least = right
		}
		if bytes.Compare(heap[i].record, heap[least].record) <= 0 {
			return
		}
		heap[i], heap[least] = heap[least], heap[i]
		i = least
	}
}

// A runReader reads a run record by record.
type runReader struct {
	run
	disk        *artifact.Disk
	file        artifact.File // opened by the reader
	width, size int           // of a record, of the buffer
	buffer      []byte
	left        []byte // of the buffer
	record      []byte
	hash        xxh3.Hasher
}

// next goes to the next record, false at the end. The end is where the sum of a
// record file's run is compared.
func (r *runReader) next() (bool, error) {
	if len(r.left) == 0 {
		if more, err := r.fill(); !more {
			return false, err
		}
	}
	r.record, r.left = r.left[:r.width], r.left[r.width:]
	return true, nil
}

func (r *runReader) fill() (bool, error) {
	if r.bytes == 0 {
		r.close()
		if r.checked && r.hash.Sum64() != r.sum {
			return false, corrupt(r.path, "the sum of its records differs from the one noted")
		}
		return false, nil
	}
	if r.in == nil {
		file, err := r.disk.FS.Open(r.path)
		if err != nil {
			return false, fmt.Errorf("reading record file: %w", err)
		}
		r.file, r.in = file, file
	}
	if r.buffer == nil {
		r.buffer = make([]byte, min(int64(r.size), r.bytes))
	}
	part := r.buffer[:min(int64(len(r.buffer)), r.bytes)]
	if n, err := r.in.ReadAt(part, r.offset); n < len(part) {
		if err == io.EOF {
			return false, corrupt(r.path, fmt.Sprintf("it ends at byte %d, within its records", r.offset+int64(n)))
		}
		return false, fmt.Errorf("reading sorted records of %s: %w", r.path, err)
	}
	if r.checked {
		r.hash.Write(part) // a hash takes everything
	}
	r.offset += int64(len(part))
	r.bytes -= int64(len(part))
	r.left = part
	return true, nil
}

func (r *runReader) close() {
	if r.file != nil {
		_ = r.file.Close() // it was read only
		r.file, r.in = nil, nil
	}
}
