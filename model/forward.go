package model

import (
	"fmt"

	"github.com/seed-b72bdb6c/alma/compute"
)

// Batch holds the inputs of a body for B rows of T packed tokens, each i32
// [B, T].
type Batch struct {
	Tokens    *compute.Tensor // token ids
	Positions *compute.Tensor // position of each token in its sequence
	Segments  *compute.Tensor // sequence of each token in its row, −1 padding
	Types     *compute.Tensor // token type (BERT's first or second sentence); nil where the family has none
}

// NewBatch declares the inputs "tokens", "positions" and "segments", and
// "types" where the family has token types.
func (c Config) NewBatch(p *compute.Program, b, t int) Batch {
	in := Batch{
		Tokens:    p.Input("tokens", compute.Int32, b, t),
		Positions: p.Input("positions", compute.Int32, b, t),
		Segments:  p.Input("segments", compute.Int32, b, t),
	}
	if c.Types > 0 {
		in.Types = p.Input("types", compute.Int32, b, t)
	}
	return in
}

// Hidden builds the body: the hidden states [B·T, D] behind the last norm.
// A position sees its own segment, a decoder's only what stands before it.
// Padding is seen by none, and what stands at it means nothing.
func (c Config) Hidden(p *compute.Program, in Batch) *compute.Tensor {
	return c.hidden(p, in, func(layer int, q, k, v *compute.Tensor) *compute.Tensor {
		return compute.Attention(q, k, v, in.Segments, compute.AttentionOp{
			Scale: c.attentionScale(layer), Causal: !c.Family.Encoder(), Window: c.windowOf(layer),
		})
	})
}

func (c Config) hidden(p *compute.Program, in Batch, attend attendFunc) *compute.Tensor {
	x := c.Family.architecture().blocks(builder{c, p, c.Adapter}, in, attend)
	return compute.Reshape(x, x.Shape.Rows(), c.Width)
}

// Step holds the inputs of a decoding step for R rows of C new tokens: tokens
// and positions are i32 [R, C]; slots, starts and counts are i32 [R] (see
// [compute.CachedAttention]).
type Step struct {
	Tokens, Positions, Slots, Starts, Counts *compute.Tensor
}

// NewStep declares the inputs "tokens", "positions", "slots", "starts" and
// "counts".
func NewStep(p *compute.Program, rows, chunk int) Step {
	return Step{
		Tokens:    p.Input("tokens", compute.Int32, rows, chunk),
		Positions: p.Input("positions", compute.Int32, rows, chunk),
		Slots:     p.Input("slots", compute.Int32, rows),
		Starts:    p.Input("starts", compute.Int32, rows),
		Counts:    p.Input("counts", compute.Int32, rows),
	}
}

// CacheNames names the key and value cache of a layer.
func CacheNames(layer int) (keys, values string) {
	return fmt.Sprintf("cache.%d.keys", layer), fmt.Sprintf("cache.%d.values", layer)
}

// DefineCache adds a KV cache for slots sequences of length positions to a
// Store, 2·Layers·slots·length·KVHeads·HeadDim floats.
func (c Config) DefineCache(s compute.Store, slots, length int) error {
	for i := range c.Layers {
		keys, values := CacheNames(i)
		for _, name := range []string{keys, values} {
			if err := s.Define(name, slots, length, c.KVHeads, c.HeadDim); err != nil {
				return err
			}
		}
	}
	return nil
}

// CachedHidden builds a decoder's body against a cache of slots sequences of
// length positions: the hidden states [R·C, D].
func (c Config) CachedHidden(p *compute.Program, in Step, slots, length int) *compute.Tensor {
	if c.Family.Encoder() {
		panic(fmt.Sprintf("model: %s is an encoder and does not decode", c.Family))
	}
	return c.hidden(p, Batch{Tokens: in.Tokens, Positions: in.Positions}, func(layer int, q, k, v *compute.Tensor) *compute.Tensor {
		keys, values := CacheNames(layer)
		return compute.CachedAttention(q, k, v,
			p.Variable(keys, slots, length, c.KVHeads, c.HeadDim),
			p.Variable(values, slots, length, c.KVHeads, c.HeadDim),
			in.Slots, in.Starts, in.Counts, compute.CachedAttentionOp{Scale: c.attentionScale(layer), Window: c.windowOf(layer)})
	})
}
