// Package train holds what every training stage shares: the language-model
// loss, the optimizer, learning-rate schedules, the step loop with its finite
// check, checkpoints and resume, metrics and progress.
//
// Terms:
//
//   - step: one update of the weights by the optimizer.
//   - micro-batch: the rows that go through the engine at one time. A step
//     accumulates the gradients of several micro-batches, each scaled by the
//     token count of the whole step, so that the split changes no bit.
//   - state: everything that a checkpoint must hold for a resumed run to
//     continue with the same bits.
//
// [Trainer] is the scaffold of a stage: it opens the model, adapts it, gives it an
// optimizer, takes the algorithm through its steps ([Loop]), and saves.
//
// The stages themselves (train/pretrain, train/sft, train/classify, train/reward,
// train/ppo) are children of this package; each reads top to bottom in its paper's names.
package train
