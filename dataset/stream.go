package dataset

import (
	"fmt"
	"sort"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
)

// Ignored marks a position in targets that is not trained on.
const Ignored = -100

// StreamOptions say how a Stream cuts rows.
type StreamOptions struct {
	// T is the number of positions of a row.
	T int
	// Seed decides the order.
	Seed uint64
	// Shuffle gives every epoch an order of its own. Without it rows follow the
	// documents as they lie on disk, the same in every epoch, as for
	// validation.
	Shuffle bool
}

// A Stream is shards as rows for pretraining. An epoch is all documents, end
// tokens included, one after the other in the epoch's order, cut into rows of T
// tokens; the target of each token is the one after it, which for the last of a
// row is the first of the next. What is left at the end of an epoch and fills no
// row is left out. With Shuffle both the documents and the rows are permuted
// anew in each epoch, so that rows are cut elsewhere and neighbours in a batch
// are seldom of one document.
//
// Row i is a function of the shards, the options and i. A Stream keeps one
// epoch's order (16 bytes a document, 8 a row) and is not safe for concurrent use.
type Stream struct {
	shards *Shards
	opts   StreamOptions
	rows   uint64 // rows an epoch

	epoch  uint64
	ready  bool
	order  []int   // documents in the epoch's order, nil without Shuffle
	starts []int64 // starts[i] is where order[i] begins in the epoch's text
	deal   []int   // which row of the epoch's text comes i-th
	line   []int32 // T+1 tokens
}

// NewStream fails when the shards hold no row: fewer than T+1 tokens.
func NewStream(shards *Shards, opts StreamOptions) (*Stream, error) {
	if opts.T < 1 {
		return nil, artifact.Errorf(artifact.ErrUsage, "cutting rows from %s: a row of %d positions; it must have at least 1", shards.folder, opts.T)
	}
	if shards.Tokens() < int64(opts.T)+1 {
		return nil, artifact.Errorf(artifact.ErrUsage, "cutting rows from %s: it holds %d tokens, and a row of %d positions needs %d; give more text or a shorter context", shards.folder, shards.Tokens(), opts.T, opts.T+1)
	}
	return &Stream{shards: shards, opts: opts, rows: uint64((shards.Tokens() - 1) / int64(opts.T)), line: make([]int32, opts.T+1)}, nil
}

// RowsPerEpoch is the number of rows after which every document was seen once.
func (s *Stream) RowsPerEpoch() int { return int(s.rows) }

// Row writes row i, counted from 0 on through all epochs: inputs [T] and
// targets [T].
func (s *Stream) Row(i uint64, inputs, targets []int32) error {
	if len(inputs) != s.opts.T || len(targets) != s.opts.T {
		return fmt.Errorf("reading row %d of %s: arrays of %d and %d for %d positions", i, s.shards.folder, len(inputs), len(targets), s.opts.T)
	}
	s.enter(i / s.rows)
	row := int(i % s.rows)
	if s.opts.Shuffle {
		row = s.deal[row]
	}
	if err := s.read(s.line, int64(row)*int64(s.opts.T)); err != nil {
		return err
	}
	copy(inputs, s.line)
	copy(targets, s.line[1:])
	return nil
}

// Batch writes the rows from cursor on: inputs and targets [B×T], where B
// follows from their length. The cursor of the next batch is cursor + B.
func (s *Stream) Batch(cursor uint64, inputs, targets []int32) error {
	T := s.opts.T
	if len(inputs) == 0 || len(inputs)%T != 0 || len(targets) != len(inputs) {
		return fmt.Errorf("reading rows from %d of %s: arrays of %d and %d are no rows of %d positions", cursor, s.shards.folder, len(inputs), len(targets), T)
	}
	for b := range len(inputs) / T {
		if err := s.Row(cursor+uint64(b), inputs[b*T:(b+1)*T], targets[b*T:(b+1)*T]); err != nil {
			return err
		}
	}
	return nil
}

// Documents lists, in the order of the shards, the numbers of the documents
// that row i is cut from.
func (s *Stream) Documents(i uint64) []int {
	s.enter(i / s.rows)
	row := int(i % s.rows)
	if s.opts.Shuffle {
		row = s.deal[row]
	}
	at := int64(row) * int64(s.opts.T)
	end := at + int64(s.opts.T)
	var documents []int
	next := int64(0)
	for k := range s.shards.Documents() {
		d := k
		if s.opts.Shuffle {
			d = s.order[k]
		}
		_, n := s.shards.Document(d)
		if next < end && next+n > at {
			documents = append(documents, d)
		}
		next += n
	}
	return documents
}

// enter makes the order of an epoch.
func (s *Stream) enter(epoch uint64) {
	if s.ready && s.epoch == epoch || !s.opts.Shuffle {
		return
	}
	s.epoch, s.ready = epoch, true
	s.order = compute.Permutation(s.opts.Seed, compute.Stream("pretraining documents")+epoch, s.shards.Documents())
	s.deal = compute.Permutation(s.opts.Seed, compute.Stream("pretraining rows")+epoch, int(s.rows))
	s.starts = s.starts[:0]
	at := int64(0)
	for _, d := range s.order {
		s.starts = append(s.starts, at)
		_, n := s.shards.Document(d)
		at += n
	}
}

// read fills dst with the epoch's text from position at on.
func (s *Stream) read(dst []int32, at int64) error {
	if !s.opts.Shuffle {
		return s.shards.Read(dst, at)
	}
	i := sort.Search(len(s.starts), func(i int) bool { return s.starts[i] > at }) - 1
	for len(dst) > 0 {
		start, length := s.shards.Document(s.order[i])
		skip := at - s.starts[i]
		n := min(int64(len(dst)), length-skip)
		if err := s.shards.Read(dst[:n], start+skip); err != nil {
			return err
		}
		dst = dst[n:]
		at += n
		i++
	}
	return nil
}

// CountBytes returns how many bytes of text the targets stand for, Ignored ones
// left out; lengths [V] is tokenizer.ByteLengths. A loss summed over the same
// targets in nats, divided by ln 2 and by this number, is in bits per byte. End
// tokens have no bytes, but their loss counts.
func CountBytes(targets, lengths []int32) int64 {
	var n int64
	for _, id := range targets {
		if id >= 0 {
			n += int64(lengths[id])
		}
	}
	return n
}
