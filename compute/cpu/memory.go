package cpu

import "unsafe"

const (
	// alignment is that of a cache line, in floats.
	alignment = 16
	// hugePage is that of a large page of x86 and most others, in floats.
	hugePage = 2 << 20 / 4
)

// aligned allocates zeros that begin at a cache line. An array of several
// large pages begins at one and asks the system for them: the address
// translation of a small page costs more than reading a line of it.
func aligned(size int) []float32 {
	if size == 0 {
		return []float32{}
	}
	to := alignment
	if size >= 2*hugePage {
		to = hugePage
	}
	raw := make([]float32, size+to-1)
	over := int(uintptr(unsafe.Pointer(&raw[0])) / 4 % uintptr(to))
	at := (to - over) % to
	array := raw[at : at+size : at+size]
	if to == hugePage {
		bytes := unsafe.Slice((*byte)(unsafe.Pointer(&array[0])), 4*(size/hugePage*hugePage))
		adviseHugePages(bytes)
	}
	return array
}
