package kernel

import "math"

// portable is the implementation in plain Go: the only one on machines
// without AVX2, and what the assembly is tested against. Products are rounded
// before they are added (float32(x*y) + z), or the compiler could fuse them
// on some machines and not on others.
var portable = vectorKernels{
	add:       addPortable,
	mul:       mulPortable,
	scale:     scalePortable,
	addScaled: addScaledPortable,
	sumRows:   sumRowsPortable,
	sum:       sumPortable,
	dot:       dotPortable,
	sumSquare: sumSquarePortable,

	exp:         expPortable,
	sigmoid:     sigmoidPortable,
	gelu:        geluPortable,
	geluGrad:    geluGradPortable,
	siluMul:     siluMulPortable,
	siluMulGrad: siluMulGradPortable,

	sumDiffSquares:  sumDiffSquaresPortable,
	normalize:       normalizePortable,
	normalizeRMS:    normalizeRMSPortable,
	normGradSums:    normGradSumsPortable,
	normGrad:        normGradPortable,
	normGradSumsRMS: normGradSumsRMSPortable,
	normGradRMS:     normGradRMSPortable,

	max:       maxPortable,
	expSum:    expSumPortable,
	expMoment: expMomentPortable,
	expScale:  expScalePortable,

	adamW:  adamWPortable,
	rotate: rotatePortable,

	attentionKernels: attentionKernels{
		tileSet:     tileSetPortable,
		tileAdd:     tileAddPortable,
		tileRescale: tileRescalePortable,
		transpose8:  transpose8Portable,
		softmaxTile: softmaxTilePortable,
		gradTile:    gradTilePortable,
		scaleRows:   scaleRowsPortable,
		keyDots:     keyDotsPortable,
		valueSum:    valueSumPortable,
		keyDots3:    keyDots3Portable,
		valueSum3:   valueSum3Portable,
	},
}

func addPortable(dst, a, b []float32) {
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

func mulPortable(dst, a, b []float32) {
	for i := range dst {
		dst[i] = a[i] * b[i]
	}
}

func scalePortable(dst, x []float32, s float32) {
	for i := range dst {
		dst[i] = s * x[i]
	}
}

func addScaledPortable(dst, x []float32, s float32) {
	for i := range dst {
		dst[i] += float32(s * x[i])
	}
}

func sumRowsPortable(dst, x []float32, stride, rows int) {
	for r := range rows {
		row := x[r*stride : r*stride+len(dst)]
		for j, v := range row {
			dst[j] += v
		}
	}
}

// lanes holds the 32 partial sums of a reduction: four vectors of eight.
// Whole groups of 32 elements go to their own lanes; what is left over goes to
// the first eight.
type lanes [32]float32

// total adds the lanes in the tree that the assembly uses.
func (l *lanes) total() float32 {
	var v [8]float32
	for i := range v {
		v[i] = (l[i] + l[8+i]) + (l[16+i] + l[24+i])
	}
	for i := range 4 {
		v[i] += v[4+i]
	}
	return (v[0] + v[2]) + (v[1] + v[3])
}

// laneOf returns the lane of element i of n.
func laneOf(i, n int) int {
	if i < n&^31 {
		return i & 31
	}
	return i & 7
}

func sumPortable(x []float32) float32 {
	var l lanes
	for i, v := range x {
		l[laneOf(i, len(x))] += v
	}
	return l.total()
}

func dotPortable(x, y []float32) float32 {
	var l lanes
	for i, v := range x {
		l[laneOf(i, len(x))] += float32(v * y[i])
	}
	return l.total()
}

func sumSquarePortable(x []float32) float64 {
	var l [16]float64
	whole := len(x) &^ 15
	for i, v := range x {
		d := float64(v)
		if i < whole {
			l[i&15] += d * d
		} else {
			l[i&3] += d * d
		}
	}
	var v [4]float64
	for i := range v {
		v[i] = (l[i] + l[4+i]) + (l[8+i] + l[12+i])
	}
	return (v[0] + v[2]) + (v[1] + v[3])
}

func exp32(x float32) float32 { return float32(math.Exp(float64(x))) }

func sigmoid32(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }

func expPortable(dst, x []float32) {
	for i, v := range x {
		dst[i] = exp32(v)
	}
}

func sigmoidPortable(dst, x []float32) {
	for i, v := range x {
		dst[i] = sigmoid32(v)
	}
}

func geluPortable(dst, x []float32) {
	for i, v := range x {
		z := float64(v)
		dst[i] = float32(z / (1 + math.Exp(-geluTwoRoot*(z+geluCubic*z*z*z))))
	}
}

func geluGradPortable(dx, x, dy []float32) {
	for i, v := range x {
		z := math.Max(-geluFlat, math.Min(geluFlat, float64(v)))
		s := 1 / (1 + math.Exp(-geluTwoRoot*(z+geluCubic*z*z*z)))
		dx[i] = dy[i] * float32(s+z*s*(1-s)*geluTwoRoot*(1+3*geluCubic*z*z))
	}
}

func siluMulPortable(dst, gate, up []float32) {
	for i, v := range gate {
		z := float64(v)
		dst[i] = float32(z/(1+math.Exp(-z))) * up[i]
	}
}

func siluMulGradPortable(dgate, dup, gate, up, dy []float32) {
	for i, v := range gate {
		z, d, u := float64(v), dy[i], up[i]
		s := 1 / (1 + math.Exp(-z))
		dgate[i] = d * u * float32(s+z*s*(1-s))
		dup[i] = d * float32(z*s)
	}
}
