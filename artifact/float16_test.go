package artifact_test

import (
	"math"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// halfValue is the number that binary16 bits stand for by the definition of
// the format, in float64.
func halfValue(bits uint16) float64 {
	sign := 1.0
	if bits>>15 == 1 {
		sign = -1
	}
	exponent, fraction := int(bits>>10&31), float64(bits&1023)
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, -24)
	case 31:
		if fraction != 0 {
			return math.NaN()
		}
		return sign * math.Inf(1)
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}

func TestFloat16EveryNumberConvertsExactlyAndBack(t *testing.T) {
	for i := range 1 << 16 {
		bits := uint16(i)
		want := halfValue(bits)
		got := artifact.Float16ToFloat32(bits)
		if math.IsNaN(want) {
			if !math.IsNaN(float64(got)) || !math.IsNaN(halfValue(artifact.Float32ToFloat16(got))) {
				t.Fatalf("%#04x: NaN is lost", bits)
			}
			continue
		}
		if float64(got) != want || math.Signbit(float64(got)) != math.Signbit(want) {
			t.Fatalf("%#04x = %v, want %v", bits, got, want)
		}
		if back := artifact.Float32ToFloat16(got); back != bits {
			t.Fatalf("%#04x came back as %#04x", bits, back)
		}
	}
}

func TestFloat16RoundsToNearestEven(t *testing.T) {
	// Between each two neighbours: just below the middle, the middle, just above.
	for bits := uint16(0); bits < 0x7c00; bits++ {
		low, high := halfValue(bits), halfValue(bits+1)
		if bits == 0x7bff {
			high = 65536 // the number that infinity takes the place of
		}
		middle := float32((low + high) / 2)
		even := bits + bits&1
		for _, test := range []struct {
			value float32
			want  uint16
		}{
			{math.Nextafter32(middle, 0), bits},
			{middle, even},
			{math.Nextafter32(middle, math.MaxFloat32), bits + 1},
		} {
			if got := artifact.Float32ToFloat16(test.value); got != test.want {
				t.Fatalf("%v becomes %#04x, want %#04x", test.value, got, test.want)
			}
			if got := artifact.Float32ToFloat16(-test.value); got != test.want|0x8000 {
				t.Fatalf("%v becomes %#04x, want %#04x", -test.value, got, test.want|0x8000)
			}
		}
	}
	for _, value := range []float32{1e6, math.MaxFloat32, float32(math.Inf(1))} {
		if got := artifact.Float32ToFloat16(value); got != 0x7c00 {
			t.Errorf("%v becomes %#04x, want infinity", value, got)
		}
	}
}

func TestBFloat16RoundsToNearestEven(t *testing.T) {
	for i := range 1 << 16 {
		bits := uint16(i)
		value := artifact.BFloat16ToFloat32(bits)
		if value != value {
			if back := artifact.Float32ToBFloat16(value); back&0x7f80 != 0x7f80 || back&0x7f == 0 {
				t.Fatalf("%#04x: NaN is lost", bits)
			}
			continue
		}
		if back := artifact.Float32ToBFloat16(value); back != bits {
			t.Fatalf("%#04x came back as %#04x", bits, back)
		}
		if bits&0x7f80 == 0x7f80 {
			continue
		}
		half := math.Float32frombits(uint32(bits)<<16 | 0x8000) // the middle to the next number away from zero
		if got, want := artifact.Float32ToBFloat16(half), bits+bits&1; got != want {
			t.Fatalf("middle above %#04x becomes %#04x, want %#04x", bits, got, want)
		}
		above := math.Float32frombits(uint32(bits)<<16 | 0x8001)
		if got := artifact.Float32ToBFloat16(above); got != bits+1 {
			t.Fatalf("above the middle of %#04x becomes %#04x", bits, got)
		}
	}
	if got := artifact.Float32ToBFloat16(math.Float32frombits(0x7f800001)); got&0x7f == 0 {
		t.Error("a NaN with a low payload becomes infinite")
	}
}
