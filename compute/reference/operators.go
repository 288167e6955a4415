package reference

import (
	"fmt"
	"math"

	"github.com/seed-b72bdb6c/alma/compute"
)

// call is one node with the numbers of its inputs and outputs. The outputs
// are zero when the loop begins.
type call struct {
	node    *compute.Node
	in, out []value
}

func (c call) shape(input int) compute.Shape { return c.node.Inputs[input].Shape }

// loop computes the outputs of a node.
type loop func(c call) error

// loopOf returns the loop of an operator, nil if there is none.
func loopOf(op compute.Op) loop {
	switch o := op.(type) {
	case compute.EmbeddingOp:
		return embedding
	case compute.EmbeddingGradOp:
		return embeddingGrad
	case compute.LinearOp:
		return func(c call) error { return linear(c, o) }
	case compute.LinearWeightGradOp:
		return func(c call) error { return linearWeightGrad(c, o) }
	case compute.SumRowsOp:
		return sumRows
	case compute.LayerNormOp:
		return func(c call) error { return layerNorm(c, float64(o.Epsilon)) }
	case compute.LayerNormGradOp:
		return layerNormGrad
	case compute.RMSNormOp:
		return func(c call) error { return rmsNorm(c, float64(o.Epsilon)) }
	case compute.RMSNormGradOp:
		return rmsNormGrad
	case compute.GELUOp:
		return elementwise(func(x []float64) float64 { y, _ := gelu(x[0], o.Exact); return y })
	case compute.GELUGradOp:
		return elementwise(func(x []float64) float64 { _, slope := gelu(x[0], o.Exact); return x[1] * slope })
	case compute.SwiGLUOp:
		return elementwise(func(x []float64) float64 { return x[0] * sigmoid(x[0]) * x[1] })
	case compute.SwiGLUGradOp:
		return swiGLUGrad
	case compute.RoPEOp:
		return func(c call) error { return rope(c, o) }
	case compute.AttentionOp:
		return func(c call) error { return attention(c, o) }
	case compute.AttentionGradOp:
		return func(c call) error { return attentionGrad(c, compute.AttentionOp(o)) }
	case compute.CachedAttentionOp:
		return func(c call) error { return cachedAttention(c, o) }
	case compute.LinearCrossEntropyOp:
		return func(c call) error { return crossEntropy(c, o) }
	case compute.LinearCrossEntropyGradOp:
		return func(c call) error { return headGrad(c, o.OutIn, o.Bias, 1, -1) }
	case compute.TokenLogProbOp:
		return func(c call) error { return tokenLogProb(c, o.OutIn, float64(o.Temperature)) }
	case compute.TokenLogProbGradOp:
		return func(c call) error { return headGrad(c, o.OutIn, false, float64(o.Temperature), 1) }
	case compute.GlobalNormOp:
		return globalNorm
	case compute.AdamWOp:
		return func(c call) error { return adamW(c, o) }
	case compute.UnaryOp:
		if f := unary(o.Function); f != nil {
			return elementwise(func(x []float64) float64 { return f(x[0]) })
		}
	case compute.BinaryOp:
		if f := binary(o.Function); f != nil {
			return func(c call) error { return broadcast(c, f) }
		}
	case compute.SelectOp:
		return elementwise(func(x []float64) float64 {
			if x[0] != 0 {
				return x[1]
			}
			return x[2]
		})
	case compute.SumToOp:
		return sumTo
	case compute.FillOp:
		return func(c call) error {
			for i := range c.out[0].f {
				c.out[0].f[i] = float64(o.Value)
			}
			return nil
		}
	case compute.ReshapeOp:
		return func(c call) error {
			copy(c.out[0].f, c.in[0].f)
			copy(c.out[0].i, c.in[0].i)
			return nil
		}
	case compute.SliceOp:
		return func(c call) error {
			slice(c.out[0].f, c.in[0].f, c.shape(0), o)
			slice(c.out[0].i, c.in[0].i, c.shape(0), o)
			return nil
		}
	case compute.ConcatOp:
		return func(c call) error { return concat(c, o.Axis) }
	}
	return nil
}

// index checks a row number that came with the inputs.
func index(what string, id int32, position, limit int) error {
	if int(id) >= limit {
		return fmt.Errorf("%s %d at position %d is not below %d", what, id, position, limit)
	}
	return nil
}

