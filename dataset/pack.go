package dataset

import (
	"fmt"
	"slices"

	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/compute"
)

// An Example is a dialogue as tokens.
type Example struct {
	Tokens []int32
	// Trained [len(Tokens)] marks the tokens that the model is to learn to
	// write: the assistant's, and the end token of each of its turns.
	Trained []bool
}

// Learned is the number of trained tokens.
func (e Example) Learned() int {
	n := 0
	for _, t := range e.Trained {
		if t {
			n++
		}
	}
	return n
}

// Lengths returns the number of tokens of each example, as Pack takes it.
func Lengths(examples []Example) []int {
	lengths := make([]int, len(examples))
	for i, e := range examples {
		lengths[i] = len(e.Tokens)
	}
	return lengths
}

// Tokenize renders dialogues with RenderChat. Those of more than maxTokens tokens do
// not fit and are left out: long has their tokens. lines are those of the file that the
// examples begin at. A dialogue that the template refuses is a bad row.
func Tokenize(template *chat.Template, f *File[chat.Dialogue], maxTokens int) (examples []Example, lines, long []int, err error) {
	err = f.Keep(func(i int, d chat.Dialogue) error {
		e, err := ExampleOf(template, d)
		switch {
		case err != nil:
			return err
		case len(e.Tokens) > maxTokens:
			long = append(long, len(e.Tokens))
		default:
			examples, lines = append(examples, e), append(lines, f.Lines[i])
		}
		return nil
	})
	return examples, lines, long, err
}

// ExampleOf renders a dialogue for training.
func ExampleOf(template *chat.Template, d chat.Dialogue) (Example, error) {
	if d.Text != "" && len(d.Messages) == 0 {
		ids, mask, err := template.RenderText(d.Text)
		return Example{ids, mask}, err
	}
	ids, mask, err := template.WithTools(d.Tools).RenderChat(d.Messages, false)
	return Example{ids, mask}, err
}

// openRows is how many rows Pack keeps open: enough that hardly a position is
// wasted, and few enough that packing stays linear in the number of examples.
const openRows = 64

// Pack distributes examples of the given lengths over rows of T positions:
// first fit, in order, over the rows opened last. The result lists the examples
// of each row, in the order in which the rows were opened. Every example must
// have 1 to T tokens.
func Pack(lengths []int, T int) ([][]int, error) {
	var rows [][]int
	var room []int // of each row
	first := 0     // the first row that is open
	for i, n := range lengths {
		if n < 1 || n > T {
			return nil, tooLong(i, n, T)
		}
		row := first
		for row < len(rows) && room[row] < n {
			row++
		}
		if row == len(rows) {
			rows = append(rows, nil)
			room = append(room, T)
			first = max(first, len(rows)-openRows)
		}
		rows[row] = append(rows[row], i)
		room[row] -= n
	}
	return rows, nil
}

// PackLongest is Pack with the longest examples first, each in the fullest row
// that has room for it (best fit, over all rows), which leaves little empty. It is
// for work whose result does not depend on the order.
func PackLongest(lengths []int, T int) ([][]int, error) {
	order := make([]int, len(lengths))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return lengths[b] - lengths[a] })
	var rows [][]int
	byRoom := make([][]int, T+1) // rows by the room that they have
	for _, i := range order {
		n := lengths[i]
		if n < 1 || n > T {
			return nil, tooLong(i, n, T)
		}
		room := n
		for room < T && len(byRoom[room]) == 0 {
			room++
		}
		row := len(rows)
		if same := byRoom[room]; len(same) > 0 {
			row, byRoom[room] = same[len(same)-1], same[:len(same)-1]
		} else {
			room, rows = T, append(rows, nil)
		}
		rows[row] = append(rows[row], i)
		byRoom[room-n] = append(byRoom[room-n], row)
	}
	return rows, nil
}

func tooLong(example, n, T int) error {
	return fmt.Errorf("packing example %d: %d tokens for a row of %d; leave out those that do not fit", example, n, T)
}

