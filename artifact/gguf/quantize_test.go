package gguf_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/artifact/gguf"
)

var quantized = []gguf.Type{gguf.Q8_0, gguf.Q4_0, gguf.Q4_1, gguf.Q5_0, gguf.Q5_1, gguf.Q4_K, gguf.Q5_K, gguf.Q6_K}

// rows are the golden rows of 256 values.
func rows(t *testing.T) ([]float32, *artifact.SafetensorsFile) {
	t.Helper()
	f, err := artifact.ReadSafetensors("testdata/quantized.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	values, err := f.Float32("values")
	if err != nil {
		t.Fatal(err)
	}
	return values, f
}

// squares is the sum of squared differences.
func squares(a, b []float32) (sum float64) {
	for i := range a {
		d := float64(a[i]) - float64(b[i])
		sum += d * d
	}
	return sum
}

func TestQuantizedValuesAreAtLeastAsNearAsLlamaCpps(t *testing.T) {
	values, golden := rows(t)
	for _, kind := range quantized {
		theirs, err := golden.Raw(kind.String())
		if err != nil {
			t.Fatal(err)
		}
		blocks, err := gguf.Quantize(kind, values)
		if err != nil {
			t.Fatal(err)
		}
		ours, reference := gguf.Dequantize(kind, blocks), gguf.Dequantize(kind, theirs)
		var share float64 // of the reference's error, mean over ordinary weights
		for row := 0; row < len(values); row += 256 {
			x := values[row:][:256]
			a, b := squares(ours[row:][:256], x), squares(reference[row:][:256], x)
			if row < 16*256 {
				share += a / b / 16
			}
			if most := b * 1.1; a > most && a > 1e-12 {
				t.Errorf("%s: row %d has a squared error of %g, llama.cpp's blocks %g", kind, row/256, a, b)
			}
		}
		t.Logf("%s: squared error %.3f of llama.cpp's", kind, share)
		if share > 1 {
			t.Errorf("%s: the squared error is %.3f of llama.cpp's", kind, share)
		}
	}
}

// halfStep is half a step of a type's levels over a block from −1 to 1, by which all
// elements may be off where no scale is better for them together.
var halfStep = map[gguf.Type]float64{
	gguf.Q8_0: 1. / 254, gguf.Q6_K: 1. / 32, gguf.Q5_0: 1. / 16, gguf.Q5_1: 1. / 31, gguf.Q5_K: 1. / 31,
	gguf.Q4_0: 1. / 8, gguf.Q4_1: 1. / 15, gguf.Q4_K: 1. / 15,
}

func TestBlocksOfEveryShapeAreQuantisedWithinAStep(t *testing.T) {
	fill := func(f func(i int) float64) []float32 {
		x := make([]float32, 256)
		for i := range x {
			x[i] = float32(f(i))
		}
		return x
	}
	for name, x := range map[string][]float32{
		"zeros":            fill(func(int) float64 { return 0 }),
		"ones":             fill(func(int) float64 { return 1 }),
		"minus ones":       fill(func(int) float64 { return -1 }),
		"one outlier":      fill(func(i int) float64 { return map[bool]float64{true: -50, false: math.Sin(float64(i))}[i == 77] }),
		"one value":        fill(func(i int) float64 { return map[bool]float64{true: .3}[i == 255] }),
		"a ramp":           fill(func(i int) float64 { return float64(i-128) / 128 }),
		"alternating":      fill(func(i int) float64 { return float64(1 - i%2*2) }),
		"one step":         fill(func(i int) float64 { return float64(i%2) * .01 }),
		"large":            fill(func(i int) float64 { return 6e4 * math.Cos(float64(i)) }),
		"small":            fill(func(i int) float64 { return 1e-3 * math.Cos(float64(i)) }),
		"below float16":    fill(func(i int) float64 { return 1e-12 * math.Cos(float64(i)) }),
		"subnormal":        fill(func(i int) float64 { return 1e-42 * math.Cos(float64(i)) }),
		"one group is far": fill(func(i int) float64 { return math.Cos(float64(i)) * math.Pow(1e-4, float64(i/32)) }),
	} {
		for _, kind := range quantized {
			blocks, err := gguf.Quantize(kind, x)
			if err != nil {
				t.Fatalf("%s as %s: %v", name, kind, err)
			}
			y := gguf.Dequantize(kind, blocks)
			elements, _ := kind.Block()
			for at := 0; at < 256; at += elements {
				a, b := x[at:at+elements], y[at:at+elements]
				top := 0.
				for _, v := range a {
					top = max(top, math.Abs(float64(v)))
				}
				if off, most := math.Sqrt(squares(a, b)/float64(elements)), top*halfStep[kind]*1.01+0x1p-18; !(off <= most) {
					t.Errorf("%s as %s: off by %g, the mean of squares, want at most %g", name, kind, off, most)
				}
			}
		}
	}
	for _, kind := range quantized {
		blocks, err := gguf.Quantize(kind, make([]float32, 256))
		if err != nil {
			t.Fatal(err)
		}
		if y := gguf.Dequantize(kind, blocks); slices.ContainsFunc(y, func(v float32) bool { return v != 0 }) {
			t.Errorf("%s: zeros became %v", kind, y)
		}
	}
}

func TestWhatNoScaleHoldsIsRefusedByTheTensorsName(t *testing.T) {
	for _, kind := range quantized {
		for _, c := range []struct {
			value float64
			kind  error
			says  string
		}{
			{math.NaN(), artifact.ErrDiverged, `tensor "blk.0.x": a value is not a number; no scale of ` + kind.String()},
			{math.Inf(-1), artifact.ErrDiverged, `tensor "blk.0.x": a value is infinite (-Inf); no scale of ` + kind.String()},
			{1e30, artifact.ErrUsage, `tensor "blk.0.x": a value of magnitude 1e+30 is beyond the range of ` + kind.String()},
			{-3e38, artifact.ErrUsage, `tensor "blk.0.x": a value of magnitude 3e+38 is beyond the range of ` + kind.String()},
		} {
			x := make([]float32, 512)
			x[300], x[301] = float32(c.value), 1
			err := gguf.Write(&bytes.Buffer{}, nil, []gguf.Tensor{{Name: "blk.0.x", Shape: []int{2, 256}, Type: kind, Values: values(x...)}})
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %g: %v, want an error that says %s", kind, c.value, err, c.says)
			}
		}
	}
}

