// Package gguf reads and writes GGUF, the one-file format of llama.cpp: a
// model's metadata, its tokenizer and its weights, quantised or not
// (github.com/ggml-org/ggml, docs/gguf.md; the copy of record here is
// docs/formats/gguf.md, which draws the bytes).
//
// # Terms
//
//   - The metadata are key-value pairs ([Entry]): numbers, booleans, strings
//     and arrays of one of these.
//   - A block is what a quantised type stores its elements in: a fixed number
//     of elements of one row, with their scales. [Type.Block] gives both sizes.
//   - The shape of a tensor is row-major here, as everywhere in alma: the last
//     dimension lies together in memory. In the file the order is the reverse.
//
// # Example
//
//	file, err := gguf.Open("model.gguf")
//	...
//	defer file.Close()
//	architecture, err := file.Text("general.architecture")
//	values, err := file.Float32("token_embd.weight")
//
// # What it is not
//
// It does not know what keys and tensors mean, nor which tensor gets which type:
// package model/file maps them to a model. It has no types that need a code book
// (IQ…), nor the 2- and 3-bit ones; a file that holds such a tensor is refused by the
// type's name. It does not memory-map: a file that another program cuts short would
// end the process instead of giving an error.
package gguf