func embedding(c call) error {
	table, ids, y := c.in[0].f, c.in[1].i, c.out[0].f
	rows := c.shape(0)[0]
	width := c.shape(0)[1:].Size()
	for i, id := range ids {
		if err := index("row", id, i, rows); err != nil {
			return err
		}
		if id >= 0 {
			copy(y[i*width:(i+1)*width], table[int(id)*width:])
		}
	}
	return nil
}

func embeddingGrad(c call) error {
	ids, dy, dtable := c.in[0].i, c.in[1].f, c.out[0].f
	rows := c.node.Outputs[0].Shape[0]
	width := len(dtable) / rows
	for i, id := range ids {
		if err := index("row", id, i, rows); err != nil {
			return err
		}
		if id < 0 {
			continue
		}
		for j := range width {
			dtable[int(id)*width+j] += dy[i*width+j]
		}
	}
	return nil
}

// matrix is a weight in either layout: at(k, n) is the factor from input k to
// output n.
type matrix struct {
	data   []float64
	k, n   int // steps between neighbouring inputs and outputs
	inputs int
	output int
}

func weight(data []float64, shape compute.Shape, outIn bool) matrix {
	if outIn {
		return matrix{data, 1, shape[1], shape[1], shape[0]}
	}
	return matrix{data, shape[1], 1, shape[0], shape[1]}
}

// times computes y = x·W for one row.
func (w matrix) times(y, x []float64) {
	for n := range y {
		sum := 0.0
		for k, v := range x {
			sum += v * w.data[k*w.k+n*w.n]
		}
		y[n] = sum
	}
}

func linear(c call, o compute.LinearOp) error {
	x, y := c.in[0].f, c.out[0].f
	w := weight(c.in[1].f, c.shape(1), o.OutIn)
	for r := range len(x) / w.inputs {
		row := y[r*w.output : (r+1)*w.output]
		w.times(row, x[r*w.inputs:(r+1)*w.inputs])
		if o.Bias {
			for n, b := range c.in[2].f {
				row[n] += b
			}
		}
	}
	return nil
}

func linearWeightGrad(c call, o compute.LinearWeightGradOp) error {
	x, dy := c.in[0].f, c.in[1].f
	dw := weight(c.out[0].f, c.node.Outputs[0].Shape, o.OutIn)
	for r := range len(x) / dw.inputs {
		for k := range dw.inputs {
			for n := range dw.output {
				dw.data[k*dw.k+n*dw.n] += x[r*dw.inputs+k] * dy[r*dw.output+n]
			}
		}
	}
	return nil
}

func sumRows(c call) error {
	x, y := c.in[0].f, c.out[0].f
	for i, v := range x {
		y[i%len(y)] += v
	}
	return nil
}

func layerNorm(c call, epsilon float64) error {
	x, gamma, beta := c.in[0].f, c.in[1].f, c.in[2].f
	y, means, rstds := c.out[0].f, c.out[1].f, c.out[2].f
	d := len(gamma)
	for r := range means {
		row := x[r*d : (r+1)*d]
		mean, variance := 0.0, 0.0
		for _, v := range row {
			mean += v / float64(d)
		}
		for _, v := range row {
			variance += (v - mean) * (v - mean) / float64(d)
		}
		rstd := 1 / math.Sqrt(variance+epsilon)
		for i, v := range row {
			y[r*d+i] = (v-mean)*rstd*gamma[i] + beta[i]
		}
		means[r], rstds[r] = mean, rstd
	}
	return nil
}

// With x̂ = (x − mean)·rstd and g = dy·γ, dx = rstd·(g − avg(g) − x̂·avg(g·x̂)).
func layerNormGrad(c call) error {
	x, gamma, means, rstds, dy := c.in[0].f, c.in[1].f, c.in[2].f, c.in[3].f, c.in[4].f
	dx, dgamma, dbeta := c.out[0].f, c.out[1].f, c.out[2].f
	d := len(gamma)
	for r := range means {
		var avg, avgHat float64
		for i := range d {
			hat := (x[r*d+i] - means[r]) * rstds[r]
			g := dy[r*d+i] * gamma[i]
			avg += g / float64(d)
			avgHat += g * hat / float64(d)
			dgamma[i] += dy[r*d+i] * hat
			dbeta[i] += dy[r*d+i]
		}
		for i := range d {
			hat := (x[r*d+i] - means[r]) * rstds[r]
			dx[r*d+i] = rstds[r] * (dy[r*d+i]*gamma[i] - avg - hat*avgHat)
		}
	}
	return nil
}

