package pretrain

import (
	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// reader lays the rows of a text out as the objective asks.
type reader struct {
	stream  *dataset.Stream
	masking *dataset.Masking // nil: the next token is the target of each
	begin   int32            // begins a document, with masking
}

// newReader reads shards: in an order of its own for each epoch, or as they lie
// on disk. Which tokens of a row are hidden depends on its number alone, so in
// training they differ from epoch to epoch, and held-out rows are always the same.
func (c Config) newReader(shards *dataset.Shards, t *tokenizer.Tokenizer, training bool) (*reader, error) {
	options, name := dataset.StreamOptions{T: c.Context}, "held-out masking"
	if training {
		options.Seed, options.Shuffle, name = c.Seed, true, "masking"
	}
	stream, err := dataset.NewStream(shards, options)
	if err != nil {
		return nil, err
	}
	r := &reader{stream: stream}
	if c.Objective != MLM {
		return r, nil
	}
	if r.masking, err = dataset.NewMasking(t, c.MaskShare, c.Seed, name); err != nil {
		return nil, err
	}
	begin, ok := t.TokenID(tokenizer.EndOfText)
	if !ok {
		return nil, artifact.Errorf(artifact.ErrUsage, "configuring pretraining: the tokenizer has no %s, which stands between documents", tokenizer.EndOfText)
	}
	r.begin = begin
	return r, nil
}

// fill lays out the rows from number first on, and returns how many targets they
// have.
func (r *reader) fill(first uint64, batch *dataset.Packed) (targets int, err error) {
	for b := range batch.B {
		n, err := r.row(first+uint64(b), batch, b)
		if err != nil {
			return 0, err
		}
		targets += n
	}
	if r.masking != nil {
		batch.SplitAt(r.begin)
	}
	return targets, nil
}

// row lays out one row as row b of the batch, without its segments.
func (r *reader) row(number uint64, batch *dataset.Packed, b int) (targets int, err error) {
	at, end := b*batch.T, (b+1)*batch.T
	tokens, wanted := batch.Tokens[at:end], batch.Targets[at:end]
	if err := r.stream.Row(number, tokens, wanted); err != nil {
		return 0, err
	}
	if r.masking == nil {
		return batch.T, nil
	}
	return r.masking.Apply(number, tokens, wanted), nil
}

// targets counts the targets of a step of so many rows. batch is where rows are
// laid out meanwhile.
func (r *reader) targets(first uint64, rows int, batch *dataset.Packed) (int, error) {
	if r.masking == nil {
		return rows * batch.T, nil
	}
	total := 0
	for at := 0; at < rows; at += batch.B {
		n, err := r.fill(first+uint64(at), batch)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}
