package cpu

import (
	"fmt"

	"github.com/seed-b72bdb6c/alma/compute"
)

// lower appends the step of a node.
func (c *compiler) lower(n *compute.Node) error {
	switch o := n.Op.(type) {
	case compute.Source, compute.ReshapeOp:
		// A source has its numbers already, a reshaped tensor its input's.
	case compute.EmbeddingOp:
		c.embedding(n)
	case compute.EmbeddingGradOp:
		c.embeddingGrad(n)
	case compute.LinearOp:
		c.linear(n, o)
	case compute.LinearWeightGradOp:
		c.linearWeightGrad(n, o)
	case compute.SumRowsOp:
		c.sumRows(n)
	case compute.LayerNormOp:
		c.layerNorm(n, o)
	case compute.LayerNormGradOp:
		c.layerNormGrad(n)
	case compute.RMSNormOp:
		c.rmsNorm(n, o)
	case compute.RMSNormGradOp:
		c.rmsNormGrad(n)
	case compute.GELUOp:
		c.gelu(n, o)
	case compute.GELUGradOp:
		c.geluGrad(n, o)
	case compute.SwiGLUOp:
		c.swiGLU(n)
	case compute.SwiGLUGradOp:
		c.swiGLUGrad(n)
	case compute.RoPEOp:
		c.rope(n, o)
	case compute.AttentionOp:
		c.attention(n, o)
	case compute.AttentionGradOp:
		c.attentionGrad(n, compute.AttentionOp(o))
	case compute.CachedAttentionOp:
		c.cachedAttention(n, o)
	case compute.LinearCrossEntropyOp:
		c.crossEntropy(n, o)
	case compute.LinearCrossEntropyGradOp:
		c.crossEntropyGrad(n, o)
	case compute.TokenLogProbOp:
		c.tokenLogProb(n, o)
	case compute.TokenLogProbGradOp:
		c.tokenLogProbGrad(n, o)
	case compute.GlobalNormOp:
		c.globalNorm(n)
	case compute.AdamWOp:
		c.adamW(n, o)
	case compute.UnaryOp:
		return c.unary(n, o)
	case compute.BinaryOp:
		if c.sumLater(n) {
			return nil
		}
		return c.binary(n, o)
	case compute.SelectOp:
		c.selectOp(n)
	case compute.SumToOp:
		c.sumTo(n)
	case compute.FillOp:
		c.fill(n, o)
	case compute.SliceOp:
		c.slice(n, o)
	case compute.ConcatOp:
		c.concat(n, o)
	default:
		return fmt.Errorf("the cpu engine does not know this operator (%T)", n.Op)
	}
	return nil
}
