package dataset

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// Source is text that becomes token shards.
type Source struct {
	Name      string                   // of the text, in errors: "the corpus runs/a/corpus"
	ID        string                   // what the text is, by its content: "documents SHA-256"
	Documents iter.Seq2[string, error] // read only if the shards are not there yet
	Shown     func(done int64)         // called after each document; nil: nothing is shown
	Damaged   func(found error)        // told of shards that are damaged and made again
	Tokenizer *tokenizer.Tokenizer
}

// MakeShards opens the shards of a text in a folder, and first tokenises it there,
// unless an earlier run did so from the same text with the same tokenizer.
func MakeShards(ctx context.Context, folder string, s Source) (*Shards, error) {
	end, ok := s.Tokenizer.TokenID(tokenizer.EndOfText)
	if !ok {
		return nil, artifact.Errorf(artifact.ErrUsage, "tokenising %s: the tokenizer has no %s, which ends documents; give token shards, or another tokenizer", s.Name, tokenizer.EndOfText)
	}
	files, err := s.Tokenizer.Files()
	if err != nil {
		return nil, err
	}
	source := fmt.Sprintf("%s, tokenizer %x", s.ID, sha256.Sum256(files[tokenizer.TokenizerFile]))
	shards, damage, err := ReuseShards(folder, source)
	if shards != nil || err != nil {
		return shards, err
	}
	if damage != nil {
		s.Damaged(fmt.Errorf("%w; tokenising again", damage))
	}
	var w *ShardWriter
	begin := func() (err error) {
		w, err = NewShardWriter(folder, ShardOptions{VocabSize: s.Tokenizer.VocabSize(), EndToken: end, Source: source})
		return err
	}
	var ids []int32
	var n int64
	for text, err := range s.Documents {
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err == nil && w == nil { // a text that cannot be read leaves no folder
			if err = begin(); err == nil {
				defer w.Abort()
			}
		}
		if err == nil {
			ids = s.Tokenizer.AppendEncode(ids[:0], text)
			err = w.Append(ids)
		}
		if err != nil {
			return nil, err
		}
		if n++; s.Shown != nil {
			s.Shown(n)
		}
	}
	if w == nil {
		if err := begin(); err != nil {
			return nil, err
		}
	}
	if _, err := w.Close(); err != nil {
		return nil, err
	}
	return OpenShards(folder)
}
