package tokenizer

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// ParseSentencePiece makes a tokenizer of a SentencePiece model
// (sentencepiece_model.proto), of type BPE or unigram. Nothing is put around a
// text: the file does not say what its users add. Its ids are SentencePiece's, but
// for a text that is one user-defined symbol and nothing else, which here has no dummy
// prefix before it.
func ParseSentencePiece(model []byte) (*Tokenizer, error) {
	v, err := parseSentencePiece(model)
	if err != nil {
		return nil, fmt.Errorf("parsing SentencePiece model: %w", err)
	}
	t, err := newTokenizer(v)
	if err != nil {
		return nil, fmt.Errorf("parsing SentencePiece model: %w", err)
	}
	return t, nil
}

// spm is what is used of a SentencePiece model. The field numbers stand where
// they are read.
type spm struct {
	parts     Parts
	modelType uint64
	unk       uint64
	bos       int64
	eos       int64
	pad       int64

	charsmap      []byte
	dummyPrefix   bool
	extraSpaces   bool // remove_extra_whitespaces
	escapeSpaces  bool
	spaceAsSuffix bool
}

func parseSentencePiece(data []byte) (v vocabulary, err error) {
	if len(data) > maxFile {
		return v, fmt.Errorf("%d bytes are more than the limit of %d", len(data), maxFile)
	}
	m := spm{modelType: 1, bos: 1, eos: 2, pad: -1, dummyPrefix: true, extraSpaces: true, escapeSpaces: true}
	if err := m.read(data); err != nil {
		return v, err
	}
	switch {
	case m.modelType != 1 && m.modelType != 2:
		return v, fmt.Errorf("trainer_spec.model_type is %d, which is not supported, only 1 (unigram) and 2 (BPE)", m.modelType)
	case m.spaceAsSuffix:
		return v, errors.New("trainer_spec.treat_whitespace_as_suffix is true, only false is supported")
	case !m.escapeSpaces:
		return v, errors.New("normalizer_spec.escape_whitespaces is false, only true is supported")
	}
	p := &m.parts
	seen := make(map[string]int, len(p.Tokens))
	for id, piece := range p.Tokens {
		first, twice := seen[piece]
		switch {
		case piece == "":
			return v, fmt.Errorf("piece %d is \"\": a token is text", id)
		case twice:
			return v, fmt.Errorf("piece %q comes twice, as %d and %d", piece, first, id)
		}
		seen[piece] = id
	}
	p.IDs = make(map[string]int32)
	for _, role := range []struct {
		name string
		id   int64
	}{{"unknown", int64(m.unk)}, {"bos", m.bos}, {"eos", m.eos}, {"padding", m.pad}} {
		if role.id >= 0 && role.id < int64(len(p.Tokens)) && p.Types[role.id] != ggufNormal {
			p.IDs[role.name] = int32(role.id)
		}
	}
	if v, err = p.listed(); err != nil {
		return v, err
	}
	if m.modelType == 1 {
		err = p.unigram(&v)
	} else {
		err = p.pieces(&v)
	}
	if err != nil {
		return v, err
	}
	if err := p.setRoles(&v); err != nil {
		return v, err
	}
	// User-defined symbols are looked for once the whole text is normalized.
	var symbols []string
	for i := range v.added {
		if a := &v.added[i]; !a.Special {
			a.Normalized = true
			symbols = append(symbols, a.Content)
		}
	}
	v.description, err = m.describe(symbols)
	return v, err
}

