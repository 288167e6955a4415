// Package evaluate measures language models: several beside each other, as a stage
// (Stage), their perplexity on a text, what a change of a model costs of it
// (MeasureCost), and one against what PyTorch computed of it (Replay).
//
// Terms:
//
//   - first: the first of the models, against which the later ones are held.
//   - system: a model at a temperature, or the people whose answers are given.
//   - judge: a reward model or a rule, which gives every answer a number.
//   - win: an answer with a larger number than the other system's to the same
//     prompt; equal numbers are half a win for each.
//   - KL: the mean of log π(y|x)/π₀(y|x) over a model's own samples y at
//     temperature 1, in nats a response; π₀ is the first model.
package evaluate
