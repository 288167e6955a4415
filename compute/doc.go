// Package compute defines the mathematics of a model once, for every engine.
//
// A [Program] is a list of operators over tensors of fixed shape. It is built
// by calling the operator functions of this package, extended with its
// backward pass by [Gradient], and handed to an [Engine], which compiles it
// against a [Store] of variables and runs it.
//
// Terms:
//
//   - tensor: a value of a Program: an element type, a shape and the node that
//     computes it. A tensor holds no numbers; an engine does.
//   - input: a tensor whose numbers come with each run.
//   - variable: a named array that lives in a Store between runs: weights,
//     gradients, optimizer moments, the KV cache. Several Programs compiled
//     against one Store see the same variables.
//   - output: a tensor whose numbers go back to the caller.
//   - update: the value that a variable takes when the run ends.
//
// Operators are as large as a language model needs ([Attention],
// [LinearCrossEntropy], [AdamW]), so an engine can make each as fast as the
// machine allows; losses are written from small primitives ([Exp], [Min],
// [Sum]), so that they read like the paper's formula. Each operator family is
// one file with its shape rule, its gradient rule, its FLOP count and the
// formula it follows.
//
// # Counting work
//
// FLOPs are the mathematics of a Program, not what an engine does about it: the
// "model FLOPs" of Chowdhery et al. 2022 (PaLM), appendix B. A multiply-add is two.
// A matrix product is counted once on the way forward and twice for its gradients
// (one product by each factor), whatever is computed again on the way back: logits
// and attention scores that an engine did not keep, activations under
// [Program.Recompute]. So the share of a machine's peak that follows from a count
// cannot be raised by doing work twice. Other than there, a causal mask halves
// attention, and element-wise operators count what their formula takes, which is
// under one hundredth of a large model's step.
//
// A count knows shapes, not numbers. Where these leave work out, a Program counts
// too much: segments and windows of attention, positions without a target (which
// package train takes off again).
//
//	p := compute.NewProgram("example")
//	x := p.Input("x", compute.Float32, 8, 16)
//	w := p.Variable("w", 16, 4)
//	loss := compute.Mean(compute.Square(compute.Linear(x, w, nil, false)))
//	p.Output("loss", loss)
//	p.Accumulate("grad/w", compute.Gradient(loss, w)[0])
//
// A Program is built by code, never from a user's file, so a shape that does
// not fit is a programming error: the builders panic with the operator's name
// and the shapes. What a user can get wrong (a configuration, a checkpoint) is
// checked before, by package model.
//
// Package compute knows nothing of machines: engines are compute/cpu and, as
// the oracle, compute/reference.
package compute