// describe puts the normalizer of the model into tokenizer.json's terms.
//
// User-defined symbols are not normalized. Those that the rules would change are
// written as a character of the private use area for as long, in the text and in the
// name of the added token, which tokenizers normalizes as well. The ▁ before a text
// stands before a symbol too that begins it, but not where the text is one symbol and
// nothing else, as the name of an added token is: there SentencePiece gives one.
func (m *spm) describe(symbols []string) (d description, err error) {
	sequence := func(steps []string) json.RawMessage {
		return json.RawMessage(`{"type":"Sequence","normalizers":[` + strings.Join(steps, ",") + `]}`)
	}
	var steps []string
	if len(m.charsmap) > 0 {
		steps = append(steps, `{"type":"Precompiled","precompiled_charsmap":"`+base64.StdEncoding.EncodeToString(m.charsmap)+`"}`)
	}
	if m.extraSpaces {
		steps = append(steps, `{"type":"Replace","pattern":{"Regex":`+quote(endSpaces)+`},"content":""}`, `{"type":"Replace","pattern":{"Regex":" {2,}"},"content":" "}`)
	}
	normalize, err := compileNormalizer("normalizer_spec", sequence(steps))
	if err != nil {
		return d, err
	}
	// The longest first, since one may be the beginning of another.
	symbols = slices.Clone(symbols)
	slices.SortStableFunc(symbols, func(a, b string) int { return len(b) - len(a) })
	var kept []string
	for i, symbol := range symbols {
		if normalize == nil || normalize(symbol) == symbol {
			continue
		}
		if len(kept) == privateCharacters {
			return d, fmt.Errorf("more than %d user-defined symbols are changed by its normalizer", privateCharacters)
		}
		symbols[i] = string(rune(firstPrivate + len(kept)))
		kept = append(kept, `{"type":"Replace","pattern":{"String":`+quote(symbol)+`},"content":`+quote(symbols[i])+`}`)
	}
	steps = append(kept, steps...)
	d = sentencePieceDescription(m.dummyPrefix)
	switch {
	case m.dummyPrefix && len(symbols) > 0:
		var names []string
		for _, symbol := range symbols {
			names = append(names, quoteExpression(symbol))
		}
		but := `\A(?!(?:` + strings.Join(names, "|") + `)\z)`
		steps = append(steps, `{"type":"Replace","pattern":{"Regex":`+quote(but)+`},"content":"▁"}`)
	case m.dummyPrefix:
		steps = append(steps, `{"type":"Prepend","prepend":"▁"}`)
	}
	steps = append(steps, `{"type":"Replace","pattern":{"String":" "},"content":"▁"}`)
	d.normalizer = sequence(steps)
	return d, nil
}

// The characters that stand for symbols while a text is normalized: Unicode's private
// use area, of which text has none.
const (
	firstPrivate      = 0xe000
	privateCharacters = 0x1900
)

// unigram makes a unigram vocabulary of tokens and scores.
func (p *Parts) unigram(v *vocabulary) error {
	v.kind = Unigram
	v.scores = make([]float64, len(p.Scores))
	bytes := 0
	for id, score := range p.Scores {
		if math.IsNaN(float64(score)) || math.IsInf(float64(score), 0) {
			return fmt.Errorf("the score of token %d (%q) is no number", id, p.Tokens[id])
		}
		if v.unused[int32(id)] {
			return fmt.Errorf("token %d (%q) is of type UNUSED, which is not supported in a unigram model", id, p.Tokens[id])
		}
		if _, ok := byteToken(p.Tokens[id]); ok && p.typeOf(id) == ggufByte {
			bytes++
		}
		v.scores[id] = float64(score)
	}
	v.model.byteFallback = bytes == 256
	if id, ok := p.IDs["unknown"]; ok {
		v.model.unk = p.Tokens[id]
	}
	return nil
}

