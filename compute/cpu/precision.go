package cpu

import "fmt"

// Precision is the arithmetic of matrix products and attention.
type Precision string

const (
	// FP32 multiplies and adds in float32.
	FP32 Precision = "fp32"
	// BF16 rounds the operands of matrix products and the inputs of attention
	// to bfloat16 and adds in float32. Weights, their gradients, the
	// optimizer's moments and all other operators stay in float32. The key and
	// value caches hold rounded numbers.
	BF16 Precision = "bf16"
)

// ParsePrecision reads "fp32" or "bf16"; an empty name is FP32.
func ParsePrecision(name string) (Precision, error) {
	switch p := Precision(name); p {
	case "":
		return FP32, nil
	case FP32, BF16:
		return p, nil
	}
	return "", fmt.Errorf("choosing the precision %q: the name is unknown; use fp32 or bf16", name)
}
