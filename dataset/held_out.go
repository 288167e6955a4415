package dataset

import "github.com/seed-b72bdb6c/alma/compute"

// HeldOut tells whether what begins with these tokens, a prompt, belongs to the share
// that is held out to measure on. It is decided by a hash of the tokens alone: the same
// for every seed and order, so that equal prompts stay on one side.
func HeldOut(prompt []int32, share float64) bool {
	if share <= 0 {
		return false
	}
	h := compute.Stream("held out")
	for _, id := range prompt {
		h = compute.Bits(h, uint64(uint32(id)), 0)
	}
	return compute.Uniform(0, compute.Stream("held out"), h) < share
}