// PackEpoch is Pack with the examples in an order of their own for each
// (seed, epoch). The rows list indices into lengths.
func PackEpoch(lengths []int, T int, seed, epoch uint64) ([][]int, error) {
	order := compute.Permutation(seed, compute.Stream("dialogues")+epoch, len(lengths))
	shuffled := make([]int, len(lengths))
	for i, x := range order {
		shuffled[i] = lengths[x]
	}
	rows, err := Pack(shuffled, T)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		for i := range row {
			row[i] = order[row[i]]
		}
	}
	return rows, nil
}

// Packed is the arrays of a step over packed rows, each [B×T].
type Packed struct {
	B, T      int
	Tokens    []int32 // padding holds the pad token
	Positions []int32 // from 0 on in every segment; 0 in padding
	Segments  []int32 // 0, 1, … in every row; -1 in padding
	// Targets holds at each position the token that follows in the same
	// segment, where that is trained on, else Ignored.
	Targets []int32
	// Learned is the number of targets that are not Ignored.
	Learned int
}

// NewPacked makes the arrays once for many calls of Fill.
func NewPacked(B, T int) *Packed {
	n := B * T
	return &Packed{B: B, T: T, Tokens: make([]int32, n), Positions: make([]int32, n), Segments: make([]int32, n), Targets: make([]int32, n)}
}

// Fill lays out up to B rows of examples, as Pack listed them; rows that are
// missing are padding. What a row holds does not depend on the other rows.
func (p *Packed) Fill(rows [][]int, examples []Example, pad int32) error {
	if err := p.reset(rows, pad); err != nil {
		return err
	}
	for b, row := range rows {
		at, end := b*p.T, (b+1)*p.T
		for segment, x := range row {
			e := examples[x]
			if len(e.Trained) != len(e.Tokens) || len(e.Tokens) > end-at {
				return fmt.Errorf("laying out example %d: %d tokens with %d marks in %d positions", x, len(e.Tokens), len(e.Trained), end-at)
			}
			p.place(at, segment, e.Tokens)
			for i := 1; i < len(e.Tokens); i++ {
				if e.Trained[i] {
					p.Targets[at+i-1] = e.Tokens[i]
					p.Learned++
				}
			}
			at += len(e.Tokens)
		}
	}
	return nil
}

// FillTexts is Fill for texts of which nothing is a target.
func (p *Packed) FillTexts(rows [][]int, texts [][]int32, pad int32) error {
	if err := p.reset(rows, pad); err != nil {
		return err
	}
	for b, row := range rows {
		at, end := b*p.T, (b+1)*p.T
		for segment, x := range row {
			if len(texts[x]) > end-at {
				return fmt.Errorf("laying out text %d: %d tokens in %d positions", x, len(texts[x]), end-at)
			}
			p.place(at, segment, texts[x])
			at += len(texts[x])
		}
	}
	return nil
}

// reset makes all of the rows padding.
func (p *Packed) reset(rows [][]int, pad int32) error {
	if len(rows) > p.B {
		return fmt.Errorf("laying out %d rows: there is room for %d", len(rows), p.B)
	}
	for i := range p.Tokens {
		p.Tokens[i], p.Positions[i], p.Segments[i], p.Targets[i] = pad, 0, -1, Ignored
	}
	p.Learned = 0
	return nil
}

// place lays a segment out from position at on.
func (p *Packed) place(at, segment int, tokens []int32) {
	for i, id := range tokens {
		p.Tokens[at+i], p.Positions[at+i], p.Segments[at+i] = id, int32(i), int32(segment)
	}
}

// Feed copies the rows to the inputs "tokens", "positions" and "segments" of a
// Program over B rows of T tokens.
func (p *Packed) Feed(x compute.Executable) {
	copy(x.Ints("tokens"), p.Tokens)
	copy(x.Ints("positions"), p.Positions)
	copy(x.Ints("segments"), p.Segments)
}
