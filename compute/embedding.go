package compute

// EmbeddingOp looks rows up in a table: y[i] = table[ids[i]], and zeros where
// the id is negative.
type EmbeddingOp struct{}

// Embedding returns the rows of table [V, ...] named by ids [...]: the shape
// of ids followed by the shape of a row. Ids must be below V; a negative id
// gives zeros and receives no gradient.
func Embedding(table, ids *Tensor) *Tensor {
	return apply(EmbeddingOp{}, table, ids)[0]
}

// GatherRows returns rows of x [N, ...] by number, the same operation as
// [Embedding]: with it a head is computed only at the positions that a loss
// reads.
func GatherRows(x, rows *Tensor) *Tensor { return Embedding(x, rows) }

func (EmbeddingOp) Kind() string { return "embedding" }

func (EmbeddingOp) Infer(in []Type) []Type {
	if len(in[0].Shape) < 1 || in[0].DType != Float32 || in[1].DType != Int32 {
		badShape("embedding", "table f32 [V, ...] and ids i32", in)
	}
	return []Type{{Float32, append(append(Shape{}, in[1].Shape...), in[0].Shape[1:]...)}}
}

func (EmbeddingOp) Gradient(n *Node, dOut []*Tensor) []*Tensor {
	rows := n.Inputs[0].Shape[0]
	return []*Tensor{apply(EmbeddingGradOp{rows}, n.Inputs[1], dOut[0])[0], nil}
}

func (EmbeddingOp) FLOPs(n *Node) int64 { return 0 }

// EmbeddingGradOp adds the rows of dy to the rows of a zero table [Rows, ...]
// that ids name, in the order of ids.
type EmbeddingGradOp struct{ Rows int }

func (EmbeddingGradOp) Kind() string { return "embedding.grad" }

func (o EmbeddingGradOp) Infer(in []Type) []Type {
	ids, dy := in[0].Shape, in[1].Shape
	return []Type{{Float32, append(Shape{o.Rows}, dy[len(ids):]...)}}
}

func (o EmbeddingGradOp) Gradient(*Node, []*Tensor) []*Tensor { return noGradient(o) }
func (EmbeddingGradOp) FLOPs(n *Node) int64                   { return int64(n.Inputs[1].Shape.Size()) }
