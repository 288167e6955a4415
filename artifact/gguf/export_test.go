package gguf

// Quantize returns the blocks of values.
func Quantize(t Type, values []float32) ([]byte, error) { return quantize(nil, t, values) }

// Dequantize returns the values of blocks.
func Dequantize(t Type, blocks []byte) []float32 {
	elements, size := t.Block()
	values := make([]float32, len(blocks)/size*elements)
	dequantize(t, values, blocks)
	return values
}
