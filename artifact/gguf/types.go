package gguf

import "fmt"

// Type is how a tensor's elements are stored: ggml's number for it.
type Type uint32

// The types that are read and written.
const (
	F32  Type = 0
	F16  Type = 1
	Q4_0 Type = 2  // 32 × 4 bits, a scale
	Q4_1 Type = 3  // 32 × 4 bits, a scale and a minimum
	Q5_0 Type = 6  // 32 × 5 bits, a scale
	Q5_1 Type = 7  // 32 × 5 bits, a scale and a minimum
	Q8_0 Type = 8  // 32 × 8 bits, a scale
	Q4_K Type = 12 // 256 × 4 bits, 8 scales and minima of 6 bits
	Q5_K Type = 13 // 256 × 5 bits, 8 scales and minima of 6 bits
	Q6_K Type = 14 // 256 × 6 bits, 16 scales of 8 bits
	BF16 Type = 30
)

// Types lists the types that are read and written.
var Types = []Type{F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K}

// layouts gives the block of each of Types.
var layouts = map[Type]struct{ elements, bytes int }{
	F32: {1, 4}, F16: {1, 2}, BF16: {1, 2},
	Q4_0: {32, 2 + 16}, Q4_1: {32, 4 + 16}, Q5_0: {32, 2 + 4 + 16}, Q5_1: {32, 4 + 4 + 16}, Q8_0: {32, 2 + 32},
	Q4_K: {256, 4 + 12 + 128}, Q5_K: {256, 4 + 12 + 32 + 128}, Q6_K: {256, 128 + 64 + 16 + 2},
}

// typeNames are ggml's, also of the types that are not read, for messages.
var typeNames = map[Type]string{
	F32: "F32", F16: "F16", Q4_0: "Q4_0", Q4_1: "Q4_1", Q5_0: "Q5_0", Q5_1: "Q5_1", Q8_0: "Q8_0", 9: "Q8_1",
	10: "Q2_K", 11: "Q3_K", Q4_K: "Q4_K", Q5_K: "Q5_K", Q6_K: "Q6_K", 15: "Q8_K",
	16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS",
	24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", BF16: "BF16", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}

// String is the type's name in ggml.
func (t Type) String() string {
	if name, ok := typeNames[t]; ok {
		return name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// Quantized tells whether elements share a scale.
func (t Type) Quantized() bool { return layouts[t].elements > 1 }

// Block returns how many elements a block of the type has and how many bytes
// it takes; 0 and 0 for a type that is not read.
func (t Type) Block() (elements, bytes int) {
	l := layouts[t]
	return l.elements, l.bytes
}

// The numbers of the types of metadata values.
const (
	kindUint8 uint32 = iota
	kindInt8
	kindUint16
	kindInt16
	kindUint32
	kindInt32
	kindFloat32
	kindBool
	kindString
	kindArray
	kindUint64
	kindInt64
	kindFloat64
)

// kindSizes gives the bytes of a value of each fixed-size kind.
var kindSizes = map[uint32]int64{
	kindUint8: 1, kindInt8: 1, kindBool: 1, kindUint16: 2, kindInt16: 2,
	kindUint32: 4, kindInt32: 4, kindFloat32: 4, kindUint64: 8, kindInt64: 8, kindFloat64: 8,
}
