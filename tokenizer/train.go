package tokenizer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"unicode/utf8"
)

// Options say what Train makes. Only VocabSize must be set.
type Options struct {
	// VocabSize is the number of ids, special tokens and the 256 bytes included.
	VocabSize int
	// SpecialTokens get the ids from 0 on. nil means DefaultSpecialTokens; an
	// empty slice means none.
	SpecialTokens []string
	// MinFrequency is how often a pair must occur to be merged. 0 means 2.
	MinFrequency int64
	// ChatTemplate is the Jinja text that the vocabulary is to come with, "" for
	// none.
	ChatTemplate string
	// Threads is how many goroutines count pieces. 0 means GOMAXPROCS. The result
	// does not depend on it.
	Threads int
	// MaxTableBytes bounds the table of distinct pieces; 0 means 256 MiB. Where a
	// corpus has more, the rarest pieces so far are dropped and counted in
	// TrainStats. Training then needs at most about six times as much in all.
	MaxTableBytes int
	// Progress, where not nil, is called now and then with the number of merges
	// found so far and wanted, from the goroutine that called Train.
	Progress func(done, total int)
}

// maxTrainPiece is the longest piece, in bytes, that is counted: longer ones are
// encoded data, and would each stand once in the table.
const maxTrainPiece = 1024

// TrainStats says what Train saw.
type TrainStats struct {
	Docs           int64
	Bytes          int64
	Pieces         int64 // counted, with repetitions
	DistinctPieces int64 // in the table at the end
	LongPieces     int64 // left out because longer than 1,024 bytes
	PrunedPieces   int64 // distinct pieces dropped to hold MaxTableBytes
	PrunedBelow    int64 // pieces seen less often than this by then were dropped, 0 for none
	Merges         int
	// LastCount is how often the pair of the last merge occurred.
	LastCount int64
}

// Train learns a byte-level BPE vocabulary from docs: again and again, the pair
// of neighbouring tokens that occurs most often within pieces becomes one token,
// until there are VocabSize tokens. Of pairs that occur equally often, the one
// with the lowest left id is taken, and of those the one with the lowest right
// id; so the result is a function of docs and of o alone. It is the vocabulary
// that Hugging Face's BpeTrainer makes with the same special tokens and the
// byte-level alphabet.
//
// Pairs are counted at every place where they stand, so "aaa" holds the pair
// (a, a) twice.
//
// It fails if docs yields an error, if ctx ends, if the options cannot be met,
// and if the docs have too few pairs of MinFrequency to fill VocabSize: a model
// with rows that no text ever uses is a mistake in the configuration.
func Train(ctx context.Context, docs iter.Seq2[string, error], o Options) (*Tokenizer, *TrainStats, error) {
	o.fill()
	if err := o.check(); err != nil {
		return nil, nil, fmt.Errorf("training a tokenizer: %w", err)
	}

	stats := new(TrainStats)
	counts, err := countPieces(ctx, docs, o, stats)
	if err != nil {
		return nil, nil, fmt.Errorf("training a tokenizer: reading document %d: %w", stats.Docs+1, err)
	}
	tr := newTrainer(counts, o)
	if err := tr.run(ctx, o); err != nil {
		return nil, nil, fmt.Errorf("training a tokenizer: %w", err)
	}
	stats.Merges = len(tr.merges)
	stats.LastCount = tr.lastCount
	if len(tr.tokens) < o.VocabSize {
		return nil, nil, fmt.Errorf("training a tokenizer: %d bytes of text with %d distinct pieces give only %d of %d tokens from pairs that occur at least %d times; train on more text or ask for a vocabulary of at most %d",
			stats.Bytes, stats.DistinctPieces, len(tr.tokens), o.VocabSize, o.MinFrequency, len(tr.tokens))
	}

	v := vocabulary{tokens: tr.tokens, merges: tr.merges, description: gpt2Description(), chatTemplate: o.ChatTemplate}
	for id, name := range o.SpecialTokens {
		v.added = append(v.added, AddedToken{ID: int32(id), Content: name, Special: true})
		v.tokens[id] = "" // newTokenizer puts the name there
	}
	if slices.Contains(o.SpecialTokens, EndOfText) {
		v.roles.eos = EndOfText
	}
	if slices.Contains(o.SpecialTokens, Pad) {
		v.roles.pad = Pad
	}
	if slices.Contains(o.SpecialTokens, MaskToken) {
		v.roles.mask = MaskToken
		if at := slices.Index(o.SpecialTokens, EndOfText); at >= 0 {
			v.roles.cls = EndOfText
			v.description.postProcessor = surround(v.added[at], AddedToken{}, false)
		}
	}
	t, err := newTokenizer(v)
	if err != nil {
		return nil, nil, fmt.Errorf("training a tokenizer: %w", err)
	}
	return t, stats, nil
}

// Check says what is wrong with the options.
func (o Options) Check() error {
	o.fill()
	return o.check()
}

