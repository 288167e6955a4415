// Package dataset holds what models are trained on, in the forms in which the
// stages read it, and lays it out as the arrays of a training step.
//
// Terms:
//
//   - Shards are token ids on disk, document after document, each ended by the
//     end token (docs/formats/shards.md). ShardWriter writes, Shards reads.
//   - A Stream cuts shards into rows of T inputs and T targets for pretraining.
//     Row i is a function of the seed and i alone, so a cursor (the number of
//     rows taken) is all there is to resume from.
//   - A dialogue is a chat.Dialogue, a JSON line of messages
//     (docs/formats/dialogues.md). An Example is one as tokens, with the tokens
//     to train on marked.
//   - Packing puts several examples into a row of T positions. Each is a
//     segment with positions of its own; attention that heeds segments keeps
//     them from seeing each other, and no target crosses from one to the next.
//   - A Prompt is what a model is to answer, a Ranking several answers to one in
//     order (docs/formats/rankings.md); a pair is a ranking of two.
//
// Example:
//
//	shards, err := dataset.OpenShards("runs/a/tokens/train")
//	...
//	stream, err := dataset.NewStream(shards, dataset.StreamOptions{T: 256, Seed: 1, Shuffle: true})
//	...
//	err = stream.Batch(uint64(step*B), inputs, targets) // [B×T] each
//
// The package builds no Program (Packed.WalkTexts runs one that it is given) and
// decides nothing about training: which rows make up a step, and what is done with
// them, is the stages' matter.
package dataset
