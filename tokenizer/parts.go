package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Parts are a vocabulary as the tokenizer.ggml keys of a GGUF file list it.
type Parts struct {
	// Model is tokenizer.ggml.model: "gpt2" (byte-level BPE), "llama"
	// (SentencePiece BPE) or "bert" (WordPiece).
	Model string
	// Pre is tokenizer.ggml.pre, the pre-tokenizer of a "gpt2" model; "" is
	// GPT-2's, or Llama 3's where the tokens are.
	Pre string
	// Tokens are the tokens by id, written as the format writes them: "gpt2" in
	// GPT-2's characters for bytes, "bert" with ▁ before the tokens that begin a
	// word.
	Tokens []string
	// Scores [len(Tokens)] order the merges of a "llama" model: the higher the
	// earlier.
	Scores []float32
	// Types [len(Tokens)] are tokenizer.ggml.token_type; nil: all are normal.
	Types []int32
	// Merges are those of a "gpt2" model: "a b".
	Merges []string
	// IDs are the tokens that have a part, by the names of the format's keys
	// tokenizer.ggml.NAME_token_id: bos, eos, unknown, padding, seperator (so
	// spelled there), cls, mask. Names not listed here are not looked at.
	IDs map[string]int32
	// AddBOS and AddEOS make Wrap add those tokens.
	AddBOS, AddEOS bool
	// NoSpacePrefix is the negation of tokenizer.ggml.add_space_prefix: no ▁ is put
	// before a text of a "llama" model.
	NoSpacePrefix bool
	// ChatTemplate is Jinja text, "" for none.
	ChatTemplate string
}

// The token types of GGUF files.
const (
	ggufNormal      = 1
	ggufUnknown     = 2
	ggufControl     = 3
	ggufUserDefined = 4
	ggufUnused      = 5
	ggufByte        = 6
)

// NewFromParts makes the tokenizer that a GGUF file carries. Files of it is a
// tokenizer.json whose ids Hugging Face's tokenizers gives as well. What the file
// asks for and this package does not have is an error that names the key and its
// value.
func NewFromParts(p Parts) (*Tokenizer, error) {
	v, err := p.vocabulary()
	if err != nil {
		return nil, fmt.Errorf("making a tokenizer of GGUF keys: %w", err)
	}
	t, err := newTokenizer(v)
	if err != nil {
		return nil, fmt.Errorf("making a tokenizer of GGUF keys: %w", err)
	}
	return t, nil
}

func (p *Parts) vocabulary() (v vocabulary, err error) {
	if v, err = p.listed(); err != nil {
		return v, err
	}
	switch p.Model {
	case "gpt2":
		err = p.bytes(&v)
	case "llama":
		err = p.pieces(&v)
	case "bert":
		err = p.words(&v)
	default:
		err = fmt.Errorf(`tokenizer.ggml.model is %q, which is not supported, only "gpt2", "llama" and "bert"`, p.Model)
	}
	if err != nil {
		return v, err
	}
	return v, p.setRoles(&v)
}

// listed is the vocabulary as far as it is common to all models: the tokens by
// their types.
func (p *Parts) listed() (v vocabulary, err error) {
	n := len(p.Tokens)
	switch {
	case n == 0:
		return v, errors.New("tokenizer.ggml.tokens is empty or missing")
	case n > maxVocab:
		return v, fmt.Errorf("tokenizer.ggml.tokens has %d tokens, more than the limit of %d", n, maxVocab)
	case p.Types != nil && len(p.Types) != n:
		return v, fmt.Errorf("tokenizer.ggml.token_type has %d entries and tokenizer.ggml.tokens %d", len(p.Types), n)
	case len(p.Merges) > maxVocab:
		return v, fmt.Errorf("tokenizer.ggml.merges has %d entries, more than the limit of %d", len(p.Merges), maxVocab)
	}
	for id, token := range p.Tokens {
		if !utf8.ValidString(token) {
			return v, fmt.Errorf("tokenizer.ggml.tokens[%d] is %q: a token is text in valid UTF-8", id, token)
		}
		v.holes = v.holes || token == "" // no token has this id
	}
	v.tokens = slices.Clone(p.Tokens)
	v.unused = make(map[int32]bool)
	v.chatTemplate = p.ChatTemplate
	var added []AddedToken
	for id, token := range p.Tokens {
		if token == "" {
			continue
		}
		switch kind := p.typeOf(id); kind {
		case ggufControl, ggufUnknown, ggufUserDefined:
			added = append(added, AddedToken{ID: int32(id), Content: p.Tokens[id], Special: kind != ggufUserDefined})
			v.tokens[id] = ""
		case ggufUnused:
			if p.Tokens[id] == UnusedName(id) { // a row of the model without a token
				v.tokens[id], v.holes = "", true
				break
			}
			v.unused[int32(id)] = true
		case ggufNormal, ggufByte:
		default:
			return v, fmt.Errorf("tokenizer.ggml.token_type[%d] is %d, which is not known; known are 1 to 6", id, kind)
		}
	}
	v.added = added
	return v, nil
}