// fill puts the defaults where nothing is given.
func (o *Options) fill() {
	if o.SpecialTokens == nil {
		o.SpecialTokens = DefaultSpecialTokens()
	}
	if o.MinFrequency == 0 {
		o.MinFrequency = 2
	}
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if o.MaxTableBytes == 0 {
		o.MaxTableBytes = 256 << 20
	}
}

func (o *Options) check() error {
	least := len(o.SpecialTokens) + 256
	if o.VocabSize < least || o.VocabSize > maxVocab {
		return fmt.Errorf("vocabulary size %d is outside %d (%d special tokens and 256 bytes) … %d", o.VocabSize, least, len(o.SpecialTokens), maxVocab)
	}
	if o.MinFrequency < 1 {
		return fmt.Errorf("minimum frequency %d is below 1", o.MinFrequency)
	}
	if o.Threads < 1 {
		return fmt.Errorf("%d threads are fewer than 1", o.Threads)
	}
	if o.MaxTableBytes < 1<<16 || o.MaxTableBytes > 1<<31 {
		return fmt.Errorf("a table of %d bytes is outside 64 KiB … 2 GiB", o.MaxTableBytes)
	}
	for i, name := range o.SpecialTokens {
		if !utf8.ValidString(name) || name == "" || pieceEnd(name, 0) == len(name) {
			return fmt.Errorf("special token %d is %q, which merges could make of ordinary text as well; take a name of several pieces, like %q", i, name, EndOfText)
		}
		if slices.Contains(o.SpecialTokens[:i], name) {
			return fmt.Errorf("special token %q is named twice", name)
		}
	}
	return nil
}

// trainer holds the distinct pieces as sequences of tokens, and for each pair of
// neighbours its count and the pieces it may stand in. A merge touches those
// pieces only, and changes the counts of the pairs around each place.
type trainer struct {
	symbols []int32 // all pieces, one after the other, shrinking in place
	pieces  []trainPiece
	index   trainIndex
	pairs   []trainPair
	heap    pairHeap
	touched []int32 // pairs whose count rose in the merge under way

	tokens    []string
	byBytes   map[string]int32
	merges    []merge
	lastCount int64
}

type trainPiece struct {
	start, length uint32 // in symbols
	n             int64  // how often the piece occurs
}

type trainPair struct {
	left, right int32
	n           int64   // how often the pair occurs
	pieces      []int32 // where it stood when it came up, each piece once in a row
	touched     bool    // is in trainer.touched
}

func newTrainer(counts *pieceCounts, o Options) *trainer {
	tr := &trainer{
		tokens:  slices.Clone(o.SpecialTokens),
		byBytes: make(map[string]int32, o.VocabSize),
	}
	var byteID [256]int32
	for _, b := range byteOrder {
		byteID[b] = int32(len(tr.tokens))
		tr.byBytes[string([]byte{b})] = int32(len(tr.tokens))
		tr.tokens = append(tr.tokens, string([]byte{b}))
	}
	tr.symbols = make([]int32, 0, len(counts.arena))
	tr.pieces = make([]trainPiece, 0, counts.len)
	tr.index = newTrainIndex()
	for piece, n := range counts.all() {
		start := len(tr.symbols)
		for _, b := range piece {
			tr.symbols = append(tr.symbols, byteID[b])
		}
		at := int32(len(tr.pieces))
		tr.pieces = append(tr.pieces, trainPiece{uint32(start), uint32(len(piece)), n})
		ids := tr.symbols[start:]
		for i := range len(ids) - 1 {
			tr.rise(ids[i], ids[i+1], at, n)
		}
	}
	tr.pushTouched()
	return tr
}

// rise counts a pair n more times, in piece at.
func (tr *trainer) rise(left, right, at int32, n int64) {
	i := tr.index.find(tr, left, right)
	p := &tr.pairs[i]
	p.n += n
	if k := len(p.pieces); k == 0 || p.pieces[k-1] != at {
		p.pieces = append(p.pieces, at)
	}
	if !p.touched {
		p.touched = true
		tr.touched = append(tr.touched, i)
	}
}

// fall counts a pair n fewer times.
func (tr *trainer) fall(left, right int32, n int64) {
	tr.pairs[tr.index.find(tr, left, right)].n -= n
}

// pushTouched puts the pairs whose count rose on the heap. Entries of pairs whose
// count fell since stay there with too high a count, and are put right when they
// come up.
func (tr *trainer) pushTouched() {
	for _, i := range tr.touched {
		p := &tr.pairs[i]
		p.touched = false
		if p.n > 0 {
			tr.heap.push(pairEntry{p.n, p.left, p.right, i})
		}
	}
	tr.touched = tr.touched[:0]
}

var errNoPair = errors.New("no pair left")

func (tr *trainer) run(ctx context.Context, o Options) error {
	first := len(tr.tokens)
	for len(tr.tokens) < o.VocabSize {
		if len(tr.merges)%64 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if o.Progress != nil {
				o.Progress(len(tr.tokens)-first, o.VocabSize-first)
			}
		}
		i, err := tr.best(o.MinFrequency)
		if err == errNoPair {
			return nil
		}
		tr.merge(i)
	}
	if o.Progress != nil {
		o.Progress(o.VocabSize-first, o.VocabSize-first)
	}
	return nil
}

