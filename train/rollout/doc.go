// Package rollout is what algorithms share that learn from a model's own answers:
// sampling them, scoring them, measuring them by several models, and laying them
// out in micro-batches.
//
// Terms:
//
//   - text: an answer as it was sampled, with its prompt, for a [Reward].
//
//   - sequence: an answer with what an update needs of it.
//
//   - rollout: the sequences of an iteration.
//
//   - pass: a Program that sees packed rows of whole sequences.
//
//     s := &rollout.Sampler{Prompts: prompts, Reward: reward, Order: "ppo prompts", Sampling: sampling}
//     err := s.Use(policy, slots, shape.T)
//     sequences, flops, err := s.Sample(ctx, iteration, 128)
//     flops, err = rollout.Measure(ctx, sequences, shape, readings...)
//     batches, err := rollout.Split(sequences, which, shape)
//
// What a token of an answer is worth, and the losses, are the algorithm's own
// (train/ppo).
package rollout
