package tokenizer

import (
	"fmt"
	"slices"
	"sync"
)

// The special tokens of vocabularies trained here, in the order of their ids.
const (
	EndOfText = "<|endoftext|>" // after each document; 0
	IMStart   = "<|im_start|>"  // before each turn of a dialogue; 1
	IMEnd     = "<|im_end|>"    // after each turn of a dialogue; 2
	Pad       = "<|pad|>"       // fills rows, never trained on; 3
	MaskToken = "<|mask|>"      // hides a token from an encoder that is to guess it; 4 in EncoderSpecialTokens
)

// DefaultSpecialTokens returns the special tokens that Train gives a vocabulary
// when Options names none.
func DefaultSpecialTokens() []string {
	return []string{EndOfText, IMStart, IMEnd, Pad}
}

// EncoderSpecialTokens returns the special tokens of a vocabulary for an
// encoder: the default ones and MaskToken. Train gives such a vocabulary EndOfText
// as the token that begins a text (CLS, see [Tokenizer.Wrap]): it stands between
// documents, so before each of them.
func EncoderSpecialTokens() []string { return append(DefaultSpecialTokens(), MaskToken) }

// AddedToken is a token that is matched as a whole, outside pieces and merges.
// The flags are those of Hugging Face's added_tokens.
type AddedToken struct {
	ID      int32
	Content string
	// Special marks structure rather than text: Text and Decoder leave it out, and
	// no text that Encode is given becomes one.
	Special bool
	// Normalized tokens are looked for in the normalized text, after those that
	// are not.
	Normalized bool
	// SingleWord tokens match only where no word character stands beside them.
	SingleWord bool
	// LStrip and RStrip tokens swallow the white space before and after them.
	LStrip, RStrip bool
}

// Kind is how a vocabulary makes tokens of a piece.
type Kind uint8

const (
	// ByteLevelBPE merges bytes: GPT-2, Llama 3, Qwen, SmolLM2, tiktoken.
	ByteLevelBPE Kind = iota
	// CharacterBPE merges characters, with tokens for single bytes where a
	// character has none: SentencePiece's BPE, of Llama 2, Mistral and Gemma.
	CharacterBPE
	// Unigram takes the cut of highest probability: SentencePiece's other model.
	Unigram
	// WordPiece takes the longest token, again and again: BERT.
	WordPiece
)

func (k Kind) String() string {
	return [...]string{"byte-level BPE", "SentencePiece BPE", "SentencePiece unigram", "WordPiece"}[k]
}

// Tokenizer is a vocabulary with the rules that cut a text into its tokens. It
// does not change after it is made (what it caches is invisible), and all its
// methods may be called from many goroutines at once.
type Tokenizer struct {
	kind    Kind
	arena   string   // the names of all tokens, one after the other: of byte-level BPE the bytes that they stand for
	offsets []uint32 // token id is arena[offsets[id]:offsets[id+1]]; V+1 entries
	added   []AddedToken
	kinds   []idKind // by id
	byName  map[string]int32
	texts   tokenTexts

	description description
	pipeline    pipeline
	model       model
	scores      []float64 // of Unigram, by id

	byteID  [256]int32       // the tokens of single bytes, -1 for none
	merges  []merge          // in the order of the file
	pairs   pairTable        // the merges by what they join
	ids     map[string]int32 // ordinary tokens by name, nil where no rule asks
	unk     int32            // the unknown token, -1 for none
	longest int              // bytes of the longest ordinary token

	matcher      addedMatcher
	roles        roles
	chatTemplate string // Jinja, "" for none
	templates    []NamedTemplate
	notes        []string
	assumed      string // what its file leaves open, and how it was taken

	mu   sync.Mutex
	idle []*encoder // scratch space and caches that no call is using
}

// idKind says what an id is.
type idKind uint8

const (
	ordinary idKind = iota
	added           // an added token that is text
	special         // an added token that marks structure
	hole            // no token has this id
)

// merge makes token id out of left and right standing side by side.
type merge struct{ left, right, id int32 }

// maxVocab bounds the vocabularies that are accepted. The largest in use has
// about 262,000 entries (Gemma).
const maxVocab = 1 << 20

