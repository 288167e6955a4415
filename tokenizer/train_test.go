package tokenizer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// trainPlainly is the definition: count all pairs anew for every merge.
func trainPlainly(docs []string, vocabSize int, least int64) (tokens []string) {
	type pair [2]string
	words := make(map[string]int64)
	for _, doc := range docs {
		for piece := range Pieces(doc) {
			words[piece]++
		}
	}
	split := make(map[string][]string)
	for word := range words {
		split[word] = strings.Split(word, "")
		split[word] = split[word][:0]
		for i := range len(word) {
			split[word] = append(split[word], word[i:i+1])
		}
	}
	rank := make(map[string]int) // of tokens, for ties
	for _, b := range byteOrder {
		rank[string([]byte{b})] = len(tokens)
		tokens = append(tokens, string([]byte{b}))
	}
	for len(tokens) < vocabSize {
		counts := make(map[pair]int64)
		for word, parts := range split {
			for i := range len(parts) - 1 {
				counts[pair{parts[i], parts[i+1]}] += words[word]
			}
		}
		var best pair
		var most int64
		for p, n := range counts {
			tie := n == most && (rank[p[0]] < rank[best[0]] || p[0] == best[0] && rank[p[1]] < rank[best[1]])
			if n > most || tie {
				best, most = p, n
			}
		}
		if most < least {
			break
		}
		joined := best[0] + best[1]
		if _, known := rank[joined]; !known {
			rank[joined] = len(tokens)
			tokens = append(tokens, joined)
		}
		for word, parts := range split {
			for i := 0; i+1 < len(parts); i++ {
				if parts[i] == best[0] && parts[i+1] == best[1] {
					parts = slices.Replace(parts, i, i+2, joined)
				}
			}
			split[word] = parts
		}
	}
	return tokens
}

func TestTrainMergesTheMostFrequentPair(t *testing.T) {
	var pseudo []string
	x := uint32(7)
	for range 40 {
		var b strings.Builder
		for range 60 {
			x = x*1664525 + 1013904223
			b.WriteByte("aaab bc\n"[x>>29])
		}
		pseudo = append(pseudo, b.String())
	}
	for _, test := range []struct {
		name  string
		docs  []string
		size  int
		least int64
	}{
		{"words", []string{"low low low low low lower lower newest newest newest newest newest newest widest widest widest"}, 271, 2},
		{"ties", []string{"ab cd ef gh ab cd ef gh"}, 262, 2},
		{"overlaps", []string{"aaaa aaaaaaa aaa aa aaaaaaaaaaaaaa baaab"}, 264, 1},
		{"few letters", pseudo, 340, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			tok, _, err := Train(context.Background(), seq(test.docs...), Options{VocabSize: test.size, MinFrequency: test.least, SpecialTokens: []string{}})
			if err != nil {
				t.Fatal(err)
			}
			want := trainPlainly(test.docs, test.size, test.least)
			for id := range tok.VocabSize() {
				if got := tok.token(int32(id)); got != want[id] {
					t.Fatalf("token %d is %q, want %q", id, got, want[id])
				}
			}
		})
	}
}

func TestTrainNumbersSpecialTokensThenBytesThenMerges(t *testing.T) {
	tok, _, err := Train(context.Background(), seq("ab ab"), Options{VocabSize: 4 + 256 + 1})
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[int32]string{0: "<|endoftext|>", 1: "<|im_start|>", 2: "<|im_end|>", 3: "<|pad|>", 4: "!", 4 + 255: "\u00ad"[1:], 260: "ab"} {
		if got := string(tok.TokenBytes(id)); got != want {
			t.Errorf("token %d is %q, want %q", id, got, want)
		}
	}
	for name, want := range map[string]int32{EndOfText: 0, IMStart: 1, IMEnd: 2, Pad: 3} {
		if id, ok := tok.TokenID(name); !ok || id != want {
			t.Errorf("TokenID(%q) = %d, %v, want %d", name, id, ok, want)
		}
	}
	if id, ok := tok.EOS(); !ok || id != 0 {
		t.Errorf("EOS() = %d, %v", id, ok)
	}
	if id, ok := tok.Pad(); !ok || id != 3 {
		t.Errorf("Pad() = %d, %v", id, ok)
	}
	if tok.ChatTemplate() != "" {
		t.Errorf("chat template %q, which nobody gave", tok.ChatTemplate())
	}
	tok, _, err = Train(context.Background(), seq("ab ab"), Options{VocabSize: 4 + 256 + 1, ChatTemplate: "{{ messages }}"})
	if err != nil || tok.ChatTemplate() != "{{ messages }}" {
		t.Errorf("the chat template that was given is lost: %v", err)
	}
}

