// Package cpu is the default engine: it runs Programs on the cores of this
// machine, with the kernels of package kernel.
//
// Compiling turns a Program into a list of steps. Each live node becomes one
// step; Reshape becomes none. The plan decides where every tensor's numbers
// lie:
//
//   - storage: the array behind one or more tensors. A reshaped tensor shares
//     its input's storage, and an elementwise operator takes over the storage
//     of an input that nobody reads afterwards.
//   - arena: one array for all the tensors between inputs and outputs. Two
//     storages overlap in it when their lifetimes do not. All executables of an
//     engine use the same arena, which is as large as the largest asks for.
//   - placement: an update computed straight into its variable, because no node
//     reads the variable's old value later. An accumulated update is placed by
//     adding each partial sum to the variable. What cannot be placed is copied
//     when the run ends.
//   - panels: a weight in the order in which the matrix kernels read it. The
//     panels of a variable are kept beside it and packed again only after a
//     write. A Program that computes gradients, after which weights change,
//     packs them as it multiplies where a product has many rows (fresh).
//   - epilogue: an elementwise operator that runs with the product that it
//     reads, part by part while it is in the cache.
//   - view: columns of a tensor that attention reads or writes in place, such
//     as the queries in a fused projection.
//   - settled: a variable whose memory holds its numbers. One that was cleared
//     is only marked, until someone reads it or adds to it.
//   - rows: a variable of which only some rows have memory (rowForm), the
//     gradient of an embedding. It is joined for whoever needs it in one piece.
//   - precision: of matrix products and attention, float32 or bfloat16 with
//     sums in float32 (see [Precision]). Everything else is float32.
//
// Running a step hands a job to the pool: a number of tasks, each of which
// writes outputs of its own. Workers take the tasks in turn, the calling
// goroutine among them. Which worker runs a task changes no bit of the result:
// where a sum crosses tasks, its pieces are fixed by the shapes and added in
// order. Gradients of weights add whole sequences in order (see
// [compute.LinearWeightGradOp]), so that accumulating two micro-batches gives
// the bits of one batch, as long as a sequence lies in one of them.
//
// Package cpu does not choose what to compute, and what it fuses has the bits of
// the operators one by one. It makes no promise of equal bits between
// the instruction sets of package kernel.
package cpu