// read reads a ModelProto.
func (m *spm) read(data []byte) error {
	for number, f := range fields(data) {
		if f.err != nil {
			return f.err
		}
		switch number {
		case 1: // pieces
			if len(m.parts.Tokens) >= maxVocab {
				return fmt.Errorf("more than %d pieces", maxVocab)
			}
			if err := m.readPiece(f.bytes); err != nil {
				return fmt.Errorf("piece %d: %w", len(m.parts.Tokens), err)
			}
		case 2: // trainer_spec
			if err := m.readTrainer(f.bytes); err != nil {
				return fmt.Errorf("trainer_spec: %w", err)
			}
		case 3: // normalizer_spec
			if err := m.readNormalizer(f.bytes); err != nil {
				return fmt.Errorf("normalizer_spec: %w", err)
			}
		}
	}
	if len(m.parts.Tokens) == 0 {
		return errors.New("it has no pieces; is it a SentencePiece model?")
	}
	return nil
}

func (m *spm) readPiece(data []byte) error {
	piece, score, kind := "", float32(0), int32(ggufNormal)
	for number, f := range fields(data) {
		switch {
		case f.err != nil:
			return f.err
		case number == 1:
			piece = string(f.bytes)
		case number == 2 && f.wire == wire32:
			score = math.Float32frombits(uint32(f.value))
		case number == 3:
			kind = int32(f.value)
		}
	}
	p := &m.parts
	p.Tokens, p.Scores, p.Types = append(p.Tokens, piece), append(p.Scores, score), append(p.Types, kind)
	return nil
}

func (m *spm) readTrainer(data []byte) error {
	for number, f := range fields(data) {
		if f.err != nil {
			return f.err
		}
		switch number {
		case 3:
			m.modelType = f.value
		case 24:
			m.spaceAsSuffix = f.value != 0
		case 40:
			m.unk = f.value
		case 41:
			m.bos = int64(int32(f.value))
		case 42:
			m.eos = int64(int32(f.value))
		case 43:
			m.pad = int64(int32(f.value))
		}
	}
	return nil
}

func (m *spm) readNormalizer(data []byte) error {
	for number, f := range fields(data) {
		if f.err != nil {
			return f.err
		}
		switch number {
		case 2:
			m.charsmap = slices.Clone(f.bytes)
		case 3:
			m.dummyPrefix = f.value != 0
		case 4:
			m.extraSpaces = f.value != 0
		case 5:
			m.escapeSpaces = f.value != 0
		}
	}
	return nil
}

// The wire types of protocol buffers that are in use.
const (
	wireVarint = 0
	wire64     = 1
	wireBytes  = 2
	wire32     = 5
)

// field is a field of a protocol buffer: value of a number, bytes of a string or
// a message.
type field struct {
	wire  int
	value uint64
	bytes []byte
	err   error
}

// fields yields the fields of a message by their numbers, with an error and no
// more after it where the message is broken.
func fields(data []byte) func(yield func(number int, f field) bool) {
	return func(yield func(int, field) bool) {
		at := 0
		broken := func(what string) { yield(0, field{err: fmt.Errorf("byte %d: %s", at, what)}) }
		for at < len(data) {
			key, n := binary.Uvarint(data[at:])
			if n <= 0 || key>>3 == 0 || key>>3 > math.MaxInt32 {
				broken("this is no field of a protocol buffer")
				return
			}
			at += n
			f := field{wire: int(key & 7)}
			switch f.wire {
			case wireVarint:
				if f.value, n = binary.Uvarint(data[at:]); n <= 0 {
					broken("a number is cut off or too long")
					return
				}
				at += n
			case wire64, wire32:
				size := 8
				if f.wire == wire32 {
					size = 4
				}
				if len(data)-at < size {
					broken("a number is cut off")
					return
				}
				for i := range size {
					f.value |= uint64(data[at+i]) << (8 * i)
				}
				at += size
			case wireBytes:
				size, n := binary.Uvarint(data[at:])
				if n <= 0 || size > uint64(len(data)-at-n) {
					broken("a string is longer than what is left")
					return
				}
				at += n
				f.bytes = data[at : at+int(size)]
				at += int(size)
			default:
				broken(fmt.Sprintf("wire type %d is not known", f.wire))
				return
			}
			if !yield(int(key>>3), f) {
				return
			}
		}
	}
}
