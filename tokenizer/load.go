package tokenizer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The files of a Hugging Face tokenizer.
const (
	TokenizerFile = "tokenizer.json"
	ConfigFile    = "tokenizer_config.json"
	TemplateFile  = "chat_template.jinja"
	pieceFile     = "tokenizer.model" // SentencePiece's
	vocabFile     = "vocab.json"      // GPT-2's own two files
	mergesFile    = "merges.txt"
	wordsFile     = "vocab.txt" // BERT's

	addedFile       = "added_tokens.json"
	specialFile     = "special_tokens_map.json"
	oldTemplateFile = "chat_template.json"
	templateFolder  = "additional_chat_templates"
)

// folderFiles are the files that are looked for in a folder.
var folderFiles = []string{TokenizerFile, ConfigFile, TemplateFile, pieceFile, vocabFile, mergesFile, wordsFile, addedFile, specialFile, oldTemplateFile}

// maxFile bounds each file that is read, in bytes. The largest tokenizer.json in
// use is about 35 MB.
const maxFile = 128 << 20

// Load reads the tokenizer in a folder: tokenizer.json, or, where there is none,
// SentencePiece's tokenizer.model, GPT-2's vocab.json and merges.txt, or BERT's
// vocab.txt; with any of them the files that stand beside it where they are there:
// tokenizer_config.json, added_tokens.json, special_tokens_map.json and the chat
// templates. path may also be one file: a .json, .model, .txt, or a .tiktoken
// file of ranks that has the name of its encoding. What the files ask for and
// this package does not have is an error that names the key and its value.
func Load(path string) (*Tokenizer, error) { return LoadFor(path, 0) }

// LoadFor is Load for a model of so many rows, 0 for any: added tokens for which
// the model has no row (a "[PAD]" that somebody's training wanted) are left out, and
// noted.
func LoadFor(path string, rows int) (*Tokenizer, error) {
	t, err := load(path, rows)
	if err != nil {
		return nil, fmt.Errorf("reading tokenizer %s: %w", path, err)
	}
	return t, nil
}

func load(path string, rows int) (*Tokenizer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return loadFile(path)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	defer root.Close()

	files := make(map[string][]byte)
	for _, name := range folderFiles {
		data, err := readLimited(root, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		files[name] = data
	}
	b, err := readBeside(files, root)
	if err != nil {
		return nil, err
	}
	v, err := b.vocabulary(files, rows)
	if err != nil {
		return nil, err
	}
	return newTokenizer(v)
}

// vocabulary is that of a folder's files, for a model of so many rows, 0 for any.
func (b *beside) vocabulary(files map[string][]byte, rows int) (v vocabulary, err error) {
	more, from, err := b.tokens()
	if err != nil {
		return v, err
	}
	v, file, err := vocabularyOf(files, more)
	if err != nil {
		return v, err
	}
	if err := b.rules(&v, file); err != nil {
		return v, err
	}
	if rows > 0 {
		v.cut(file, rows)
	}
	if err := v.join(more, from, rows); err != nil {
		return v, err
	}
	if err := b.parts(&v); err != nil {
		return v, err
	}
	if b.config != nil {
		var begins *bool
		if b.begins(file) {
			begins = new(true)
		}
		if err := v.parseConfig(b.config, begins); err != nil {
			return v, fmt.Errorf("%s: %w", ConfigFile, err)
		}
	}
	b.chat(&v)
	return v, nil
}

// vocabularyOf reads the first vocabulary among files, and names its file. added are
// the tokens that other files add to it.
func vocabularyOf(files map[string][]byte, added []AddedToken) (v vocabulary, name string, err error) {
	switch {
	case files[TokenizerFile] != nil:
		name = TokenizerFile
		v, err = parseTokenizer(files[name])
	case files[pieceFile] != nil:
		name = pieceFile
		v, err = parseSentencePiece(files[name])
	case files[vocabFile] != nil && files[mergesFile] != nil:
		v, err := parseGPT2(files[vocabFile], files[mergesFile], added)
		return v, vocabFile, err
	case files[wordsFile] != nil:
		name = wordsFile
		v, err = parseWords(files[name])
	default:
		return v, "", fmt.Errorf("none of %s, %s, %s with %s, and %s is there: %w", TokenizerFile, pieceFile, vocabFile, mergesFile, wordsFile, fs.ErrNotExist)
	}
	if err != nil {
		return v, "", fmt.Errorf("%s: %w", name, err)
	}
	return v, name, nil
}

// IsFile reports whether a file's name says that it holds a tokenizer and nothing
// else, which Load reads by itself.
func IsFile(path string) bool {
	switch filepath.Ext(path) {
	case ".json", ".model", ".txt", ".tiktoken":
		return true
	}
	return false
}

// loadFile reads the tokenizer that one file holds.
func loadFile(path string) (*Tokenizer, error) {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	name := filepath.Base(path)
	data, err := readLimited(root, name)
	if err != nil {
		return nil, err
	}
	var v vocabulary
	switch ext := filepath.Ext(name); ext {
	case ".json":
		v, err = parseTokenizer(data)
	case ".model":
		v, err = parseSentencePiece(data)
	case ".txt":
		v, err = parseWords(data)
	case ".tiktoken":
		v, err = parseTiktoken(data, strings.TrimSuffix(name, ext))
	default:
		return nil, errors.New("a tokenizer is a folder, or a file whose name ends in .json, .model, .txt or .tiktoken")
	}
	if err != nil {
		return nil, err
	}
	return newTokenizer(v)
}

func readLimited(root *os.Root, name string) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s: %d bytes are more than the limit of %d", name, info.Size(), maxFile)
	}
	data := make([]byte, 0, info.Size()+1)
	b := bytes.NewBuffer(data)
	if _, err := io.Copy(b, io.LimitReader(f, maxFile+1)); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if b.Len() > maxFile {
		return nil, fmt.Errorf("%s: more than %d bytes", name, maxFile)
	}
	return b.Bytes(), nil
}
