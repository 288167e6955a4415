// Package model turns a configuration into Programs: one Transformer whose
// families are configurations of it. Decoders: GPT-2, Llama, Mistral, Qwen2,
// Qwen3, Gemma 3. Encoder: BERT. Each family has a file that reads from top to
// bottom: its parameters, its blocks.
//
// Terms:
//
//   - body: embedding, blocks and final norm: tokens → hidden states.
//   - head: what reads the hidden states: the language model's vocabulary
//     projection, that of a masked language model, a scalar ("score") for
//     reward and value models, or classes.
//   - decoder, encoder: a body whose positions see those before them, or all
//     positions of their text.
//   - parameter: a named array of weights. Names and layouts are those of the
//     Hugging Face checkpoint, so a folder written here opens there.
//   - packed row: several sequences side by side in one row of T tokens, held
//     apart by segment ids, with positions that start again at 0.
//
// Package model does not train, sample or tokenise: it describes models. They come
// from files, and go to them, by package model/file.
package model
