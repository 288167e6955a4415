package tokenizer

// pairTable finds what two tokens join to, and at which rank: open addressing with
// linear probing, at most half full. Where merges come as a list the ranks are
// places in it; where they come as scores, pairs of equal score share a rank.
type pairTable struct {
	slots []pairSlot
	shift uint
}

type pairSlot struct {
	left, right int32 // left is -1 in an empty slot
	rank        uint32
	id          int32 // what the two join to
}

func newPairTable(n int) pairTable {
	bits := uint(4)
	for 1<<bits < 2*n {
		bits++
	}
	p := pairTable{slots: make([]pairSlot, 1<<bits), shift: 64 - bits}
	for i := range p.slots {
		p.slots[i].left = -1
	}
	return p
}

// insert reports whether the pair was not there yet.
func (p *pairTable) insert(m merge, rank uint32) bool {
	for i := pairHash(pairKey(m.left, m.right)) >> p.shift; ; i = (i + 1) & uint64(len(p.slots)-1) {
		s := &p.slots[i]
		if s.left < 0 {
			*s = pairSlot{m.left, m.right, rank, m.id}
			return true
		}
		if s.left == m.left && s.right == m.right {
			return false
		}
	}
}

// noRank is the rank of two tokens that no merge joins.
const noRank = ^uint32(0)

// rank returns the rank of the merge of two tokens, noRank where there is none.
func (p *pairTable) rank(left, right int32) uint32 {
	rank, _ := p.find(left, right)
	return rank
}

// find returns the rank of the merge of two tokens and the token that it makes,
// noRank where there is none.
func (p *pairTable) find(left, right int32) (rank uint32, id int32) {
	mask := uint64(len(p.slots) - 1)
	for i := pairHash(pairKey(left, right)) >> p.shift; ; i++ {
		s := &p.slots[i&mask]
		if s.left == left && s.right == right {
			return s.rank, s.id
		}
		if s.left < 0 {
			return noRank, -1
		}
	}
}

func pairKey(left, right int32) uint64 { return uint64(uint32(left))<<32 | uint64(uint32(right)) }

// pairHash spreads a key over 64 bits; its high bits are the best (Fibonacci
// hashing, Knuth, The Art of Computer Programming, volume 3, 6.4).
func pairHash(key uint64) uint64 {
	key ^= key >> 29
	return key * 0x9e3779b97f4a7c15
}
