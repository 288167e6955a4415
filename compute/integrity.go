package compute

import (
	"errors"
	"fmt"
)

// ErrChanged is a variable that holds something else than was last written there.
var ErrChanged = errors.New("its numbers are not those that were written there; memory or the processor is at fault")

// Changed is the error of a variable that changed by itself.
func Changed(name string) error { return fmt.Errorf("variable %q: %w", name, ErrChanged) }

// summer is a Store that keeps a sum of what was last written to a variable, by
// Write or by an optimizer. Sums of equal numbers are equal in all Stores.
type summer interface {
	// WrittenSum is that of what was written; false if what wrote last kept none.
	WrittenSum(name string) (uint64, bool)
	// SumOf is that of what elements lo to hi hold. lo is even, and hi is, or
	// the end: sums of parts add up.
	SumOf(name string, lo, hi int) uint64
}

// Same tells whether two Stores were given the same numbers of a variable, as far
// as they keep sums.
func Same(a, b Store, name string) bool {
	x, ok := a.(summer)
	y, also := b.(summer)
	if !ok || !also {
		return true
	}
	first, ok := x.WrittenSum(name)
	second, also := y.WrittenSum(name)
	return !ok || !also || first == second
}

// Verify compares what a variable holds with what was last written there, as far
// as the Store keeps a sum of that: [ErrChanged].
func Verify(s Store, name string) error {
	x, ok := s.(summer)
	if !ok {
		return nil
	}
	shape, _ := s.Shape(name)
	if written, ok := x.WrittenSum(name); ok && written != x.SumOf(name, 0, shape.Size()) {
		return Changed(name)
	}
	return nil
}

// Post is variables that a [Patrol] comes by.
type Post struct {
	Of    string // what they belong to, in errors: "the reference"
	Store Store
	Names []string
}

// Patrol compares variables that nothing writes with what was written there, a
// part at a time, around and around.
type Patrol struct {
	posts     []Post // those that can be verified, one variable each
	at, begun int    // the variable, and the element within it
	sum       uint64 // of the elements before
}

// NewPatrol begins with the first variable.
func NewPatrol(posts ...Post) *Patrol {
	p := &Patrol{}
	for _, post := range posts {
		for _, name := range post.Names {
			if s, ok := post.Store.(summer); ok {
				if _, ok := s.WrittenSum(name); ok {
					p.posts = append(p.posts, Post{post.Of, post.Store, []string{name}})
				}
			}
		}
	}
	return p
}

// Elements counts what a whole round comes by.
func (p *Patrol) Elements() (n int) {
	for _, post := range p.posts {
		shape, _ := post.Store.Shape(post.Names[0])
		n += shape.Size()
	}
	return n
}

// Walk looks at the next elements, an even number of them, or as many as are left
// of a variable. It returns how many that were.
func (p *Patrol) Walk(elements int) (walked int, err error) {
	if len(p.posts) == 0 {
		return 0, nil
	}
	post, name := p.posts[p.at], p.posts[p.at].Names[0]
	s := post.Store.(summer)
	shape, _ := post.Store.Shape(name)
	end := min(shape.Size(), p.begun+elements)
	p.sum += s.SumOf(name, p.begun, end)
	walked, p.begun = end-p.begun, end
	if end < shape.Size() {
		return walked, nil
	}
	written, ok := s.WrittenSum(name)
	changed := ok && written != p.sum
	p.at, p.begun, p.sum = (p.at+1)%len(p.posts), 0, 0
	if changed {
		return walked, fmt.Errorf("%s: %w", post.Of, Changed(name))
	}
	return walked, nil
}
