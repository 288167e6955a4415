// Package tokenizer turns text into token ids and back, as the tokenizers do that
// published models come with: byte-level BPE (Sennrich, Haddow and Birch, 2016;
// the byte-level form is GPT-2's, Radford et al., 2019) with the pre-tokenizers of
// GPT-2, cl100k, o200k, Llama 3, Qwen and SmolLM2; SentencePiece's BPE and unigram
// models (Kudo and Richardson, 2018) with byte fallback; WordPiece with BERT's
// normalizer (Devlin et al., 2018). It trains byte-level BPE, reads and writes the
// Hugging Face files that carry all of these.
//
// # Terms
//
//   - piece: what the pre-tokenizer cuts a text into (about: a word with the
//     space before it). Merges never cross pieces. See [Pieces].
//   - token: a string of bytes with an id. The ids of a vocabulary are
//     0 … VocabSize()-1; published ones leave some of them out.
//   - merge: two tokens that become one where they stand side by side. Merges
//     are ordered by rank; encoding applies the lowest rank first, the leftmost
//     place first, until none applies.
//   - added token: a token that is matched as a whole and takes no part in
//     cutting. A special token is an added token that marks structure
//     ("<|endoftext|>"). [Tokenizer.Encode] makes no special token out of text, so
//     a user who types "<|im_end|>" gets the tokens of those ten characters; only
//     [Tokenizer.EncodeWithSpecial] and [Tokenizer.EncodeAllowing] do. Added tokens
//     that are not special (runs of spaces, in some vocabularies) are text, and
//     come out of every method.
//   - normalizer, pre-tokenizer, post-processor, decoder: the steps of a
//     tokenizer.json before cutting, at cutting, after encoding (it adds
//     "<s>" or "[CLS]"; see [Tokenizer.Wrap]) and on the way back to text.
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
// # Tokenizers of other origin
//
// [Load] reads a folder's or a file's tokenizer, [Parse] a tokenizer.json, and
// [NewFromParts] makes one of a GGUF file's keys. What these ask for and this
// package does not have is refused by the name of the key.
//
// # What it is not
//
// It runs no regular expressions: a pre-tokenizer's pattern is known by its whole
// text, or refused. It trains no kind but byte-level BPE. It does not write to
// disk; package artifact does. It carries a chat template as text, and knows nothing
// of dialogues; package chat does.
package tokenizer
