package dataset

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"strings"

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

// tokenizerName tells tokenizers apart: the end of the source of shards that one made.
func tokenizerName(t *tokenizer.Tokenizer) (string, error) {
	files, err := t.Files()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(", tokenizer %x", sha256.Sum256(files[tokenizer.TokenizerFile])), nil
}

// MadeWith tells whether MakeShards made the shards with a tokenizer.
func (s *Shards) MadeWith(t *tokenizer.Tokenizer) (bool, error) {
	name, err := tokenizerName(t)
	return strings.HasSuffix(s.Info.Source, name), err
}

// MakeShards opens the shards of a text in a folder, and first tokenises it there,
// unless an earlier run did so from the same text with the same tokenizer.
func MakeShards(ctx context.Context, folder string, s Source) (*Shards, error) {
	end, ok := s.Tokenizer.TokenID(tokenizer.EndOfText)
	if !ok {
		return nil, artifact.Errorf(artifact.ErrUsage, "tokenising %s: the tokenizer has no %s, which ends documents; give token shards, or another tokenizer", s.Name, tokenizer.EndOfText)
	}
	with, err := tokenizerName(s.Tokenizer)
	if err != nil {
		return nil, err
	}
	source := s.ID + with
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
