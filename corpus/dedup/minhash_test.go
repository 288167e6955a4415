package dedup

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
)

func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }

// wordOf spells a number in small letters, of two to some letters.
func wordOf(i int) string {
	word := []byte{"bcdfghklmnprstvw"[i%16]}
	for i /= 16; ; i /= 5 {
		word = append(word, "aeiou"[i%5])
		if i < 5 {
			return string(word)
		}
		word = append(word, "lnrst"[i%5])
	}
}

func shinglesOf(text string, size int) (got []string) {
	s := shingles{size: size, table: basicPlane(), hash: func(shingle []byte) { got = append(got, string(shingle)) }}
	s.cut(text)
	return got
}

func TestShinglesAreRunsOfWords(t *testing.T) {
	for _, c := range []struct {
		text string
		size int
		want []string
	}{
		{"", 2, nil},
		{" ,.\n—", 2, nil},
		{"One", 2, []string{"one"}},
		{"One, two\nTHREE", 2, []string{"one two", "two three"}},
		{"a b c d", 3, []string{"a b c", "b c d"}},
		{"don't don’t", 2, []string{"don t", "t don", "don t"}},
		{"x1 3.14 Ärger ΣΊΣΥΦΟΣ", 1, []string{"x1", "3", "14", "ärger", "σίσυφοσ"}},
		{"e\u0301te\u0301", 1, []string{"e\u0301te\u0301"}},
		{"天地玄黃，宇宙", 3, []string{"天 地 玄", "地 玄 黃", "玄 黃 宇", "黃 宇 宙"}},
		{"Go语言ok", 1, []string{"go", "语", "言", "ok"}},
		{"ภาษาที่", 1, []string{"ภ", "า", "ษ", "า", "ที่"}},
		{"한국어 말", 1, []string{"한국어", "말"}},
		{"𠀀𠀁 𝒳", 1, []string{"𠀀", "𠀁", "𝒳"}},
		{"a\xffb", 1, []string{"a", "b"}},
	} {
		if got := shinglesOf(c.text, c.size); !slices.Equal(got, c.want) {
			t.Errorf("%q by %d: %q, want %q", c.text, c.size, got, c.want)
		}
	}
}

// Words that were passed leave the buffer; that must not show.
func TestShinglesOfALongTextAreThoseOfItsWords(t *testing.T) {
	for _, size := range []int{1, 2, 5, 40} {
		words := strings.Fields(strings.ReplaceAll(prose(3*keptBytes, 3), ".", ""))
		var want []string
		for i := size; i <= len(words); i++ {
			want = append(want, strings.Join(words[i-size:i], " "))
		}
		if got := shinglesOf(strings.Join(words, "\n"), size); !slices.Equal(got, want) {
			t.Errorf("shingles of %d words: %d of them differ from the %d wanted", size, len(got), len(want))
		}
	}
}

func jaccard(a, b []string) float64 {
	in := map[string]int{}
	for _, x := range a {
		in[x] |= 1
	}
	for _, x := range b {
		in[x] |= 2
	}
	both := 0
	for _, where := range in {
		if where == 3 {
			both++
		}
	}
	return float64(both) / float64(len(in))
}

// different returns n numbers below 2^20, all different.
func different(random *rand.Rand, n int) []int {
	seen := map[int]bool{}
	numbers := make([]int, 0, n)
	for len(numbers) < n {
		if x := random.IntN(1 << 20); !seen[x] {
			seen[x] = true
			numbers = append(numbers, x)
		}
	}
	return numbers
}