func rmsNorm(c call, epsilon float64) error {
	x, gamma := c.in[0].f, c.in[1].f
	y, rstds := c.out[0].f, c.out[1].f
	d := len(gamma)
	for r := range rstds {
		square := 0.0
		for _, v := range x[r*d : (r+1)*d] {
			square += v * v / float64(d)
		}
		rstds[r] = 1 / math.Sqrt(square+epsilon)
		for i, g := range gamma {
			y[r*d+i] = x[r*d+i] * rstds[r] * g
		}
	}
	return nil
}

// With x̂ = x·rstd and g = dy·γ, dx = rstd·(g − x̂·avg(g·x̂)).
func rmsNormGrad(c call) error {
	x, gamma, rstds, dy := c.in[0].f, c.in[1].f, c.in[2].f, c.in[3].f
	dx, dgamma := c.out[0].f, c.out[1].f
	d := len(gamma)
	for r, rstd := range rstds {
		avgHat := 0.0
		for i := range d {
			hat := x[r*d+i] * rstd
			avgHat += dy[r*d+i] * gamma[i] * hat / float64(d)
			dgamma[i] += dy[r*d+i] * hat
		}
		for i := range d {
			dx[r*d+i] = rstd * (dy[r*d+i]*gamma[i] - x[r*d+i]*rstd*avgHat)
		}
	}
	return nil
}

// gelu returns the activation and its slope at x.
func gelu(x float64, exact bool) (y, slope float64) {
	if exact {
		phi := 0.5 * (1 + math.Erf(x/math.Sqrt2))
		return x * phi, phi + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
	}
	k := math.Sqrt(2 / math.Pi)
	t := math.Tanh(k * (x + 0.044715*x*x*x))
	return 0.5 * x * (1 + t), 0.5*(1+t) + 0.5*x*(1-t*t)*k*(1+3*0.044715*x*x)
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func swiGLUGrad(c call) error {
	gate, up, dy := c.in[0].f, c.in[1].f, c.in[2].f
	for i, g := range gate {
		s := sigmoid(g)
		c.out[0].f[i] = dy[i] * up[i] * (s + g*s*(1-s))
		c.out[1].f[i] = dy[i] * g * s
	}
	return nil
}

func rope(c call, o compute.RoPEOp) error {
	x, positions, y := c.in[0].f, c.in[1].i, c.out[0].f
	heads := c.shape(0)[len(c.shape(0))-2]
	half := len(o.Frequencies)
	for r, position := range positions {
		if position < 0 {
			return fmt.Errorf("position %d of row %d is negative", position, r)
		}
		for h := range heads {
			at := (r*heads + h) * 2 * half
			for i, f := range o.Frequencies {
				sin, cos := math.Sincos(float64(position) * f)
				if o.Inverse {
					sin = -sin
				}
				a, b := x[at+i], x[at+half+i]
				y[at+i] = a*cos - b*sin
				y[at+half+i] = b*cos + a*sin
			}
		}
	}
	return nil
}

// globalNorm lets any NaN or infinity through.
func globalNorm(c call) error {
	sum := 0.0
	for _, in := range c.in {
		for _, v := range in.f {
			sum += v * v
		}
	}
	c.out[0].f[0] = math.Sqrt(sum)
	return nil
}

func adamW(c call, o compute.AdamWOp) error {
	w, g, m, v := c.in[0].f, c.in[1].f, c.in[2].f, c.in[3].f
	lr, scale, c1, c2 := c.in[4].f[0], c.in[5].f[0], c.in[6].f[0], c.in[7].f[0]
	beta1, beta2 := float64(o.Beta1), float64(o.Beta2)
	epsilon, decay := float64(o.Epsilon), float64(o.Decay)
	for i := range w {
		grad := scale * g[i]
		decayed := w[i] - lr*decay*w[i]
		m1 := beta1*m[i] + (1-beta1)*grad
		v1 := beta2*v[i] + (1-beta2)*grad*grad
		c.out[0].f[i] = decayed - lr/c1*m1/(math.Sqrt(v1)/math.Sqrt(c2)+epsilon)
		c.out[1].f[i] = m1
		c.out[2].f[i] = v1
	}
	return nil
}
