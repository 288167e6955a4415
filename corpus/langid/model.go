package langid

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// A Model holds the weights of every group that has several languages. It is
// safe for several goroutines.
type Model struct {
	tables [maxGroups]table
}

// A table has a row of weights for each hash, a weight for each language.
// Weights are whole numbers of -128 … 127, held with 128 added, eight in a word.
// Sums have 16 bits for each, in two words for one: that of the weights in even
// bytes and that of those in odd ones, so that one addition adds four languages.
type table struct {
	rows  []uint64
	width int // words in a row
	shift int // of a hash, to the number of its row
	// step is what a weight of 1 stands for.
	step float64
}

// maxWidth is the widest row, in words.
const maxWidth = 5

const evenBytes = 0x00ff_00ff_00ff_00ff

// A sum is that of the rows of a text's features.
type sum struct {
	letters  int
	features int
	pending  int // rows in words
	words    [2 * maxWidth]uint64
	totals   [8 * maxWidth]int64
}

// full is the number of rows that fit into 16 bits: 257 of 255.
const full = 257

func (t *table) row(hash uint64) []uint64 {
	return t.rows[int(hash>>(t.shift&63))*t.width:][:t.width]
}

func (t *table) add(s *sum, hash uint64) {
	for i, x := range t.row(hash) {
		s.words[2*i] += x & evenBytes
		s.words[2*i+1] += x >> 8 & evenBytes
	}
	if s.pending++; s.pending > full-4 {
		s.flush(t)
	}
}

// add4 adds four rows at once, which takes a quarter of the stores, and lets the
// processor fetch them side by side.
func (t *table) add4(s *sum, one, two, three, four uint64) {
	if t.width == maxWidth {
		a := (*[maxWidth]uint64)(t.rows[int(one>>(t.shift&63))*maxWidth:])
		b := (*[maxWidth]uint64)(t.rows[int(two>>(t.shift&63))*maxWidth:])
		c := (*[maxWidth]uint64)(t.rows[int(three>>(t.shift&63))*maxWidth:])
		d := (*[maxWidth]uint64)(t.rows[int(four>>(t.shift&63))*maxWidth:])
		for i := range maxWidth {
			s.words[2*i] += a[i]&evenBytes + b[i]&evenBytes + c[i]&evenBytes + d[i]&evenBytes
			s.words[2*i+1] += a[i]>>8&evenBytes + b[i]>>8&evenBytes + c[i]>>8&evenBytes + d[i]>>8&evenBytes
		}
	} else {
		a, b, c, d := t.row(one), t.row(two), t.row(three), t.row(four)
		for i := range a {
			s.words[2*i] += a[i]&evenBytes + b[i]&evenBytes + c[i]&evenBytes + d[i]&evenBytes
			s.words[2*i+1] += a[i]>>8&evenBytes + b[i]>>8&evenBytes + c[i]>>8&evenBytes + d[i]>>8&evenBytes
		}
	}
	if s.pending += 4; s.pending > full-4 {
		s.flush(t)
	}
}

// flush moves the sums of the words into the totals.
func (s *sum) flush(t *table) {
	for i := range 2 * t.width {
		x := s.words[i]
		for k := range 4 {
			s.totals[i/2*8+2*k+i%2] += int64(x>>(16*k)&0xffff) - 128*int64(s.pending)
		}
		s.words[i] = 0
	}
	s.features += s.pending
	s.pending = 0
}

// quiet is the number of features that say nothing, added to those of each text,
// so that a short text does not sound sure of itself.
const quiet = 40

// probabilities is the softmax of a group's languages.
func (t *table) probabilities(s *sum, languages int) []float64 {
	p := make([]float64, languages)
	highest := math.Inf(-1)
	for i := range p {
		p[i] = t.step * float64(s.totals[i]) / float64(s.features+quiet)
		highest = max(highest, p[i])
	}
	return softmax(p, highest)
}

func softmax(p []float64, highest float64) []float64 {
	total := 0.
	for i := range p {
		p[i] = math.Exp(p[i] - highest)
		total += p[i]
	}
	for i := range p {
		p[i] /= total
	}
	return p
}

