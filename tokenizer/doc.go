// Package tokenizer turns text into token ids and back: byte-level BPE
// (Sennrich, Haddow and Birch, 2016; the byte-level form is GPT-2's, Radford et
// al., 2019), its training, the Hugging Face files that carry it, and the
// ChatML form of dialogues.
//
// # Terms
//
//   - piece: what the pre-tokenizer cuts a text into (about: a word with the
//     space before it). Merges never cross pieces. See [Pieces].
//   - token: a string of bytes with an id. The ids of a vocabulary are
//     0 … VocabSize()-1, without holes.
//   - merge: two tokens that become one where they stand side by side. Merges
//     are ordered by rank; encoding applies the lowest rank first, the leftmost
//     place first, until none applies.
//   - added token: a token that is matched as a whole and takes no part in
//     merges. A special token is an added token that marks structure
//     ("<|endoftext|>"). No method but [Tokenizer.EncodeWithSpecial] makes an
//     added token out of text, so a user who types "<|im_end|>" gets the bytes
//     of those ten characters.
//
// # Vocabularies trained here
//
// The special tokens come first, in the order given: "<|endoftext|>" is 0,
// "<|im_start|>" 1, "<|im_end|>" 2 and "<|pad|>" 3. Then the 256 bytes in
// GPT-2's order ("!" first), then one token a merge. So the special ids do not
// depend on the size of the vocabulary.
//
//	t, _, err := tokenizer.Train(ctx, docs, tokenizer.Options{VocabSize: 2048})
//	ids := t.Encode("func main() {}")
//	text, err := t.Decode(ids) // "func main() {}"
//	files, err := t.Files()    // tokenizer.json and its neighbours
//
// # What it is not
//
// It has no normalizers, no WordPiece or Unigram model and no pre-tokenizer but
// GPT-2's: a tokenizer.json that asks for one is refused by name. It does not
// write to disk; package artifact does. It does not run Jinja: it renders
// dialogues in ChatML only and carries another model's chat template as text.
package tokenizer