// vocabulary is what a Tokenizer is made of.
type vocabulary struct {
	kind   Kind
	tokens []string       // by id; "" where an added token stands, and in a hole
	holes  bool           // ids without a token are accepted
	unused map[int32]bool // ordinary tokens that no text becomes
	merges []merge
	ranks  []uint32 // of merges; nil: their places
	scores []float64
	added  []AddedToken

	description  description
	model        model
	roles        roles
	chatTemplate string
	templates    []NamedTemplate
	notes        []string // what was found and is not used
	left         []string // names of tokens that were left out
	assumed      string   // what the file leaves open, and how it was taken
}

// model holds the settings of tokenizer.json's model besides the vocabulary.
type model struct {
	unk          string // "" for none
	fuseUnk      bool   // unknown characters side by side are one unknown token
	byteFallback bool   // a character without a token becomes its bytes' tokens
	ignoreMerges bool   // a piece that is a token is not looked into
	prefix       string // WordPiece: before tokens that continue a word
	maxWord      int    // WordPiece: characters of the longest word
}

// roles are the names of the tokens that tokenizer_config.json gives a part, ""
// for none.
type roles struct{ bos, eos, unk, pad, sep, cls, mask string }

// newTokenizer checks that v is a vocabulary that gives every text one meaning,
// and makes its tables.
func newTokenizer(v vocabulary) (*Tokenizer, error) {
	if len(v.tokens) > maxVocab {
		return nil, fmt.Errorf("%d tokens are more than the limit of %d", len(v.tokens), maxVocab)
	}
	t := &Tokenizer{
		kind: v.kind, merges: v.merges, scores: v.scores, model: v.model, description: v.description,
		kinds:  make([]idKind, len(v.tokens)),
		byName: make(map[string]int32, len(v.added)),
		roles:  v.roles, chatTemplate: v.chatTemplate, templates: v.templates, notes: v.notes, assumed: v.assumed,
	}
	var err error
	if t.pipeline, err = v.description.compile(v.kind); err != nil {
		return nil, err
	}
	if err := t.addTokens(v.added, v.tokens); err != nil {
		return nil, err
	}
	if err := t.store(v.tokens, v.holes); err != nil {
		return nil, err
	}
	t.makeTexts()
	if err := t.index(v.unused); err != nil {
		return nil, err
	}
	if err := t.addMerges(v.ranks); err != nil {
		return nil, err
	}
	if err := t.pipeline.template.check(t); err != nil {
		return nil, err
	}
	t.pipeline.finish(t)
	t.matcher = newAddedMatcher(t.added, t.pipeline.normalize)
	return t, nil
}

// addTokens puts the added tokens into the vocabulary.
func (t *Tokenizer) addTokens(tokens []AddedToken, names []string) error {
	t.added = slices.Clone(tokens)
	slices.SortFunc(t.added, func(a, b AddedToken) int { return int(a.ID) - int(b.ID) })
	for _, a := range t.added {
		if a.ID < 0 || int(a.ID) >= len(names) {
			return fmt.Errorf("added token %q has id %d outside 0 … %d", a.Content, a.ID, len(names)-1)
		}
		if a.Content == "" {
			return fmt.Errorf("added token %d is empty", a.ID)
		}
		if t.kinds[a.ID] != ordinary {
			return fmt.Errorf("id %d is given to two added tokens", a.ID)
		}
		if other, taken := t.byName[a.Content]; taken {
			return fmt.Errorf("added token %q has two ids, %d and %d", a.Content, other, a.ID)
		}
		if names[a.ID] != "" {
			return fmt.Errorf("id %d is given to the added token %q and to the token %q", a.ID, a.Content, names[a.ID])
		}
		t.kinds[a.ID] = added
		if a.Special {
			t.kinds[a.ID] = special
		}
		t.byName[a.Content] = a.ID
		names[a.ID] = a.Content
	}
	return nil
}