// A model file is compressed with zstd. It holds magic; then for every group of
// several languages, in the order of groups: the number of languages and of bits
// as bytes, the step as a float32, then the weights as int8, one language after
// the other. Numbers are little-endian.
const magic = "alma langid 1\n"

//go:embed model.bin
var embedded []byte

// Default is the model that the program carries.
var Default = sync.OnceValue(func() *Model {
	m, err := Read(bytes.NewReader(embedded))
	if err != nil {
		panic(fmt.Sprintf("the embedded model of languages: %v", err))
	}
	return m
})

// maxModel is the largest model, unpacked: a bound for the reader, above what
// groups asks for.
const maxModel = 16 << 20

// Read reads a model that WriteTo wrote. A file that is not one, or one of other
// languages, is an error of kind artifact.ErrCorrupt.
func Read(r io.Reader) (*Model, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*maxModel))
	if err != nil {
		return nil, fmt.Errorf("reading a model of languages: %w", err)
	}
	defer z.Close()
	data, err := io.ReadAll(io.LimitReader(z, maxModel))
	if err != nil {
		return nil, artifact.Errorf(artifact.ErrCorrupt, "reading a model of languages: %w; make it again with go generate ./corpus/langid", err)
	}
	wrong := func(what string) (*Model, error) {
		return nil, artifact.Errorf(artifact.ErrCorrupt, "reading a model of languages: %s; make it again with go generate ./corpus/langid", what)
	}
	data, ok := bytes.CutPrefix(data, []byte(magic))
	if !ok {
		return wrong("it does not begin as one")
	}
	m := &Model{}
	for i, g := range groups {
		if g.bits == 0 {
			continue
		}
		if len(data) < 6 || int(data[0]) != len(g.languages) || int(data[1]) != g.bits {
			return wrong("its languages of " + g.name + " script are others")
		}
		step := float64(math.Float32frombits(binary.LittleEndian.Uint32(data[2:])))
		data = data[6:]
		size := len(g.languages) << g.bits
		if len(data) < size || !(step > 0 && step < 1e6) {
			return wrong("its weights of " + g.name + " script are not whole")
		}
		m.tables[i] = newTable(&g, data[:size], step)
		data = data[size:]
	}
	if len(data) != 0 {
		return wrong("something follows its end")
	}
	return m, nil
}

// newTable lays out a table's weights, one language after the other, for adding.
func newTable(g *group, weights []byte, step float64) table {
	t := table{width: (len(g.languages) + 7) / 8, shift: 64 - g.bits, step: step}
	t.rows = make([]uint64, t.width<<g.bits)
	for i := range t.rows {
		t.rows[i] = 0x8080_8080_8080_8080 // zero, for lanes that no language has
	}
	for lane := range g.languages {
		column := weights[lane<<g.bits:][:1<<g.bits]
		for row, w := range column {
			// Adding 128 to a byte and flipping its highest bit are the same.
			t.rows[row*t.width+lane/8] ^= uint64(w) << (lane % 8 * 8)
		}
	}
	return t
}

// weight is a language's in a row.
func (t *table) weight(row, lane int) int8 {
	return int8(byte(t.rows[row*t.width+lane/8]>>(lane%8*8)) ^ 0x80)
}

// WriteTo writes the model as Read reads it.
func (m *Model) WriteTo(w io.Writer) (int64, error) {
	out := bytes.NewBufferString(magic)
	for i, g := range groups {
		if g.bits == 0 {
			continue
		}
		t := &m.tables[i]
		out.Write([]byte{byte(len(g.languages)), byte(g.bits)})
		var step [4]byte
		binary.LittleEndian.PutUint32(step[:], math.Float32bits(float32(t.step)))
		out.Write(step[:])
		for lane := range g.languages {
			for row := range 1 << g.bits {
				out.WriteByte(byte(t.weight(row, lane)))
			}
		}
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return 0, fmt.Errorf("writing a model of languages: %w", err)
	}
	n, err := w.Write(z.EncodeAll(out.Bytes(), nil))
	return int64(n), err
}
