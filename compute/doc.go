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
