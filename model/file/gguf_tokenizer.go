package file

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/artifact/gguf"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// LoadTokenizer opens the tokenizer of a model: of a folder, or of a file that
// holds only a tokenizer, as [tokenizer.Load] does, of a GGUF file from its
// tokenizer.ggml keys. JSON that ends or breaks off is an [artifact.ErrCorrupt],
// what alma does not have an [artifact.ErrUsage].
func LoadTokenizer(path string) (*tokenizer.Tokenizer, error) { return LoadTokenizerFor(path, 0) }

// LoadTokenizerFor is LoadTokenizer for a model of so many rows (see
// [tokenizer.LoadFor]).
func LoadTokenizerFor(path string, rows int) (*tokenizer.Tokenizer, error) {
	if tokenizer.IsFile(path) || !IsGGUF(path) {
		if _, err := os.Stat(filepath.Join(path, tokenizer.TokenizerFile)); err != nil {
			if path, err = bodyOf(path); err != nil {
				return nil, err
			}
		}
		t, err := tokenizer.LoadFor(path, rows)
		var syntax *json.SyntaxError
		var system *fs.PathError
		switch {
		case err == nil:
			for _, line := range t.Notes() {
				note("%s: %s", path, line)
			}
			return t, nil
		case errors.As(err, &syntax):
			return nil, artifact.Mark(artifact.ErrCorrupt, err)
		case errors.As(err, &system), errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
		return nil, artifact.Mark(artifact.ErrUsage, err)
	}
	file, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	parts, err := partsOfGGUF(file)
	if err != nil {
		return nil, err
	}
	t, err := tokenizer.NewFromParts(parts)
	if err != nil {
		return nil, artifact.Mark(artifact.ErrUsage, fmt.Errorf("reading %s: %w", path, err))
	}
	return t, nil
}

// The tokenizer's keys.
const (
	tokenizerKeys = "tokenizer.ggml."
	templateKey   = "tokenizer.chat_template"
	idSuffix      = "_token_id"
)

func partsOfGGUF(file *gguf.File) (p tokenizer.Parts, err error) {
	first := func(e error) {
		if err == nil {
			err = e
		}
	}
	text := func(key string) (value string) {
		if file.Has(key) {
			var e error
			value, e = file.Text(key)
			first(e)
		}
		return value
	}
	flag := func(key string, otherwise bool) bool {
		if !file.Has(tokenizerKeys + key) {
			return otherwise
		}
		value, e := file.Bool(tokenizerKeys + key)
		first(e)
		return value
	}
	model, e := file.Text(tokenizerKeys + "model")
	first(e)
	p.Model, p.Pre, p.ChatTemplate = model, text(tokenizerKeys+"pre"), text(templateKey)
	p.Tokens, e = file.Texts(tokenizerKeys + "tokens")
	first(e)
	if file.Has(tokenizerKeys + "scores") {
		p.Scores, e = file.Float32s(tokenizerKeys + "scores")
		first(e)
	}
	if file.Has(tokenizerKeys + "token_type") {
		p.Types, e = file.Int32s(tokenizerKeys + "token_type")
		first(e)
	}
	if file.Has(tokenizerKeys + "merges") {
		p.Merges, e = file.Texts(tokenizerKeys + "merges")
		first(e)
	}
	// What llama.cpp assumes where a file is silent.
	llama3 := p.Model == "gpt2" && slices.Contains([]string{"llama-bpe", "llama3", "llama-v3"}, p.Pre)
	p.AddBOS = flag("add_bos_token", p.Model == "llama" || p.Model == "bert" || llama3)
	p.AddEOS = flag("add_eos_token", false)
	p.NoSpacePrefix = !flag("add_space_prefix", p.Model == "llama")
	p.IDs = make(map[string]int32)
	for _, entry := range file.Entries() {
		name, ok := strings.CutPrefix(entry.Key, tokenizerKeys)
		if name, ok2 := strings.CutSuffix(name, idSuffix); ok && ok2 {
			id, e := file.Int(entry.Key)
			first(e)
			p.IDs[name] = int32(id)
		}
	}
	return p, err
}

// ggufTokenizer lists a tokenizer's keys for a model: ids that
// the tokenizer does not have are listed as unused, because the format has as
// many tokens as the embedding rows. ends are the tokens that end a text.
func ggufTokenizer(t *tokenizer.Tokenizer, m *model.Model, ends []int32) ([]gguf.Entry, error) {
	vocabulary := m.Vocabulary
	p, err := t.Parts()
	if err != nil {
		return nil, artifact.Mark(artifact.ErrUsage, err)
	}
	if len(p.Tokens) > vocabulary {
		return nil, artifact.Errorf(artifact.ErrUsage, "the tokenizer has %d tokens and tensor %q has shape [%d %d], a row for each of %d tokens; they do not belong together: take the tokenizer that the model was trained with",
			len(p.Tokens), m.FileName(m.EmbeddingName()), vocabulary, m.Width, vocabulary)
	}
	setEnds(p.IDs, ends, vocabulary)
	const unused = 5
	for id := len(p.Tokens); id < vocabulary; id++ {
		p.Tokens, p.Types = append(p.Tokens, tokenizer.UnusedName(id)), append(p.Types, unused)
		if p.Scores != nil {
			p.Scores = append(p.Scores, p.Scores[len(p.Scores)-1])
		}
	}
	entries := []gguf.Entry{
		{Key: tokenizerKeys + "model", Value: p.Model},
		{Key: tokenizerKeys + "pre", Value: "default"},
		{Key: tokenizerKeys + "tokens", Value: p.Tokens},
		{Key: tokenizerKeys + "token_type", Value: p.Types},
		{Key: tokenizerKeys + "add_bos_token", Value: p.AddBOS},
		{Key: tokenizerKeys + "add_eos_token", Value: p.AddEOS},
		{Key: tokenizerKeys + "add_space_prefix", Value: !p.NoSpacePrefix && p.Model == "llama"},
	}
	if p.Model == "gpt2" {
		entries[1].Value = p.Pre
		entries = append(entries, gguf.Entry{Key: tokenizerKeys + "merges", Value: p.Merges})
	} else {
		entries = append(entries, gguf.Entry{Key: tokenizerKeys + "scores", Value: p.Scores})
	}
	for _, name := range slices.Sorted(maps.Keys(p.IDs)) {
		entries = append(entries, gguf.Entry{Key: tokenizerKeys + name + idSuffix, Value: uint32(p.IDs[name])})
	}
	if p.ChatTemplate != "" {
		entries = append(entries, gguf.Entry{Key: templateKey, Value: p.ChatTemplate})
	}
	return entries, nil
}

// setEnds gives the tokens that end a text the places that the format has for them,
// the first of which may be taken by the tokenizer's own.
func setEnds(ids map[string]int32, ends []int32, vocabulary int) {
	ends = slices.DeleteFunc(slices.Clone(ends), func(id int32) bool { return int(id) >= vocabulary })
	if _, ok := ids["eos"]; !ok && len(ends) > 0 {
		ids["eos"] = ends[0]
	}
	places := slices.Clone(moreEnds)
	for _, id := range ends {
		switch {
		case id == ids["eos"]:
		case len(places) == 0:
			note("writing GGUF: the format has places for %d tokens that end a text; %d has none", 1+len(moreEnds), id)
		default:
			ids[places[0]], places = id, places[1:]
		}
	}
}