func TestBytesAreTheSameForAnyNumberOfProcessors(t *testing.T) {
	golden, _ := rows(t)
	x := slices.Repeat(golden, 40) // several times what one of them encodes at once
	var tensors []gguf.Tensor
	for _, kind := range gguf.Types {
		tensors = append(tensors, gguf.Tensor{Name: kind.String(), Shape: []int{len(x) / 256, 256}, Type: kind, Values: values(x...)})
	}
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	var want []byte
	for _, n := range []int{1, 2, 3, 8} {
		runtime.GOMAXPROCS(n)
		if got := write(t, nil, tensors...); want == nil {
			want = got
		} else if !bytes.Equal(got, want) {
			t.Errorf("%d processors write other bytes", n)
		}
	}
}

// On machines with fused multiplication and addition too, whose sums would be others.
func TestBytesAreTheSameOnEveryMachine(t *testing.T) {
	x, _ := rows(t)
	want := map[gguf.Type]string{
		gguf.Q8_0: "0117913d6e045194",
		gguf.Q4_0: "5607bdf89e625993",
		gguf.Q4_1: "b6f4dacce4eec972",
		gguf.Q5_0: "00693eb410ad5314",
		gguf.Q5_1: "e3862941bea138aa",
		gguf.Q4_K: "f005db82c1a6f9d0",
		gguf.Q5_K: "0f0fd6a0aab35637",
		gguf.Q6_K: "e8191f1301b40031",
	}
	for _, kind := range quantized {
		blocks, err := gguf.Quantize(kind, x)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%.8x", sha256.Sum256(blocks)); got != want[kind] {
			t.Errorf("%s: the blocks' digest is %s, want %s", kind, got, want[kind])
		}
	}
}

func TestBlocksOfAnotherFileAreWrittenAsTheyAre(t *testing.T) {
	x, _ := rows(t)
	first, err := parse(write(t, nil, gguf.Tensor{Name: "x", Shape: []int{len(x) / 256, 256}, Type: gguf.Q4_K, Values: values(x...)}))
	if err != nil {
		t.Fatal(err)
	}
	tensor := gguf.Tensor{Name: "y", Shape: []int{len(x) / 256, 256}, Type: gguf.Q4_K, Blocks: func() ([]byte, error) { return first.Blocks("x") }}
	second, err := parse(write(t, nil, tensor))
	if err != nil {
		t.Fatal(err)
	}
	a, errA := first.Float32("x")
	b, errB := second.Float32("y")
	if errA != nil || errB != nil || !slices.Equal(a, b) {
		t.Errorf("values differ (%v, %v)", errA, errB)
	}
	tensor.Shape = []int{1, 256}
	if err := gguf.Write(&bytes.Buffer{}, nil, []gguf.Tensor{tensor}); err == nil || !strings.Contains(err.Error(), "bytes were given for shape") {
		t.Errorf("blocks of another shape: %v", err)
	}
	if _, err := first.Blocks("absent"); !errors.Is(err, artifact.ErrNotFound) {
		t.Errorf("a tensor that is not there: %v", err)
	}
}
