package reference

import (
	"math"

	"github.com/seed-b72bdb6c/alma/compute"
)

// crossEntropy is lse − logit[target] for each row.
func crossEntropy(c call, o compute.LinearCrossEntropyOp) error {
	losses, lse := c.out[0].f, c.out[1].f
	var bias []float64
	if o.Bias {
		bias = c.in[3].f
	}
	return eachRow(c, o.OutIn, bias, 1, func(r, target int, logits []float64) {
		lse[r] = logSumExp(logits)
		if target >= 0 {
			losses[r] = lse[r] - logits[target]
		}
	})
}

func tokenLogProb(c call, outIn bool, temperature float64) error {
	logProbs, entropies, lse := c.out[0].f, c.out[1].f, c.out[2].f
	return eachRow(c, outIn, nil, temperature, func(r, token int, logits []float64) {
		lse[r] = logSumExp(logits)
		if token < 0 {
			return
		}
		logProbs[r] = logits[token] - lse[r]
		for _, x := range logits {
			p := math.Exp(x - lse[r])
			if p > 0 { // 0·log 0 is 0
				entropies[r] -= p * (x - lse[r])
			}
			if math.IsNaN(p) {
				entropies[r] = p
			}
		}
	})
}

// headGrad is the gradient of sign·log softmax(hidden·W/temperature)[token]
// for each row, weighted by the fifth input: with p = exp(logit − lse) the
// gradient by logit j is sign·(1[j = token] − p[j])/temperature.
func headGrad(c call, outIn, biased bool, temperature, sign float64) error {
	hidden, lse, dy := c.in[0].f, c.in[3].f, c.in[4].f
	w := weight(c.in[1].f, c.shape(1), outIn)
	dw := weight(c.out[1].f, c.shape(1), outIn)
	dhidden := c.out[0].f
	var bias, dbias []float64
	if biased {
		bias, dbias = c.in[5].f, c.out[2].f
	}
	return eachRow(c, outIn, bias, temperature, func(r, token int, logits []float64) {
		if token < 0 {
			return
		}
		for j, x := range logits {
			d := -math.Exp(x - lse[r])
			if j == token {
				d++
			}
			d *= sign * dy[r] / temperature
			if biased {
				dbias[j] += d
			}
			for i := range w.inputs {
				dhidden[r*w.inputs+i] += d * w.data[i*w.k+j*w.n]
				dw.data[i*dw.k+j*dw.n] += d * hidden[r*w.inputs+i]
			}
		}
	})
}

// eachRow calls visit with the logits (hidden·W + bias)/temperature of every
// row; bias may be nil.
func eachRow(c call, outIn bool, bias []float64, temperature float64, visit func(r, token int, logits []float64)) error {
	hidden := c.in[0].f
	w := weight(c.in[1].f, c.shape(1), outIn)
	logits := make([]float64, w.output)
	for r, token := range c.in[2].i {
		if err := index("token", token, r, w.output); err != nil {
			return err
		}
		w.times(logits, hidden[r*w.inputs:(r+1)*w.inputs])
		for j := range logits {
			if bias != nil {
				logits[j] += bias[j]
			}
			logits[j] /= temperature
		}
		visit(r, int(token), logits)
	}
	return nil
}
