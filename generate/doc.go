// Package generate samples from a language model with a KV cache.
//
// Terms:
//
//   - request: a prompt to continue, with a sample number.
//   - slot: a place in the KV cache. Requests are taken in order; when one
//     ends, its slot goes to the next (continuous batching), so a batch of
//     rollouts does not wait for its longest text.
//   - prefill: running a prompt through the model in chunks, before the first
//     new token. How many prompts go together, and how many tokens of each, is
//     chosen by what there is to read.
//   - kept: what a slot's cache holds behind its text, from which a later prompt
//     that begins the same goes on, if [Generator.Keep] asks for it.
//
// What is sampled for a request is a function of the model, the sampling
// settings, the seed, the prompt and the sample number alone: every random
// number is drawn by the counter (seed, prompt and sample, position), and the
// engine computes each row independently of the others. So neither the number
// of slots, nor the order of the requests, nor what else is in the batch
// changes a single token.
//
// Package generate works on token ids; text belongs to package tokenizer.
package generate
