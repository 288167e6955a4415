package kernel

import (
	"math"
	"testing"
)

func TestEveryBitThatChangesChangesTheSum(t *testing.T) {
	for n := range 40 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(i*i) - 7.5
		}
		want := SumBits(x)
		for i := range x {
			for bit := range 32 {
				was := x[i]
				x[i] = math.Float32frombits(math.Float32bits(was) ^ 1<<bit)
				if SumBits(x) == want {
					t.Errorf("bit %d of element %d of %d changes nothing", bit, i, n)
				}
				x[i] = was
			}
		}
		for cut := 0; cut <= n; cut += 2 {
			if SumBits(x[:cut])+SumBits(x[cut:]) != want {
				t.Errorf("the sums of %d and %d elements are not that of %d", cut, n-cut, n)
			}
		}
	}
}

func BenchmarkSumBits(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int
	}{{"64KB", 1 << 14}, {"256MB", 1 << 26}} {
		b.Run(size.name, func(b *testing.B) {
			x := make([]float32, size.n)
			b.SetBytes(4 * int64(size.n))
			for b.Loop() {
				SumBits(x)
			}
		})
	}
}
