// Package artifact is how stages of a model's life meet: through folders and
// files that are whole or absent, whose content is known by its hash, and
// that say what they were made from.
//
// # Terms
//
//   - A durable write goes to a temporary name beside its target, is synced,
//     renamed over the target, and the folder is synced. After a crash the
//     target holds the old bytes or the new ones, never a mixture.
//   - A run folder holds one folder per stage. One process works in it at a
//     time ([Lock], [MakeAndLock]).
//   - A stage folder is what one stage wrote. It is complete only when its
//     artifact.json ([Manifest]) exists, because that file is written last.
//   - A checkpoint is a folder step-NNNNNNNN whose checkpoint.json, written
//     last, carries the size and SHA-256 of every other file.
//   - A fingerprint is a hash of a stage's kind, its resolved configuration
//     and the hashes of its inputs: equal fingerprints mean that the stage
//     need not run again.
//   - A failpoint is a named place before or after a durable step where a
//     test can kill the process or make the step fail.
//   - A kind of error ([Kind]) decides the exit code of the program.
//
// # Example
//
//	lock, err := artifact.Lock("runs/a")
//	...
//	defer lock.Unlock()
//	stage, err := artifact.Begin("runs/a/tokenizer", "tokenizer", config)
//	...
//	err = stage.AddInput("corpus", "runs/a/corpus")
//	...
//	err = artifact.WriteFile(stage.Path("tokenizer.json"), data)
//	...
//	manifest, err := stage.Finish("tokenizer.json")
//
// # What it is not
//
// It knows nothing of models, tokens or training: the names and contents of
// the files are their owners' business. It is not a database and offers no
// transaction over several files other than a folder that is renamed as a
// whole.
//
// The layouts of the files are drawn in docs/formats: artifact.md,
// checkpoint.md and safetensors.md.
package artifact
