// Package file is the doors of package model: models read from files of others'
// formats, and written to them.
//
//	m, err := file.Load(engine, "SmolLM2-135M") // a folder, or a GGUF file
//	tok, err := file.LoadTokenizer("SmolLM2-135M")
//	files, err := file.Files(m, ends, 1)        // a folder's, to be written
//
// # Formats
//
//   - Hugging Face's folder: config.json (config.go has the rules, a file for each
//     family its keys) and model.safetensors (folder.go, weights.go).
//   - PEFT's folder of a low-rank adapter (peft.go, peft_config.go, peft_merge.go).
//   - llama.cpp's GGUF. A path that names a file instead of a folder is one. Its
//     metadata are read as a config.json (gguf_config.go), its tensors are renamed
//     and put back into the checkpoint's layout (gguf.go), and its tokenizer comes
//     with it. [WriteGGUF] writes one.
//
// The doors refuse, by the key's name, what a file asks and package model does not
// compute.
//
// # What it is not
//
// The formats' bytes are read and written by packages artifact and artifact/gguf;
// what a model computes is package model's matter.
package file
