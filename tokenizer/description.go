package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// description is what a tokenizer.json says besides its vocabulary, as the
// file's JSON values; nil stands for null. It is written again as it was read.
type description struct {
	// truncation and padding concern the rows that Hugging Face's encode makes,
	// not the ids of a text: they are carried, and not obeyed.
	truncation, padding                              json.RawMessage
	normalizer, preTokenizer, postProcessor, decoder json.RawMessage
}

// pipeline is what a description means.
type pipeline struct {
	normalize    func(s string) string             // nil for none
	prepare      func(s string, first bool) string // of the pre-tokenizer, before it cuts; first: at the start of the text. nil for none
	cut          cutter                            // nil: the whole text is one piece
	steps        []step                            // cut before it; each piece that they leave is cut by it
	word         func(s string) string             // of each such piece, before that; nil for none
	unknownScore float64                           // of Unigram
	words        bool                              // cut at the white space of SentencePiece where that changes no ids
	decoder      decoderRules
	template     template
}

// decoderRules say how tokens become text.
type decoderRules struct {
	pieces  bool   // ▁ is a space and <0x0A> a byte
	strip   bool   // the space that begins a text was added, and is left out
	words   bool   // WordPiece: words are put together with spaces
	prefix  string // of WordPiece
	cleanup bool   // WordPiece: no space before punctuation and English endings
}

// spaceMark is SentencePiece's character for a space, U+2581.
const spaceMark = "▁"

func (d *description) compile(kind Kind) (p pipeline, err error) {
	if p.normalize, err = compileNormalizer("normalizer", d.normalizer); err != nil {
		return p, err
	}
	if err := d.compilePreTokenizer(kind, &p); err != nil {
		return p, err
	}
	if p.template, err = compileTemplate("post_processor", d.postProcessor); err != nil {
		return p, err
	}
	if err := compileDecoder("decoder", d.decoder, &p.decoder); err != nil {
		return p, err
	}
	if kind != ByteLevelBPE && p.cut == nil && kind != WordPiece {
		p.words = true
	}
	return p, nil
}

// finish settles what depends on the vocabulary: whether a text that is one
// piece may be cut at white space all the same, which makes it fast. It may
// where no token holds white space after something else, since then no merge
// and no token crosses such a place.
func (p *pipeline) finish(t *Tokenizer) {
	if t.kind == Unigram {
		p.unknownScore = t.lowestScore() - unknownPenalty
	}
	if p.cut == nil {
		p.cut = wholeText
	}
	if !p.words {
		return
	}
	if strings.Contains(strings.TrimLeft(t.model.unk, spaceMark), spaceMark) {
		return
	}
	for id := range int32(t.VocabSize()) {
		if t.kinds[id] == ordinary || t.kinds[id] == added {
			if strings.Contains(strings.TrimLeft(t.token(id), spaceMark), spaceMark) {
				return
			}
		}
	}
	p.cut = wordsEnd
}

func wholeText(s string, _ int) int { return len(s) }

// wordsEnd cuts before each run of ▁.
func wordsEnd(s string, i int) int {
	for strings.HasPrefix(s[i:], spaceMark) {
		i += len(spaceMark)
	}
	if n := strings.Index(s[i:], spaceMark); n >= 0 {
		return i + n
	}
	return len(s)
}

// markEnd cuts before each ▁, as Metaspace with split does.
func markEnd(s string, i int) int {
	if strings.HasPrefix(s[i:], spaceMark) {
		i += len(spaceMark)
	}
	if n := strings.Index(s[i:], spaceMark); n >= 0 {
		return i + n
	}
	return len(s)
}

// typeOf returns the type of an object, "" for null.
func typeOf(where string, object json.RawMessage) (string, error) {
	if len(object) == 0 || string(object) == "null" {
		return "", nil
	}
	all, err := members(object)
	if err != nil {
		return "", fmt.Errorf("%s: %w", where, err)
	}
	for _, m := range all {
		if m.key == "type" && begins(m.value, '"') {
			return string(unquote(m.value)), nil
		}
	}
	return "", fmt.Errorf("%s is %s: its type is missing", where, shortValue(object))
}

func unsupported(where, name string, supported string) error {
	return fmt.Errorf("%s is of type %q, which is not supported, only %s", where, name, supported)
}

