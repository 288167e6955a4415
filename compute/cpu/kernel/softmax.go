package kernel

import (
	"fmt"
	"math"
)

// rowStats returns the maximum of c·row, Σ exp(c·row − max) and, when asked
// for, Σ t·exp(t) with t = c·row − max. Pieces of chunkLen are added in order
// in float64.
func rowStats(row []float32, c float32, moment bool) (top float32, sum, mom float64) {
	top = float32(math.Inf(-1))
	for i := 0; i < len(row); i += chunkLen {
		top = max(top, vec().max(row[i:min(i+chunkLen, len(row))]))
	}
	top *= c
	for i := 0; i < len(row); i += chunkLen {
		piece := row[i:min(i+chunkLen, len(row))]
		if moment {
			s, m := vec().expMoment(piece, c, top)
			sum += float64(s)
			mom += float64(m)
		} else {
			sum += float64(vec().expSum(piece, c, top))
		}
	}
	return top, sum, mom
}

// SoftmaxStats returns the largest logit of row and Σ exp(row[i] − largest).
// A NaN or +Inf in the row, or a row of −Inf alone, makes the sum NaN.
func SoftmaxStats(row []float32) (largest, sumExp float32) {
	top, sum, _ := rowStats(row, 1, false)
	return top, float32(sum)
}

// CrossEntropyRow returns the loss −log softmax(row)[target] in nats and the
// logarithm of Σ exp(row), which CrossEntropyGradRow takes. It panics when
// target is not an index of row.
func CrossEntropyRow(row []float32, target int) (loss, lse float32) {
	top, sum, _ := rowStats(row, 1, false)
	l := math.Log(sum)
	return float32(l + (float64(top) - float64(row[target]))), float32(float64(top) + l)
}

// CrossEntropyGradRow replaces the logits in row by the gradient of
// scale·CrossEntropyRow, (softmax − onehot(target))·scale.
func CrossEntropyGradRow(row []float32, target int, lse, scale float32) {
	expScale(row, 1, lse, scale)
	row[target] -= scale
}

// LogProbRow returns log softmax(row/temperature)[token], the entropy of that
// distribution, both in nats, and the logarithm of Σ exp(row/temperature),
// which LogProbGradRow takes. Logits of −Inf stand for excluded tokens and add
// nothing to the entropy. It panics when temperature is not positive.
func LogProbRow(row []float32, token int, temperature float32) (logprob, entropy, lse float32) {
	c := inverse("LogProbRow", temperature)
	top, sum, mom := rowStats(row, c, true)
	l := math.Log(sum)
	z := float64(row[token]) * float64(c)
	return float32(z - float64(top) - l), float32(l - mom/sum), float32(float64(top) + l)
}

// LogProbGradRow replaces the logits in row by the gradient of
// scale·LogProbRow's logprob: (onehot(token) − softmax(row/temperature)) ·
// scale/temperature.
func LogProbGradRow(row []float32, token int, lse, temperature, scale float32) {
	c := inverse("LogProbGradRow", temperature)
	expScale(row, c, lse, -scale*c)
	row[token] += scale * c
}

func inverse(op string, temperature float32) float32 {
	if !(temperature > 0) {
		panic(fmt.Sprintf("kernel: %s: temperature %v is not positive", op, temperature))
	}
	return 1 / temperature
}

// expScale sets row[i] = exp(c·row[i] − sub)·scale.
func expScale(row []float32, c, sub, scale float32) {
	for i := 0; i < len(row); i += chunkLen {
		vec().expScale(row[i:min(i+chunkLen, len(row))], c, sub, scale)
	}
}

// maxPortable passes over NaN: the sum of exponentials carries it on.
func maxPortable(x []float32) float32 {
	top := float32(math.Inf(-1))
	for _, v := range x {
		if v > top {
			top = v
		}
	}
	return top
}

func expSumPortable(x []float32, c, sub float32) float32 {
	var l lanes
	for i, v := range x {
		l[laneOf(i, len(x))] += exp32(float32(v*c) - sub)
	}
	return l.total()
}

// momentFloor stands for every t below it in Σ t·eᵗ, where eᵗ is 0 in float32
// and t may be −Inf.
const momentFloor = -200

func expMomentPortable(x []float32, c, sub float32) (sum, moment float32) {
	var l, m lanes
	for i, v := range x {
		t := float32(v*c) - sub
		if t < momentFloor {
			t = momentFloor
		}
		e := exp32(t)
		at := laneOf(i, len(x))
		l[at] += e
		m[at] += float32(e * t)
	}
	return l.total(), m.total()
}

func expScalePortable(x []float32, c, sub, scale float32) {
	for i, v := range x {
		x[i] = exp32(float32(v*c)-sub) * scale
	}
}