func (p *Parts) typeOf(id int) int32 {
	if p.Types == nil {
		return ggufNormal
	}
	return p.Types[id]
}

// setRoles gives tokens the parts that the keys say, and makes the
// post-processor.
func (p *Parts) setRoles(v *vocabulary) error {
	var bos, eos, cls, sep AddedToken
	for _, known := range []struct {
		name  string
		role  *string
		token *AddedToken
	}{
		{"bos", &v.roles.bos, &bos}, {"eos", &v.roles.eos, &eos}, {"unknown", &v.roles.unk, new(AddedToken)},
		{"padding", &v.roles.pad, new(AddedToken)}, {"seperator", &v.roles.sep, &sep}, {"cls", &v.roles.cls, &cls},
		{"mask", &v.roles.mask, new(AddedToken)},
	} {
		id, ok := p.IDs[known.name]
		if !ok {
			continue
		}
		if id < 0 || int(id) >= len(p.Tokens) {
			return fmt.Errorf("tokenizer.ggml.%s_token_id is %d, outside the vocabulary of %d", known.name, id, len(p.Tokens))
		}
		i := slices.IndexFunc(v.added, func(a AddedToken) bool { return a.ID == id })
		if i < 0 {
			// Files without token types do not say that it is one.
			v.added = append(v.added, AddedToken{ID: id, Content: p.Tokens[id], Special: true})
			v.tokens[id] = ""
			i = len(v.added) - 1
		}
		*known.role, *known.token = v.added[i].Content, v.added[i]
	}
	if v.kind == WordPiece {
		if cls.Content == "" {
			cls = bos
			v.roles.cls = bos.Content
		}
		if cls.Content == "" || sep.Content == "" {
			return errors.New("tokenizer.ggml.cls_token_id (or bos) or tokenizer.ggml.seperator_token_id is missing")
		}
		v.description.postProcessor = surround(cls, sep, false)
		return nil
	}
	if p.AddBOS && bos.Content == "" {
		return errors.New("tokenizer.ggml.add_bos_token is true and tokenizer.ggml.bos_token_id is missing")
	}
	if p.AddEOS && eos.Content == "" {
		return errors.New("tokenizer.ggml.add_eos_token is true and tokenizer.ggml.eos_token_id is missing")
	}
	if !p.AddBOS {
		bos = AddedToken{}
	}
	if !p.AddEOS {
		eos = AddedToken{}
	}
	v.description.postProcessor = surround(bos, eos, true)
	return nil
}

// bytes makes a byte-level BPE vocabulary.
func (p *Parts) bytes(v *vocabulary) error {
	pre, ok := preTokenizerOf(p.Pre)
	switch {
	case p.Pre == "":
		pre, v.assumed = p.assume()
	case p.Pre == "default":
		v.assumed = `tokenizer.ggml.pre is "default": text is cut as llama.cpp does where it does not know the model, which may not be as the model's own tokenizer does`
	case !ok:
		return fmt.Errorf(`tokenizer.ggml.pre is %q, which is not supported; supported are %s`, p.Pre, preTokenizerNames())
	}
	v.description = pre.describe()
	// Llama 3 and others take a piece that is a token as it is.
	v.model.ignoreMerges = pre.whole
	ids := make(map[string]int32, len(v.tokens))
	var buf []byte
	for id, token := range v.tokens {
		ids[p.Tokens[id]] = int32(id)
		if token == "" || v.unused[int32(id)] {
			continue
		}
		var err error
		if buf, err = appendUnwritten(buf[:0], []byte(token)); err != nil {
			return fmt.Errorf("tokenizer.ggml.tokens[%d] is %q: %w", id, token, err)
		}
		v.tokens[id] = string(buf)
	}
	for i, line := range p.Merges {
		m, err := lineMerge([]byte(line), ids)
		if err != nil {
			return fmt.Errorf("tokenizer.ggml.merges[%d] is %q: %w", i, line, err)
		}
		v.merges = append(v.merges, m)
	}
	return nil
}

// assume chooses the pre-tokenizer of a file that names none, as files before May 2024
// do, and says so.
func (p *Parts) assume() (pre preTokenizer, say string) {
	name, why := "gpt-2", ""
	// These tokens came with Llama 3, whose first files were of that time.
	if slices.Contains(p.Tokens, "<|begin_of_text|>") && slices.Contains(p.Tokens, "<|eot_id|>") {
		name, why = "llama-bpe", ", since the vocabulary has Llama 3's special tokens"
	}
	pre, _ = preTokenizerOf(name)
	return pre, fmt.Sprintf("tokenizer.ggml.pre is missing: text is cut as for %q%s; for another model the tokens are wrong: convert it anew, or set the key (gguf-new-metadata --pre-tokenizer NAME)", name, why)
}