func (d *description) compilePreTokenizer(kind Kind, p *pipeline) error {
	const where = "pre_tokenizer"
	name, err := typeOf(where, d.preTokenizer)
	if err != nil {
		return err
	}
	switch kind {
	case ByteLevelBPE:
		switch name {
		case "ByteLevel":
			p.cut = pieceEnd
			return compileByteLevel(where, d.preTokenizer, "true", p)
		case "Sequence":
			return compileByteSequence(where, d.preTokenizer, p)
		case "":
			return errors.New(where + ` is null: for a byte-level vocabulary only "ByteLevel" and "Sequence" are supported`)
		}
		return unsupported(where, name, `"ByteLevel" and "Sequence"`)
	case WordPiece:
		if name != "BertPreTokenizer" {
			return unsupported(where, name, `"BertPreTokenizer" for a WordPiece model`)
		}
		p.cut = bertEnd
		return checkObject(where+".", d.preTokenizer, map[string]rule{"type": ignored})
	}
	switch name {
	case "":
		return nil
	case "Metaspace":
		return compileMetaspace(where, d.preTokenizer, p)
	case "Sequence": // of T5, XLM-R and their relatives
		return compileWordSequence(where, d.preTokenizer, p)
	case "Split": // Gemma's: it cuts at spaces, of which its normalizer leaves none
		if err := checkObject(where+".", d.preTokenizer, map[string]rule{
			"type":     ignored,
			"pattern":  oneString("String", " "),
			"behavior": oneOf(`"MergedWithPrevious"`),
			"invert":   oneOf("false"),
		}); err != nil {
			return err
		}
		if p.normalize == nil || strings.Contains(p.normalize("a b c"), " ") {
			return errors.New(where + ` is a Split at spaces, which is supported only after a normalizer that leaves none`)
		}
		return nil
	}
	return unsupported(where, name, `null, "Metaspace", "Split" and "Sequence"`)
}

// compileWordSequence reads WhitespaceSplit before Metaspace: each word becomes a text
// of its own, with its ▁.
func compileWordSequence(where string, object json.RawMessage, p *pipeline) error {
	var entries []json.RawMessage
	if err := checkObject(where+".", object, map[string]rule{"type": ignored, "pretokenizers": into(&entries)}); err != nil {
		return err
	}
	var names []string
	for i, entry := range entries {
		name, err := typeOf(fmt.Sprintf("%s.pretokenizers[%d]", where, i), entry)
		if err != nil {
			return err
		}
		names = append(names, name)
	}
	if !slices.Equal(names, []string{"WhitespaceSplit", "Metaspace"}) {
		return fmt.Errorf(`%s.pretokenizers are %q: for a vocabulary of characters only "WhitespaceSplit" before "Metaspace" is supported`, where, names)
	}
	first, last := where+".pretokenizers[0]", where+".pretokenizers[1]"
	if err := checkObject(first+".", entries[0], map[string]rule{"type": ignored}); err != nil {
		return err
	}
	scheme, split, err := readMetaspace(last, entries[1])
	if err != nil {
		return err
	}
	if scheme == "first" {
		return fmt.Errorf(`%s.prepend_scheme is "first": behind WhitespaceSplit only "always" and "never" are supported`, last)
	}
	p.steps = []step{{find: findEach(unicode.IsSpace), behavior: "Removed"}}
	if split {
		p.cut = markEnd
	}
	if scheme == "always" {
		p.word = func(s string) string {
			if strings.HasPrefix(s, spaceMark) {
				return s
			}
			return spaceMark + s
		}
	}
	return nil
}

func ignored(json.RawMessage) error { return nil }

// oneString accepts {"String": text} or {"Regex": text}, as which says.
func oneString(which, text string) rule {
	return func(value json.RawMessage) error {
		return checkObject("", value, map[string]rule{which: thisText(text)})
	}
}

// thisText accepts one string, however its characters are escaped.
func thisText(text string) rule {
	return func(value json.RawMessage) error {
		if begins(value, '"') && string(unquote(value)) == text {
			return nil
		}
		return fmt.Errorf("only %s is supported", quote(text))
	}
}

// compileByteLevel reads {"type": "ByteLevel"} with use_regex as wanted.
func compileByteLevel(where string, object json.RawMessage, useRegex string, p *pipeline) error {
	prefixSpace, seen, regex := false, false, "true"
	err := checkObject(where+".", object, map[string]rule{
		"type": ignored,
		"add_prefix_space": func(value json.RawMessage) error {
			seen = true
			return json.Unmarshal(value, &prefixSpace)
		},
		"trim_offsets": anyBool,
		"use_regex": func(value json.RawMessage) error {
			regex = string(value)
			return oneOf(useRegex)(value)
		},
	})
	switch {
	case err != nil:
		return err
	case !seen:
		return fmt.Errorf("%s.add_prefix_space is missing", where)
	case regex != useRegex:
		return fmt.Errorf("%s.use_regex is missing, which means true: only %s is supported here", where, useRegex)
	}
	if prefixSpace {
		p.prepare = spaceBefore
	}
	return nil
}

// compileByteSequence reads a sequence of steps with a ByteLevel among them.
func compileByteSequence(where string, object json.RawMessage, p *pipeline) error {
	var entries []json.RawMessage
	if err := checkObject(where+".", object, map[string]rule{"type": ignored, "pretokenizers": into(&entries)}); err != nil {
		return err
	}
	if err := compileSteps(where, entries, p); err != nil {
		return err
	}
	if cut := fastSequence(object); cut != nil && p.prepare == nil {
		p.cut, p.steps = cut, nil
	}
	return nil
}

