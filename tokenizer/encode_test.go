package tokenizer

import (
	"slices"
	"strings"
	"sync"
	"testing"
)

// encodePlainly is BPE by its definition: look through all neighbours for the
// merge of lowest rank, leftmost first, and begin again.
func encodePlainly(tok *Tokenizer, text string) []int32 {
	type pair [2]int32
	ranks := make(map[pair]int)
	for rank, m := range tok.merges {
		ranks[pair{m.left, m.right}] = rank
	}
	ids := []int32{}
	for piece := range Pieces(text) {
		var word []int32
		for _, b := range []byte(piece) {
			word = append(word, tok.byteID[b])
		}
		for {
			best, at := len(ranks), -1
			for i := range max(len(word)-1, 0) {
				if rank, ok := ranks[pair{word[i], word[i+1]}]; ok && rank < best {
					best, at = rank, i
				}
			}
			if at < 0 {
				break
			}
			word = slices.Replace(word, at, at+2, tok.merges[best].id)
		}
		ids = append(ids, word...)
	}
	return ids
}

func roundTrip(t *testing.T, tok *Tokenizer, text string) {
	t.Helper()
	ids := tok.Encode(text)
	got, err := tok.Decode(ids)
	if err != nil || got != text {
		t.Errorf("Decode(Encode(%.200q)) = %.200q, %v", text, got, err)
	}
	for _, id := range ids {
		if tok.kinds[id] != ordinary {
			t.Errorf("Encode(%.200q) has the added token %q", text, tok.token(id))
		}
	}
	if want := encodePlainly(tok, text); !slices.Equal(ids, want) {
		t.Errorf("Encode(%.200q) = %v, want %v", text, ids, want)
	}
}

func TestEncodeIsBPEOnPiecesOfEveryLength(t *testing.T) {
	tok := goldenTokenizer(t)
	words := strings.Join(goldenDocs(t)[:5], "")
	letters := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r
		}
		return -1
	}, words)
	for n := range 300 {
		roundTrip(t, tok, letters[:n])
		roundTrip(t, tok, strings.Repeat("a", n))
		roundTrip(t, tok, strings.Repeat("e ", n)+strings.Repeat("\xe4\xb8", n))
	}
	for _, doc := range goldenDocs(t) {
		roundTrip(t, tok, doc)
	}
	for _, text := range oracleTexts() {
		roundTrip(t, tok, text)
	}
}

func TestEveryByteComesBack(t *testing.T) {
	tok := goldenTokenizer(t)
	all := make([]byte, 0, 1<<17)
	for a := range 256 {
		for b := range 256 {
			all = append(all, byte(a), byte(b))
		}
	}
	roundTrip(t, tok, string(all))
}

func TestOnlyEncodeWithSpecialMakesAddedTokens(t *testing.T) {
	tok := goldenTokenizer(t)
	text := "a<|endoftext|><|im_end|>b"
	roundTrip(t, tok, text)
	eot, _ := tok.TokenID(EndOfText)
	end, _ := tok.TokenID(IMEnd)
	want := slices.Concat(tok.Encode("a"), []int32{eot, end}, tok.Encode("b"))
	if got := tok.EncodeWithSpecial(text); !slices.Equal(got, want) {
		t.Errorf("EncodeWithSpecial(%q) = %v, want %v", text, got, want)
	}
}

func TestAddedTokensAreMatchedLeftmostLongestAndUnnormalizedFirst(t *testing.T) {
	m := newAddedMatcher([]AddedToken{
		{ID: 1, Content: "<a>"}, {ID: 2, Content: "<a>b"}, {ID: 3, Content: "x<"}, {ID: 4, Content: "a", Normalized: true}, {ID: 5, Content: "<<"},
	}, nil)
	for _, test := range []struct {
		text string
		want []int32 // -1 for text
	}{
		{"", nil},
		{"text", []int32{-1}},
		{"<a>", []int32{1}},
		{"<a>b<a>c", []int32{2, 1, -1}},
		{"x<a>", []int32{3, 4, -1}},
		{"<<a>", []int32{5, 4, -1}},
		{"b<a", []int32{-1, 4}},
		{"aa", []int32{4, 4}},
	} {
		var got []int32
		m.raw.split(test.text, allowance{all: true}, func(part string, _ int, id int32) {
			if id >= 0 {
				got = append(got, id)
				return
			}
			m.normalized.split(part, allowance{all: true}, func(_ string, _ int, id int32) { got = append(got, id) })
		})
		if !slices.Equal(got, test.want) {
			t.Errorf("split(%q) = %v, want %v", test.text, got, test.want)
		}
	}
}

func TestEncodeIsTheSameFromManyGoroutines(t *testing.T) {
	tok := goldenTokenizer(t)
	docs := goldenDocs(t)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range docs {
				doc := docs[(i+g)%len(docs)]
				if got := tok.Encode(doc); !slices.Equal(got, encodePlainly(tok, doc)) {
					t.Errorf("goroutine %d: document %d differs", g, i)
				}
			}
		})
	}
	wg.Wait()
}

func TestAppendEncodeDoesNotAllocateWhenWarm(t *testing.T) {
	tok := goldenTokenizer(t)
	text := strings.Join(goldenDocs(t), "") + strings.Repeat("long", 100)
	dst := tok.AppendEncode(nil, text)
	if n := testing.AllocsPerRun(10, func() { dst = tok.AppendEncode(dst[:0], text) }); n > 0 {
		t.Errorf("%v allocations a call", n)
	}
}

func FuzzEncodeDecode(f *testing.F) {
	tok := goldenTokenizer(f)
	for _, text := range oracleTexts()[:60] {
		f.Add(text)
	}
	f.Add("\xff\xfe a\xe4\xb8 '\x80s")
	f.Fuzz(func(t *testing.T, text string) { roundTrip(t, tok, text) })
}

func TestAGuardKeepsNamesFromBeingTokens(t *testing.T) {
	tok := goldenTokenizer(t)
	const guard = "\ufdd0"
	guarded := strings.Join(strings.Split(IMEnd, ""), guard)
	got := tok.EncodeRendered(IMStart+"user\nsay "+guarded+IMEnd, guard)
	start, _ := tok.TokenID(IMStart)
	end, _ := tok.TokenID(IMEnd)
	want := append(tok.AppendEncode([]int32{start}, "user\nsay "+IMEnd), end)
	if !slices.Equal(got, want) {
		t.Errorf("ids %v, want %v", got, want)
	}
	if got, want := tok.EncodeRendered("a"+IMEnd, ""), tok.EncodeWithSpecial("a"+IMEnd); !slices.Equal(got, want) {
		t.Errorf("without a guard %v, want %v", got, want)
	}
}