// best takes the most frequent pair off the heap.
func (tr *trainer) best(least int64) (int32, error) {
	for len(tr.heap) > 0 {
		top := tr.heap[0]
		n := tr.pairs[top.pair].n
		switch {
		case n >= top.n:
			if n < least {
				return 0, errNoPair
			}
			tr.heap.pop()
			return top.pair, nil
		case n >= least:
			top.n = n
			tr.heap.replaceTop(top)
		default:
			tr.heap.pop()
		}
	}
	return 0, errNoPair
}

// merge makes a token of pair i wherever it stands.
func (tr *trainer) merge(i int32) {
	left, right := tr.pairs[i].left, tr.pairs[i].right
	tr.lastCount = tr.pairs[i].n
	bytes := tr.tokens[left] + tr.tokens[right]
	id, known := tr.byBytes[bytes]
	if !known {
		id = int32(len(tr.tokens))
		tr.byBytes[bytes] = id
		tr.tokens = append(tr.tokens, bytes)
	}
	tr.merges = append(tr.merges, merge{left, right, id})

	in := tr.pairs[i].pieces
	tr.pairs[i].pieces = nil
	for _, at := range in {
		p := &tr.pieces[at]
		ids := tr.symbols[p.start : p.start+p.length]
		out := 0
		for j := 0; j < len(ids); j++ {
			if j+1 == len(ids) || ids[j] != left || ids[j+1] != right {
				ids[out] = ids[j]
				out++
				continue
			}
			if out > 0 {
				tr.fall(ids[out-1], left, p.n)
				tr.rise(ids[out-1], id, at, p.n)
			}
			tr.fall(left, right, p.n)
			if j+2 < len(ids) {
				tr.fall(right, ids[j+2], p.n)
				tr.rise(id, ids[j+2], at, p.n)
			}
			ids[out] = id
			out++
			j++
		}
		p.length = uint32(out)
	}
	tr.pushTouched()
}

// trainIndex finds a pair's place in trainer.pairs: open addressing with linear
// probing, at most half full.
type trainIndex struct {
	slots []trainIndexSlot
	shift uint
}

type trainIndexSlot struct {
	key  uint64
	pair int32 // -1 for an empty slot
}

func newTrainIndex() trainIndex {
	x := trainIndex{slots: make([]trainIndexSlot, 1<<16), shift: 64 - 16}
	for i := range x.slots {
		x.slots[i].pair = -1
	}
	return x
}

// find returns the place of a pair, a new one if the pair is new.
func (x *trainIndex) find(tr *trainer, left, right int32) int32 {
	key := pairKey(left, right)
	mask := uint64(len(x.slots) - 1)
	for i := pairHash(key) >> x.shift; ; i = (i + 1) & mask {
		s := &x.slots[i]
		if s.pair < 0 {
			n := int32(len(tr.pairs))
			*s = trainIndexSlot{key, n}
			tr.pairs = append(tr.pairs, trainPair{left: left, right: right})
			if 2*len(tr.pairs) > len(x.slots) {
				x.grow()
			}
			return n
		}
		if s.key == key {
			return s.pair
		}
	}
}

func (x *trainIndex) grow() {
	old := x.slots
	x.slots = make([]trainIndexSlot, 2*len(old))
	x.shift--
	for i := range x.slots {
		x.slots[i].pair = -1
	}
	mask := uint64(len(x.slots) - 1)
	for _, s := range old {
		if s.pair < 0 {
			continue
		}
		i := pairHash(s.key) >> x.shift
		for x.slots[i].pair >= 0 {
			i = (i + 1) & mask
		}
		x.slots[i] = s
	}
}

// pairHeap has the pair to merge next on top.
type pairHeap []pairEntry

type pairEntry struct {
	n           int64
	left, right int32
	pair        int32
}

func (a *pairEntry) before(b *pairEntry) bool {
	if a.n != b.n {
		return a.n > b.n
	}
	if a.left != b.left {
		return a.left < b.left
	}
	return a.right < b.right
}

func (h *pairHeap) push(e pairEntry) {
	*h = append(*h, e)
	s := *h
	i := len(s) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !e.before(&s[parent]) {
			break
		}
		s[i] = s[parent]
		i = parent
	}
	s[i] = e
}

func (h *pairHeap) pop() {
	s := *h
	last := s[len(s)-1]
	*h = s[:len(s)-1]
	if len(*h) > 0 {
		h.replaceTop(last)
	}
}

// replaceTop puts e in the place of the top entry.
func (h *pairHeap) replaceTop(e pairEntry) {
	s := *h
	i := 0
	for {
		child := 2*i + 1
		if child >= len(s) {
			break
		}
		if child+1 < len(s) && s[child+1].before(&s[child]) {
			child++
		}
		if !s[child].before(&e) {
			break
		}
		s[i] = s[child]
		i = child
	}
	s[i] = e
}
