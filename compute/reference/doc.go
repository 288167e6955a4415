// Package reference runs Programs in plain loops over float64: the oracle that
// every other engine is held against.
//
// Each operator is written as its formula reads, one after the other, on one
// thread and without tiling, fusion or reuse of memory. Numbers are float32
// where [compute.Engine] has them (buffers, [compute.Store] Read and Write) and
// float64 everywhere else: between operators and, in the Store, between runs.
// [Store.Float64] and [Executable.Float64] reach the doubles, which makes
// gradients checkable by finite differences to six digits and more.
//
// It is meant for tests and self-tests, and is not fast: enough for models of
// some hundred thousand parameters.
package reference