// fastSequence is the function of scan.go that cuts as a sequence does: a Split at a
// known pattern, or Digits one by one, before ByteLevel; nil if there is none. The
// patterns match every character, so that taking the matches apart and keeping them,
// or taking what lies between them out, is the same.
func fastSequence(object json.RawMessage) cutter {
	var sequence struct {
		Steps []struct {
			Type     string                 `json:"type"`
			Pattern  struct{ Regex string } `json:"pattern"`
			Behavior string                 `json:"behavior"`
			Invert   bool                   `json:"invert"`
			Digits   bool                   `json:"individual_digits"`
			Regex    *bool                  `json:"use_regex"`
		} `json:"pretokenizers"`
	}
	if json.Unmarshal(object, &sequence) != nil || len(sequence.Steps) != 2 || sequence.Steps[1].Type != "ByteLevel" {
		return nil
	}
	first, regex := sequence.Steps[0], sequence.Steps[1].Regex == nil || *sequence.Steps[1].Regex
	switch {
	case first.Type == "Digits" && first.Digits && regex:
		return smollmEnd
	case first.Type == "Split" && !regex && (first.Behavior == "Isolated" && !first.Invert || first.Behavior == "Removed" && first.Invert):
		return patterns[first.Pattern.Regex]
	}
	return nil
}

// compileMetaspace reads SentencePiece's pre-tokenizer: spaces become ▁, one more
// stands at the beginning as prepend_scheme says, and with split each ▁ begins a
// piece.
func compileMetaspace(where string, object json.RawMessage, p *pipeline) error {
	scheme, split, err := readMetaspace(where, object)
	if err != nil {
		return err
	}
	p.prepare = func(s string, first bool) string {
		s = strings.ReplaceAll(s, " ", spaceMark)
		if (scheme == "always" || scheme == "first" && first) && !strings.HasPrefix(s, spaceMark) {
			s = spaceMark + s
		}
		return s
	}
	if split {
		p.cut = markEnd
	}
	return nil
}

func readMetaspace(where string, object json.RawMessage) (scheme string, split bool, err error) {
	prefix := ""
	split = true
	err = checkObject(where+".", object, map[string]rule{
		"type":             ignored,
		"replacement":      thisText(spaceMark),
		"str_rep":          thisText(spaceMark),
		"add_prefix_space": func(value json.RawMessage) error { prefix = string(value); return anyBool(value) },
		"prepend_scheme": func(value json.RawMessage) error {
			scheme = string(unquote(value))
			return oneOf(`"always"`, `"first"`, `"never"`)(value)
		},
		"split": into(&split),
	})
	if scheme == "" {
		scheme = "always"
		if prefix == "false" {
			scheme = "never"
		}
	}
	return scheme, split, err
}

func compileDecoder(where string, object json.RawMessage, d *decoderRules) error {
	name, err := typeOf(where, object)
	if err != nil {
		return err
	}
	switch name {
	case "":
		return nil
	case "ByteLevel":
		return checkObject(where+".", object, map[string]rule{"type": ignored, "add_prefix_space": anyBool, "trim_offsets": anyBool, "use_regex": anyBool})
	case "WordPiece":
		d.words, d.prefix, d.cleanup = true, "##", true
		return checkObject(where+".", object, map[string]rule{"type": ignored, "prefix": into(&d.prefix), "cleanup": into(&d.cleanup)})
	case "Metaspace":
		scheme, _, err := readMetaspace(where, object)
		d.pieces, d.strip = true, scheme != "never"
		return err
	case "Sequence":
		var steps []json.RawMessage
		if err := checkObject(where+".", object, map[string]rule{"type": ignored, "decoders": into(&steps)}); err != nil {
			return err
		}
		return compileDecoderSteps(where, steps, d)
	}
	return unsupported(where, name, `"ByteLevel", "WordPiece", "Metaspace" and "Sequence"`)
}

// compileDecoderSteps reads SentencePiece's decoder: ▁ to space, byte tokens to
// bytes, all together, and the first space left out.
func compileDecoderSteps(where string, steps []json.RawMessage, d *decoderRules) error {
	for i, step := range steps {
		at := fmt.Sprintf("%s.decoders[%d]", where, i)
		name, err := typeOf(at, step)
		if err != nil {
			return err
		}
		switch name {
		case "Replace":
			d.pieces = true
			err = checkObject(at+".", step, map[string]rule{"type": ignored, "pattern": oneString("String", spaceMark), "content": thisText(" ")})
		case "ByteFallback", "Fuse":
			err = checkObject(at+".", step, map[string]rule{"type": ignored})
		case "Strip":
			d.strip = true
			err = checkObject(at+".", step, map[string]rule{"type": ignored, "content": thisText(" "), "start": oneOf("1"), "stop": oneOf("0")})
		case "Metaspace", "ByteLevel":
			err = compileDecoder(at, step, d)
		default:
			err = unsupported(at, name, `"Replace", "ByteFallback", "Fuse", "Strip" and "Metaspace"`)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
