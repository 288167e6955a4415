package compute

import "context"

// Engine compiles Programs for a machine.
type Engine interface {
	// Name is what a run records: "cpu avx2", "reference".
	Name() string
	// NewStore returns an empty Store on this engine's device.
	NewStore() Store
	// Compile prepares a Program to run against the variables of a Store.
	// A variable that the Store lacks, or holds in another shape, is an error
	// that names it.
	Compile(p *Program, s Store) (Executable, error)
}

// Store holds the named float32 arrays that live between runs. It is not safe
// for use while a Program compiled against it runs.
type Store interface {
	// Define adds an array of zeros. Defining a name again with the same
	// shape does nothing, with another shape is an error.
	Define(name string, shape ...int) error
	// Shape returns the shape of an array, false if there is none.
	Shape(name string) (Shape, bool)
	// Names lists the arrays in the order of their definition.
	Names() []string
	// Read copies an array into dst, whose length must be the array's size.
	Read(name string, dst []float32) error
	// Write copies src into an array, whose size must be src's length.
	Write(name string, src []float32) error
}

// Executable is a compiled Program. The caller fills the input buffers, calls
// Run and reads the output buffers, which stay valid until the next Run.
type Executable interface {
	// Floats returns the host buffer of a Float32 input or output.
	// It panics when the Program has none of that name.
	Floats(name string) []float32
	// Ints returns the host buffer of an Int32 input.
	Ints(name string) []int32
	// Run runs the Program once. An index that is out of range in the inputs
	// is an error that names the operator.
	Run() error
	// FLOPs is the Program's count for one run.
	FLOPs() int64
}

// RunUntil runs a Program once, as Run does, and gives up soon after ctx ends: it then
// returns ctx's cause, and what the Program updates holds numbers of no use. So it is
// for what is done again, such as gradients, and not for weights. An engine that can
// stop within a run has a method RunUntil; another is asked before it begins.
func RunUntil(ctx context.Context, x Executable) error {
	if s, ok := x.(interface{ RunUntil(context.Context) error }); ok {
		return s.RunUntil(ctx)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return x.Run()
}