// store copies the names of the tokens into one string.
func (t *Tokenizer) store(names []string, holes bool) error {
	size := 0
	for _, name := range names {
		size += len(name)
	}
	if size > 1<<31 {
		return fmt.Errorf("the tokens hold %d bytes, more than the limit of 2 GiB", size)
	}
	arena := make([]byte, 0, size)
	t.offsets = make([]uint32, 1, len(names)+1)
	for id, name := range names {
		if name == "" {
			if !holes {
				return fmt.Errorf("id %d has no token; ids must run from 0 to %d without holes", id, len(names)-1)
			}
			t.kinds[id] = hole
		}
		arena = append(arena, name...)
		t.offsets = append(t.offsets, uint32(len(arena)))
	}
	t.arena = string(arena)
	return nil
}

// index makes the tables that find a token by its bytes or its name.
func (t *Tokenizer) index(unused map[int32]bool) error {
	for b := range t.byteID {
		t.byteID[b] = -1
	}
	byName := t.kind != ByteLevelBPE || t.model.ignoreMerges
	if byName {
		t.ids = make(map[string]int32, t.VocabSize())
	}
	t.unk = -1
	if id, ok := t.byName[t.model.unk]; ok {
		t.unk = id
	}
	for id := range int32(t.VocabSize()) {
		name := t.token(id)
		if t.kinds[id] == added && t.kind != ByteLevelBPE && t.kind != WordPiece {
			// SentencePiece's user-defined tokens are characters' tokens as well.
			t.ids[name] = id
		}
		if name != "" && name == t.model.unk {
			t.unk = id
		}
		if t.kinds[id] != ordinary || unused[id] {
			continue
		}
		switch t.kind {
		case ByteLevelBPE:
			if len(name) == 1 {
				t.byteID[name[0]] = id
			}
		case CharacterBPE, Unigram:
			if b, ok := byteToken(name); ok {
				t.byteID[b] = id
			}
		}
		if byName {
			if other, taken := t.ids[name]; taken && t.kinds[other] == ordinary {
				return fmt.Errorf("token %q has two ids, %d and %d", name, other, id)
			}
			t.ids[name] = id
			t.longest = max(t.longest, len(name))
		}
	}
	if t.model.unk != "" && t.unk < 0 {
		return fmt.Errorf("the unknown token %q is not in the vocabulary", t.model.unk)
	}
	switch {
	case t.kind == ByteLevelBPE:
	case t.model.byteFallback:
		for b, id := range t.byteID {
			if id < 0 {
				return fmt.Errorf("byte_fallback is true and the vocabulary has no <0x%02X>", b)
			}
		}
	case t.unk < 0:
		return fmt.Errorf("there is neither an unknown token nor byte_fallback, so not every text could be encoded")
	}
	return nil
}

// addMerges fills the table of pairs; ranks nil stands for 0, 1, 2 ….
func (t *Tokenizer) addMerges(ranks []uint32) error {
	t.pairs = newPairTable(len(t.merges))
	for i, m := range t.merges {
		for _, id := range []int32{m.left, m.right, m.id} {
			if id < 0 || int(id) >= t.VocabSize() || t.kinds[id] == special || t.kinds[id] == hole {
				return fmt.Errorf("merge %d uses id %d, which is no ordinary token", i, id)
			}
		}
		rank := uint32(i)
		if ranks != nil {
			rank = ranks[i]
		}
		if !t.pairs.insert(m, rank) {
			return fmt.Errorf("merge %d joins %q and %q a second time", i, t.token(m.left), t.token(m.right))
		}
	}
	return nil
}

// Kind returns how the tokenizer makes tokens of a piece.
func (t *Tokenizer) Kind() Kind { return t.kind }

// Assumed is a sentence about what the tokenizer's file leaves open and how it was
// taken, for people to read; "" where nothing was assumed.
func (t *Tokenizer) Assumed() string { return t.assumed }

// VocabSize returns the number of token ids, added tokens included: the least V
// that a model's embedding and head can have.
func (t *Tokenizer) VocabSize() int { return len(t.offsets) - 1 }

// Merges returns the number of pairs of tokens that join to another.
func (t *Tokenizer) Merges() int { return len(t.merges) }

// TokenID returns the id of the added token with this name, such as EndOfText,
// and whether there is one.
func (t *Tokenizer) TokenID(name string) (int32, bool) {
	id, ok := t.byName[name]
	return id, ok
}