func TestTrainIsTheSameForAnyNumberOfThreads(t *testing.T) {
	docs := goldenDocs(t)
	for len(strings.Join(docs, "")) < 1<<20 {
		docs = append(docs, docs...)
	}
	for i := range docs {
		docs[i] += fmt.Sprintf("word%d x%dy%d", i%977, i, i*i) // rare pieces, so that some are pruned
	}
	for _, table := range []int{0, 1 << 17} {
		var want *Tokenizer
		var wantStats TrainStats
		for _, threads := range []int{1, 2, 4, 8} {
			tok, stats, err := Train(context.Background(), seq(docs...), Options{VocabSize: 700, Threads: threads, MaxTableBytes: table})
			if err != nil {
				t.Fatal(err)
			}
			if want == nil {
				want, wantStats = tok, *stats
				if pruned := stats.PrunedPieces > 0; pruned != (table > 0) {
					t.Errorf("a table of %d bytes: %d pieces pruned", table, stats.PrunedPieces)
				}
				continue
			}
			sameTokenizer(t, tok, want)
			if *stats != wantStats {
				t.Errorf("%d threads: %+v, want %+v", threads, *stats, wantStats)
			}
		}
	}
}

func TestTrainLeavesOverlongPiecesOut(t *testing.T) {
	_, stats, err := Train(context.Background(), seq("ab ab "+strings.Repeat("z", 5000)), Options{VocabSize: 261})
	if err != nil || stats.LongPieces != 1 || stats.DistinctPieces != 2 || stats.Merges != 1 || stats.LastCount != 2 {
		t.Errorf("%+v, %v", stats, err)
	}
}

func TestTrainRefusesWhatItCannotDo(t *testing.T) {
	for _, test := range []struct {
		name string
		docs []string
		o    Options
		want string
	}{
		{"no size", nil, Options{}, "vocabulary size 0 is outside 260"},
		{"no room for the bytes", nil, Options{VocabSize: 259}, "vocabulary size 259"},
		{"too large", nil, Options{VocabSize: 1 << 24}, "outside"},
		{"an empty corpus", nil, Options{VocabSize: 300}, "0 bytes of text with 0 distinct pieces give only 260 of 300"},
		{"a small corpus", []string{"ab ab"}, Options{VocabSize: 300}, "at most 261"},
		{"a special token that text could spell", nil, Options{VocabSize: 300, SpecialTokens: []string{"the"}}, `"the"`},
		{"an empty special token", nil, Options{VocabSize: 300, SpecialTokens: []string{""}}, "special token 0"},
		{"one twice", nil, Options{VocabSize: 300, SpecialTokens: []string{Pad, Pad}}, "twice"},
		{"a negative frequency", nil, Options{VocabSize: 300, MinFrequency: -1}, "frequency -1"},
		{"negative threads", nil, Options{VocabSize: 300, Threads: -1}, "-1 threads"},
		{"a tiny table", nil, Options{VocabSize: 300, MaxTableBytes: 1}, "table of 1 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := Train(context.Background(), seq(test.docs...), test.o)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestTrainReturnsTheReadersError(t *testing.T) {
	broken := errors.New("disk on fire")
	docs := func(yield func(string, error) bool) {
		_ = yield("fine", nil) && yield("", broken)
	}
	_, _, err := Train(context.Background(), docs, Options{VocabSize: 300})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "document 2") {
		t.Errorf("error %v", err)
	}
}

func TestTrainStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := Train(ctx, seq("ab ab"), Options{VocabSize: 261}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestTrainReportsProgress(t *testing.T) {
	last, want := -1, 0
	_, _, err := Train(context.Background(), seq(goldenDocs(t)...), Options{VocabSize: 500, Progress: func(done, total int) {
		if done <= last || done > total {
			t.Errorf("progress %d of %d after %d", done, total, last)
		}
		last, want = done, total
	}})
	if err != nil || last != want || want != 500-260 {
		t.Errorf("ended at %d of %d, %v", last, want, err)
	}
}

func TestAVocabularyForAnEncoderBeginsATextAndHasAMask(t *testing.T) {
	docs := func(yield func(string, error) bool) { yield("hear hear hear", nil) }
	tok, _, err := Train(t.Context(), docs, Options{VocabSize: 263, SpecialTokens: EncoderSpecialTokens()})
	if err != nil {
		t.Fatal(err)
	}
	files, err := tok.Files()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	back, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, tok := range map[string]*Tokenizer{"trained": tok, "loaded": back} {
		mask, ok := tok.Mask()
		if cls, hasCLS := tok.CLS(); !ok || mask != 4 || !hasCLS || cls != 0 {
			t.Errorf("%s: mask %d, %v, first %d, %v", name, mask, ok, cls, hasCLS)
		}
		ids := tok.Encode("hear")
		if got := tok.Wrap(ids); !slices.Equal(got, append([]int32{0}, ids...)) {
			t.Errorf("%s: %v is wrapped as %v", name, ids, got)
		}
	}
}
