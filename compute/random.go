package compute

import "math"

// Counter-based random numbers: every number is a pure function of (seed,
// stream, index), so what is drawn depends neither on the number of threads
// nor on what else was drawn. A stream names a use ("sampling", "shuffle"),
// an index counts within it.
//
// The mixing function is the 64-bit finaliser of SplitMix64 (Steele, Lea and
// Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014),
// applied once per word of the counter.

// Bits returns 64 random bits for (seed, stream, index).
func Bits(seed, stream, index uint64) uint64 {
	x := mix(seed + 0x9e3779b97f4a7c15)
	x = mix(x ^ (stream + 0xbf58476d1ce4e5b9))
	return mix(x ^ (index + 0x94d049bb133111eb))
}

func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// Stream turns a name into a stream number (FNV-1a, 64 bit).
func Stream(name string) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(name); i++ {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return h
}

// Uniform returns a float64 in [0, 1) with 53 random bits.
func Uniform(seed, stream, index uint64) float64 {
	return float64(Bits(seed, stream, index)>>11) * 0x1p-53
}

// Normal returns a standard normal number (Box and Muller 1958). It consumes
// the two counters 2·index and 2·index+1 of the stream.
func Normal(seed, stream, index uint64) float64 {
	u := 1 - Uniform(seed, stream, 2*index) // (0, 1]: the logarithm is finite
	v := Uniform(seed, stream, 2*index+1)
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*v)
}

// Permutation returns a uniformly random order of 0..n-1 (Fisher and Yates).
func Permutation(seed, stream uint64, n int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	for i := n - 1; i > 0; i-- {
		j := int(Bits(seed, stream, uint64(i)) % uint64(i+1))
		p[i], p[j] = p[j], p[i]
	}
	return p
}
