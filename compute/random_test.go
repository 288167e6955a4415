package compute_test

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
)

// A checkpoint and a sample are only reproducible while these stay.
func TestRandomNumbersKeepTheirValues(t *testing.T) {
	if got := compute.Stream("sampling"); got != 0xc723b18281303050 {
		t.Errorf("Stream(sampling) = %#x", got)
	}
	for _, c := range []struct {
		seed, stream, index, bits uint64
		uniform, normal           float64
	}{
		{0, 0, 0, 0x8dbeb87049046b82, 0.5536914133199545, -0.8229562814728242},
		{0, 0, 1, 0xa348b51434eab938, 0.6378281759579448, 0.3430858675623028},
		{0, 1, 0, 0xb8b1d91ab9c5e298, 0.721463746094535, 1.5970245009480597},
		{1, 0, 0, 0x20df3e80d550d192, 0.12840643544524544, 0.058110747801668236},
		{42, 1234567, 89, 0xc7c706ec661819ee, 0.7803806616921921, 0.019151001310757903},
		{9223372036854775808, 4611686018427387904, 2305843009213693952, 0xfe56715cee984168, 0.9935065128216545, 0.053295833890614805},
	} {
		if got := compute.Bits(c.seed, c.stream, c.index); got != c.bits {
			t.Errorf("Bits(%d, %d, %d) = %#x, want %#x", c.seed, c.stream, c.index, got, c.bits)
		}
		if got := compute.Uniform(c.seed, c.stream, c.index); got != c.uniform {
			t.Errorf("Uniform(%d, %d, %d) = %v, want %v", c.seed, c.stream, c.index, got, c.uniform)
		}
		if got := compute.Normal(c.seed, c.stream, c.index); math.Abs(got-c.normal) > 1e-14 {
			t.Errorf("Normal(%d, %d, %d) = %v, want %v", c.seed, c.stream, c.index, got, c.normal)
		}
	}
	if got, want := compute.Permutation(1, 2, 10), []int{2, 0, 8, 3, 6, 7, 4, 1, 9, 5}; !slices.Equal(got, want) {
		t.Errorf("Permutation(1, 2, 10) = %v, want %v", got, want)
	}
}

// counters are three ways to walk through the numbers: each must look random.
var counters = map[string]func(i uint64) (seed, stream, index uint64){
	"index":  func(i uint64) (uint64, uint64, uint64) { return 7, 3, i },
	"stream": func(i uint64) (uint64, uint64, uint64) { return 7, i, 3 },
	"seed":   func(i uint64) (uint64, uint64, uint64) { return i, 7, 3 },
}

func TestUniformNumbersFillTheirCellsEvenly(t *testing.T) {
	const n, cells = 200_000, 1000
	for name, at := range counters {
		counts := make([]float64, cells)
		pairs := make([]float64, cells) // cells of (uᵢ, uᵢ₊₁) on a 25 × 40 grid
		last := 0.0
		for i := range uint64(n) {
			u := compute.Uniform(at(i))
			if u < 0 || u >= 1 {
				t.Fatalf("uniform number %v is not in [0, 1)", u)
			}
			counts[int(u*cells)]++
			pairs[int(last*25)*40+int(u*40)]++
			last = u
		}
		for what, c := range map[string][]float64{"numbers": counts, "pairs": pairs} {
			// χ² of 999 degrees of freedom has mean 999 and deviation 45.
			chi := 0.0
			for _, k := range c {
				chi += (k - n/cells) * (k - n/cells) / (n / cells)
			}
			if math.Abs(chi-999) > 5*45 {
				t.Errorf("%s along the %s have χ² %.0f over %d cells, want 999 ± 225", what, name, chi, cells)
			}
		}
	}
}

func TestNormalNumbersHaveTheNormalMoments(t *testing.T) {
	const n = 400_000
	for name, at := range counters {
		var moments [5]float64
		within := 0.0
		for i := range uint64(n) {
			x := compute.Normal(at(i))
			power := 1.0
			for k := range moments {
				moments[k] += power / n
				power *= x
			}
			if math.Abs(x) < 1 {
				within += 1.0 / n
			}
		}
		// Five standard errors of each moment: √(1/n), √(2/n), √(15/n), √(96/n).
		for k, want := range []struct{ value, variance float64 }{{1, 1e-18}, {0, 1}, {1, 2}, {0, 15}, {3, 96}} {
			if off := math.Abs(moments[k] - want.value); off > 5*math.Sqrt(want.variance/n) {
				t.Errorf("moment %d along the %s is %.4f, want %g", k, name, moments[k], want.value)
			}
		}
		if math.Abs(within-0.682689) > 0.004 {
			t.Errorf("%.4f of the numbers along the %s are within one deviation, want .6827", within, name)
		}
	}
}

func TestEveryCounterBitChangesHalfOfTheBits(t *testing.T) {
	for name, at := range map[string]func(flip uint64) uint64{
		"seed":   func(flip uint64) uint64 { return compute.Bits(5^flip, 6, 7) },
		"stream": func(flip uint64) uint64 { return compute.Bits(5, 6^flip, 7) },
		"index":  func(flip uint64) uint64 { return compute.Bits(5, 6, 7^flip) },
	} {
		for b := range 64 {
			// 64 fair coins: mean 32, deviation 4.
			if changed := bits.OnesCount64(at(0) ^ at(1<<b)); changed < 12 || changed > 52 {
				t.Errorf("bit %d of the %s changes %d of 64 bits", b, name, changed)
			}
		}
	}
}

func TestPermutationsHoldEveryNumberOnce(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 17, 1000} {
		p := compute.Permutation(9, compute.Stream("shuffle"), n)
		sorted := slices.Sorted(slices.Values(p))
		for i := range n {
			if sorted[i] != i {
				t.Errorf("the permutation of %d holds %v", n, p)
				break
			}
		}
		if len(p) != n {
			t.Errorf("the permutation of %d has %d elements", n, len(p))
		}
	}
}

func TestAllOrdersAreEquallyLikely(t *testing.T) {
	const n = 24_000
	counts := map[string]float64{}
	for seed := range uint64(n) {
		counts[fmt.Sprint(compute.Permutation(seed, 1, 4))]++
	}
	if len(counts) != 24 {
		t.Fatalf("%d of 24 orders occur", len(counts))
	}
	chi := 0.0
	for _, k := range counts {
		chi += (k - n/24) * (k - n/24) / (n / 24)
	}
	// χ² of 23 degrees of freedom: mean 23, deviation 6.8.
	if chi > 23+5*6.8 {
		t.Errorf("the orders have χ² %.1f, want about 23", chi)
	}
}

func TestStreamsOfNamesDiffer(t *testing.T) {
	seen := map[uint64]string{}
	for _, name := range []string{"", "a", "b", "ab", "ba", "sampling", "shuffle", "init"} {
		if other, ok := seen[compute.Stream(name)]; ok {
			t.Errorf("streams %q and %q are the same", name, other)
		}
		seen[compute.Stream(name)] = name
	}
}