// AddedTokens returns the added tokens in the order of their ids.
func (t *Tokenizer) AddedTokens() []AddedToken { return slices.Clone(t.added) }

// EOS returns the id of the token that ends a text, and whether there is one:
// the eos_token of tokenizer_config.json, EndOfText where no such file said
// otherwise.
func (t *Tokenizer) EOS() (int32, bool) { return t.TokenID(t.roles.eos) }

// Pad returns the id of the token that fills rows, and whether there is one:
// the pad_token of tokenizer_config.json, Pad where no such file said otherwise.
func (t *Tokenizer) Pad() (int32, bool) { return t.TokenID(t.roles.pad) }

// BOS returns the id of the token that begins a text, and whether there is one.
func (t *Tokenizer) BOS() (int32, bool) { return t.TokenID(t.roles.bos) }

// Mask returns the id of the token that hides a word in masked language
// modelling, and whether there is one.
func (t *Tokenizer) Mask() (int32, bool) { return t.TokenID(t.roles.mask) }

// CLS returns the id of the token that begins a text for an encoder ("[CLS]"),
// and whether there is one.
func (t *Tokenizer) CLS() (int32, bool) { return t.TokenID(t.roles.cls) }

// SEP returns the id of the token that ends a text for an encoder ("[SEP]"), and
// whether there is one.
func (t *Tokenizer) SEP() (int32, bool) { return t.TokenID(t.roles.sep) }

// Unknown returns the id of the token for what has none, and whether there is
// one.
func (t *Tokenizer) Unknown() (int32, bool) { return max(t.unk, 0), t.unk >= 0 }

// MissingBytes returns the bytes that a byte-level vocabulary has no token for:
// none where it was trained here, but some published ones (SmolLM2's) lack bytes
// that no valid UTF-8 has, and a few control characters. Where they come up in a
// text, the unknown token stands for them, or, if there is none, nothing, as with
// Hugging Face.
func (t *Tokenizer) MissingBytes() []byte {
	var missing []byte
	if t.kind == ByteLevelBPE {
		for b, id := range t.byteID {
			if id < 0 {
				missing = append(missing, byte(b))
			}
		}
	}
	return missing
}

// ChatTemplate returns the Jinja chat template that came with the tokenizer, ""
// for none.
func (t *Tokenizer) ChatTemplate() string { return t.chatTemplate }

// NamedTemplate is a chat template for a purpose, such as "tool_use".
type NamedTemplate struct {
	Name     string `json:"name"`
	Template string `json:"template"`
}

// NamedTemplates returns the chat templates that came with the tokenizer under
// names, as a list in tokenizer_config.json; the one that is called "default" is
// ChatTemplate's.
func (t *Tokenizer) NamedTemplates() []NamedTemplate { return slices.Clone(t.templates) }

// Notes are what the tokenizer's files say and is left out, a line each.
func (t *Tokenizer) Notes() []string { return slices.Clone(t.notes) }

// HasToken reports whether an id stands for a token: within the vocabulary, and no
// hole in it.
func (t *Tokenizer) HasToken(id int32) bool {
	return id >= 0 && int(id) < t.VocabSize() && t.kinds[id] != hole
}

// RoleNames returns the names of the tokens that tokenizer_config.json gives a
// part, by its keys: "bos_token", "eos_token", "unk_token", "pad_token",
// "sep_token", "cls_token" and "mask_token", those that are there. Chat templates
// know them as variables.
func (t *Tokenizer) RoleNames() map[string]string {
	names := make(map[string]string)
	for key, name := range map[string]string{
		"bos_token": t.roles.bos, "eos_token": t.roles.eos, "unk_token": t.roles.unk, "pad_token": t.roles.pad,
		"sep_token": t.roles.sep, "cls_token": t.roles.cls, "mask_token": t.roles.mask,
	} {
		if name != "" {
			names[key] = name
		}
	}
	return names
}

// token is the name of token id; of byte-level BPE, the bytes that it stands for.
func (t *Tokenizer) token(id int32) string {
	return t.arena[t.offsets[id]:t.offsets[id+1]]
}
