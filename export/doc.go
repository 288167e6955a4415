// Package export writes a model for the tools of others: as a Hugging Face
// folder or a GGUF file, with a model card and a Modelfile for ollama. What it
// wrote it opens again and compares with the model.
//
// Terms:
//
//   - the source: the model folder (or file) that is exported.
//   - type: how the matrices of weights are stored: f32, f16, bf16, or in GGUF a
//     quantisation by llama.cpp's name (q8_0, q4_k_m), which is a mixture: not all
//     matrices get the same (file.Mixture).
//   - cost: by how much the written model foretells a text worse than the source.
//   - lineage: the stages that made the source, found by following the inputs of
//     their artifact.json.
//
// Example:
//
//	report, err := export.Write(ctx, engine, m, tok, export.Options{
//		Source: "runs/a/ppo", Format: export.GGUF, Type: "q8_0", Out: "model.gguf"})
//
// It is not an archive of a run: optimizer states, metrics and samples stay in
// the stages' folders.
package export