func signer(t testing.TB, config MinHash) *Signer {
	t.Helper()
	s, err := NewSigner(config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// agree tells whether two texts agree in a band.
func agree(s *Signer, a, b string) bool {
	bands := s.Sign(a, nil)
	for i, hash := range s.Sign(b, nil) {
		if bands[i] == hash {
			return true
		}
	}
	return false
}

// The shares are those that FineWeb publishes for 14 bands of 8 rows.
func TestTextsOfASimilarityMatchAsOftenAsPublished(t *testing.T) {
	const pairs, union = 3000, 200
	s := signer(t, MinHash{Shingle: 1})
	random := newRandom(1)
	for _, c := range []struct{ similarity, published float64 }{{.5, .053}, {.7, .56}, {.75, .77}, {.8, .92}, {.85, .988}} {
		similarity, published := c.similarity, c.published
		matched := 0
		for range pairs {
			words := different(random, union)
			own := int(math.Round(union * (1 - similarity) / 2)) // words that only one of them has
			var a, b []string
			for i, word := range words {
				if i >= own {
					a = append(a, wordOf(word))
				}
				if i < union-own {
					b = append(b, wordOf(word))
				}
			}
			if got := jaccard(a, b); math.Abs(got-similarity) > 1e-9 {
				t.Fatalf("a pair has similarity %v, want %v", got, similarity)
			}
			if agree(s, strings.Join(a, " "), strings.Join(b, " ")) {
				matched++
			}
		}
		share := float64(matched) / pairs
		// Four standard errors, and half of the published figure's last place.
		if within := 4*math.Sqrt(published*(1-published)/pairs) + .005; math.Abs(share-published) > within {
			t.Errorf("similarity %v: %.3f of %d pairs match, published %.3f ± %.3f", similarity, share, pairs, published, within)
		}
		t.Logf("similarity %v: %.4f of %d pairs match; published %.3f, formula %.4f", similarity, share, pairs, published, s.config.Match(similarity))
	}
}

// Pairs of texts with edits, by the similarity that their sets of 5-word shingles have.
func TestEditedTextsMatchAsOftenAsTheirShinglesSay(t *testing.T) {
	for _, config := range []MinHash{{}, {Bands: 20, Rows: 5}, {Shingle: 3, Bands: 9, Rows: 13}} {
		s := signer(t, config)
		random := newRandom(2)
		const pairs = 2000
		matched := 0
		var expected, variance float64
		for range pairs {
			words := make([]string, 60+random.IntN(200))
			for i := range words {
				words[i] = wordOf(random.IntN(3000))
			}
			edited := slices.Clone(words)
			for range 1 + random.IntN(len(words)/20) {
				edited[random.IntN(len(edited))] = "edited"
			}
			a, b := strings.Join(words, " "), strings.Join(edited, ", ")
			size := s.config.Shingle
			p := s.config.Match(jaccard(shinglesOf(a, size), shinglesOf(b, size)))
			expected += p
			variance += p * (1 - p)
			if agree(s, a, b) {
				matched++
			}
		}
		if math.Abs(float64(matched)-expected) > 4*math.Sqrt(variance) {
			t.Errorf("%+v: %d of %d pairs match, expected %.1f ± %.1f", config, matched, pairs, expected, 4*math.Sqrt(variance))
		}
		t.Logf("%+v: %d of %d pairs match, expected %.1f ± %.1f", config, matched, pairs, expected, math.Sqrt(variance))
	}
}

// Record files of an older program must mean the same.
func TestSignaturesStayWhatTheyWere(t *testing.T) {
	s := signer(t, MinHash{Bands: 2, Rows: 3})
	for text, want := range map[string]string{
		"":        "[]",
		"One two": "[0x650a4a44e51c2e44 0xf0a7d8fc780fbfce]",
		"All happy families are alike; every unhappy family is unhappy in its own way.": "[0x1b9f9ca0473c6352 0x1495b51c2f828e47]",
	} {
		if got := fmt.Sprintf("%#x", s.Sign(text, nil)); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestASignatureIsThatOfTheTextAlone(t *testing.T) {
	s := signer(t, MinHash{})
	first := s.Sign("one two three four five six", nil)
	s.Sign(prose(50_000, 4), nil)
	if again := s.Sign("One — two; three four FIVE six", nil); !slices.Equal(first, again) {
		t.Error("the same words have another signature after another text")
	}
}

func TestAnImpossibleConfigurationIsRefused(t *testing.T) {
	for _, config := range []MinHash{{Shingle: -1}, {Bands: 5000}, {Rows: -8}} {
		if _, err := NewSigner(config); !errors.Is(err, artifact.ErrUsage) {
			t.Errorf("%+v: %v", config, err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	for name, text := range map[string]string{"english": prose(1<<20, 1), "chinese": strings.Repeat("天地玄黃，宇宙洪荒。日月盈昃，辰宿列張。\n", 5000)} {
		b.Run(name, func(b *testing.B) {
			s := signer(b, MinHash{})
			var bands []uint64
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				bands = s.Sign(text, bands)
			}
		})
	}
}
