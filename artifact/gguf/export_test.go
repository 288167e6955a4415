package gguf

// QuantizeQ8_0 returns the Q8_0 blocks of values.
func QuantizeQ8_0(values []float32) ([]byte, error) { return appendQ8_0(nil, values) }
