// Package computetest is the one suite that every engine of package compute
// passes. An engine's own tests call it:
//
//	func TestEngine(t *testing.T) {
//		computetest.Run(t, func(threads int) compute.Engine { return cpu.New(cpu.Options{Threads: threads}) })
//	}
//
// A case is a small Program with the numbers it runs on: an operator on odd
// shapes with all of its gradients, or a whole transformer. Its outputs and
// the variables that it leaves are held against compute/reference, bit for bit
// against themselves on other numbers of threads, and bit for bit against the
// same rows in other company where an operator promises that.
//
// The gradient rules themselves are no engine's affair: the tests of this
// package check them against central differences on compute/reference.
//
// Nothing here measures speed.
package computetest