// sentencePieceDescription puts ▁ before a text (with prefix) and in the place of
// its spaces; decoding takes both back.
func sentencePieceDescription(prefix bool) description {
	replace := `{"type":"Replace","pattern":{"String":" "},"content":"▁"}`
	d := description{normalizer: json.RawMessage(replace)}
	strip := ""
	if prefix {
		d.normalizer = json.RawMessage(`{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},` + replace + `]}`)
		strip = `,{"type":"Strip","content":" ","start":1,"stop":0}`
	}
	d.decoder = json.RawMessage(`{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"}` + strip + `]}`)
	return d
}

// pieces makes a SentencePiece BPE vocabulary.
func (p *Parts) pieces(v *vocabulary) error {
	if len(p.Scores) != len(p.Tokens) {
		return fmt.Errorf("tokenizer.ggml.scores has %d entries and tokenizer.ggml.tokens %d", len(p.Scores), len(p.Tokens))
	}
	v.kind = CharacterBPE
	v.description = sentencePieceDescription(!p.NoSpacePrefix)
	if id, ok := p.IDs["unknown"]; ok && id >= 0 && int(id) < len(p.Tokens) {
		v.model.unk = p.Tokens[id]
	}
	return v.scoredMerges(p.Scores)
}

// scoredMerges makes the merges of a SentencePiece BPE vocabulary of its scores:
// the pair that joins to the token of the highest score goes first. v.tokens
// holds the tokens that text becomes, and added tokens are in v.added.
func (v *vocabulary) scoredMerges(scores []float32) error {
	ids := make(map[string]int32, len(v.tokens))
	bytes := 0
	var ranked []int32
	for id, token := range v.tokens {
		if math.IsNaN(float64(scores[id])) {
			return fmt.Errorf("the score of token %d (%q) is no number", id, token)
		}
		if token == "" || v.unused[int32(id)] {
			continue
		}
		if _, ok := byteToken(token); ok {
			bytes++
			continue
		}
		if other, twice := ids[token]; twice {
			return fmt.Errorf("token %q has two ids, %d and %d", token, other, id)
		}
		ids[token] = int32(id)
		ranked = append(ranked, int32(id))
	}
	for _, a := range v.added {
		if _, taken := ids[a.Content]; !a.Special && !taken {
			ids[a.Content] = a.ID
		}
	}
	v.model.fuseUnk = true
	v.model.byteFallback = bytes == 256
	slices.SortStableFunc(ranked, func(a, b int32) int {
		switch {
		case scores[a] > scores[b]:
			return -1
		case scores[a] < scores[b]:
			return 1
		}
		return 0
	})
	v.merges = splits(ranked, func(id int32) string { return v.tokens[id] }, func(name string) (int32, bool) {
		id, ok := ids[name]
		return id, ok
	}, maxVocab)
	if len(v.merges) > maxVocab {
		return fmt.Errorf("the vocabulary has more than %d merges", maxVocab)
	}
	v.ranks = make([]uint32, len(v.merges))
	for i := 1; i < len(v.merges); i++ {
		v.ranks[i] = v.ranks[i-1]
		if scores[v.merges[i].id] != scores[v.merges[i-1].id] {
			v.ranks[i] = uint32(i)
		}
	}
	return nil
}

// words makes a WordPiece vocabulary. GGUF writes ▁ before the tokens that begin
// a word and nothing before those that continue one; its readers lower the case
// and take accents away.
func (p *Parts) words(v *vocabulary) error {
	v.kind = WordPiece
	v.model = model{unk: "[UNK]", prefix: "##", maxWord: 100}
	v.description = bertDescription(true)
	for id, token := range v.tokens {
		if token == "" {
			continue
		}
		if word, ok := strings.CutPrefix(token, spaceMark); ok && word != "" {
			v.tokens[id] = word
		} else if !strings.HasPrefix(token, "[") || !strings.HasSuffix(token, "]") {
			v.tokens[id] = v.model.prefix + token
		}
	}
	if id, ok := p.IDs["unknown"]; ok && id >= 0 && int(id) < len(p.Tokens) {
		v.model.unk = p.Tokens[id]
	}
	return nil
}

func bertDescription(lower bool) description {
	return description{
		normalizer:   json.RawMessage(fmt.Sprintf(`{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":%t}`, lower)),
		preTokenizer: json.RawMessage(`{"type":"BertPreTokenizer"}`),
		decoder:      json.RawMessage(`{"type":"WordPiece","prefix":"##","cleanup":true}`),
	}
}
