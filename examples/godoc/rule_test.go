package godoc

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// testRule knows what three comments each say, and nothing else.
func testRule() *Rule {
	var comments []string
	for range MinComments {
		comments = append(comments,
			"// x returns the number of elements that are stored in it at the moment.",
			"// x reports whether the file at path exists and can be opened for reading.",
			"// x closes the connection, so that no other operation can be called.",
			"// x checks tests copies is a kind thing of great value and is used by many (old) callers.")
	}
	return NewRule(append(comments, "// x mentions zebras.", "// x mentions zebras zebras zebras zebras."))
}

func mustParse(t *testing.T, decl string) Function {
	t.Helper()
	f, err := ParseDecl(decl)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestRuleItems(t *testing.T) {
	const (
		length = "func (l *List[T]) Len() int"
		exists = "func FileExists(path string) bool"
		closes = "func (c *Conn) Close() error"
	)
	rule := testRule()
	notLength := slices.DeleteFunc(slices.Clone(ItemNames), func(item string) bool { return item == "length" })
	for _, c := range []struct {
		decl, comment string
		cut           bool     // not ended by itself
		lost          []string // items that earn nothing, length left out
	}{
		{decl: length, comment: "// Len returns the number of elements stored in the list."},
		{decl: length, comment: "Len returns the number of elements stored in the list."},
		{decl: length, comment: "// Len returns the number of elements\n// stored in the list."},
		{decl: exists, comment: "// FileExists reports whether the file at path exists at the moment."},
		{decl: closes, comment: "// Close closes the connection (that is at the moment opened)."},

		// One sentence, ended.
		{decl: length, comment: "// Len returns the number of elements stored in the list", lost: []string{"sentence"}},
		{decl: length, comment: "// Len returns the number of elements stored in the list.", cut: true, lost: []string{"sentence"}},
		{decl: length, comment: "// Len returns the number of elements. The list is stored.", lost: []string{"sentence"}},
		{decl: length, comment: "// Len returns the number of elements stored in the list...", lost: []string{"sentence"}},
		{decl: length, comment: "// Len returns the number of elements (stored in the list.", lost: []string{"sentence"}},
		{decl: length, comment: `// Len returns the number of "elements stored in the list.`, lost: []string{"sentence"}},

		// Known words: those of the declaration and its identifiers' parts count.
		{decl: length, comment: "// Len returns the number of zebras stored in the list.", lost: []string{"words"}},
		{decl: length, comment: "// Len returns the nmuber of elements stored in the list.", lost: []string{"words"}},
		{decl: "func (z *Zebras) Len() int", comment: "// Len returns the number of zebras that are stored at the moment."},
		{decl: "func (z *HTTPZebras) Len() int", comment: "// Len returns the number of HTTP zebras that are stored."},

		// About this declaration.
		{decl: length, comment: "// Len returns the number of elements that are stored at the moment.", lost: []string{"about"}},
		{decl: length, comment: "// Len returns the number of callers that Len can copy.", lost: []string{"words"}},
		{decl: "func Stored(a string) int", comment: "// Stored returns a number of elements that are opened at the moment.", lost: []string{"about"}},
		{decl: "func Sum(x []int) (n int)", comment: "// Sum returns the number of elements that x stored at the moment."},
		{decl: "func CopyAll(x []int) (n int)", comment: "// CopyAll returns the number of elements that it copies at the moment."},

		// The verb and the results.
		{decl: exists, comment: "// FileExists returns whether the file at path exists at the moment.", lost: []string{"verb"}},
		{decl: exists, comment: "// FileExists closes the file at path that exists at the moment."},
		{decl: length, comment: "// Len reports the number of elements stored in the list.", lost: []string{"verb"}},
		{decl: closes, comment: "// Close returns the Conn that is stored in it at the moment.", lost: []string{"verb"}},
		{decl: length, comment: "// Len is the number of elements stored in the list.", lost: []string{"verb"}},

		// Repetition.
		{decl: length, comment: "// Len returns the the number of elements in the list.", lost: []string{"repetition"}},
		{decl: length, comment: "// Len returns the number of elements, the number of list.", lost: []string{"repetition"}},
		{decl: length, comment: "// Len returns the elements of the list that are stored and are stored.", lost: nil},
		{decl: length, comment: "// Len returns the list of elements, are stored and are stored.", lost: []string{"repetition"}},

		// Nothing but the name.
		{decl: length, comment: "// Len.", lost: notLength},
		{decl: length, comment: "", lost: notLength},
	} {
		got := rule.Score(mustParse(t, c.decl), c.comment, !c.cut)
		var lost []string
		for i, x := range got.Items() {
			switch {
			case ItemNames[i] == "length": // TestRuleLength
			case x == 0:
				lost = append(lost, ItemNames[i])
			case x != Weights.Items()[i]:
				t.Errorf("%q: %s earns %v of %v", c.comment, ItemNames[i], x, Weights.Items()[i])
			}
		}
		if !slices.Equal(lost, c.lost) {
			t.Errorf("%s\n%q loses %v, want %v", c.decl, c.comment, lost, c.lost)
		}
	}
}

func TestRuleLength(t *testing.T) {
	rule := testRule()
	f := mustParse(t, "func (l *List[T]) Len() int")
	for _, c := range []struct {
		words int
		want  float64
	}{{0, 0}, {1, 0}, {MinWords - 1, 0}, {MinWords, Weights.Length}, {MaxWords, Weights.Length}, {MaxWords + 1, 0}} {
		comment := strings.TrimSpace(strings.Repeat("elements ", c.words)) + "."
		if got := rule.Score(f, comment, true).Length; got != c.want {
			t.Errorf("a comment of %d words earns %v for its length, want %v", c.words, got, c.want)
		}
	}
}

func TestRuleGivesAShortCommentNothingForWhatItLeavesOut(t *testing.T) {
	got := testRule().Score(mustParse(t, "func (l *List[T]) Len() int"), "// Len returns the number of list elements.", true)
	if got.Words != 0 || got.Repetition != 0 || got.Sentence == 0 {
		t.Errorf("a comment below %d words earns %+v", MinWords, got)
	}
}

func TestRuleWeightsSumToOne(t *testing.T) {
	if math.Abs(Weights.Total()-1) > 1e-12 {
		t.Errorf("the weights sum to %v", Weights.Total())
	}
}

func TestRuleSurvivesItsVocabulary(t *testing.T) {
	rule := testRule()
	words := rule.Vocabulary()
	if !slices.IsSorted(words) || slices.Contains(words, "zebras") || !slices.Contains(words, "elements") {
		t.Errorf("vocabulary %q", words)
	}
	f := mustParse(t, "func (l *List) Len() int")
	for _, c := range []string{"// Len returns the number of zebras.", "// Len returns the number of elements."} {
		if a, b := rule.Score(f, c, true), RuleFromVocabulary(words).Score(f, c, true); a != b {
			t.Errorf("%q: %v and %v", c, a, b)
		}
	}
}

func TestSentences(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"A b. C d", []string{"A b.", "C d"}},
		{"It reads e.g. bytes (i.e. octets). Good!", []string{"It reads e.g. bytes (i.e. octets).", "Good!"}},
		{"It calls fmt.Print (if any.) It ends.", []string{"It calls fmt.Print (if any.)", "It ends."}},
		{"It waits... then ends.", []string{"It waits... then ends."}},
		{"", nil},
	} {
		if got := Sentences(c.text); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

func TestFittingTakesWholeSentences(t *testing.T) {
	text := "One two. Three four. Five."
	for limit, want := range map[int]string{3: "", 8: "One two.", 19: "One two.", 20: "One two. Three four.", 99: text} {
		if got := Fitting(text, func(s string) bool { return len(s) <= limit }); got != want {
			t.Errorf("limit %d: %q, want %q", limit, got, want)
		}
	}
}

func TestPartsCutIdentifiersAtTheirWords(t *testing.T) {
	for ident, want := range map[string]string{"readHTTPBody": "read http body", "SumSHAKE256": "sum shake256", "max_len": "max len", "x": "x", "ID": "id", "": ""} {
		if got := strings.Join(parts(ident), " "); got != want {
			t.Errorf("%s: %q, want %q", ident, got, want)
		}
	}
}

func TestStemsMeet(t *testing.T) {
	for _, group := range []string{"read reads reading reader", "stop stops stopped stopping", "copy copies copied", "close closes closed closing",
		"encode encoder encoding encodes", "normalize normalizes normalized normalization", "creation create creates", "byte bytes"} {
		ws := strings.Fields(group)
		for _, w := range ws[1:] {
			if stem(w) != stem(ws[0]) {
				t.Errorf("%s and %s have stems %s and %s", ws[0], w, stem(ws[0]), stem(w))
			}
		}
	}
}

func TestAnnotatorRanks(t *testing.T) {
	rule := testRule()
	f := mustParse(t, "func (l *List[T]) Len() int")
	good := Answer{"// Len returns the number of elements stored in the list.", true}
	bad := Answer{"// Len zebras zebras zebras", false}
	mid := Answer{"// Len returns the number of elements that are stored at the moment.", true}
	ranks, scores := Annotator{Rule: rule}.Rank(f, []Answer{bad, good, mid, good}, 7)
	if !slices.Equal(ranks, []int{4, 1, 3, 1}) {
		t.Errorf("ranks %v", ranks)
	}
	if scores[1].Total() <= scores[2].Total() || scores[2].Total() <= scores[0].Total() {
		t.Errorf("scores %v", scores)
	}

	// Under noise, too, equal texts tie, and the noise depends on seed and
	// prompt only.
	noisy := Annotator{Rule: rule, Noise: 1, Seed: 1}
	orders := map[string]bool{}
	for p := range uint64(200) {
		a, _ := noisy.Rank(f, []Answer{bad, good, mid, good}, p)
		b, _ := noisy.Rank(f, []Answer{bad, good, mid, good}, p)
		if a[1] != a[3] || !slices.Equal(a, b) {
			t.Fatalf("prompt %d: ranks %v and %v", p, a, b)
		}
		orders[fmt.Sprint(a)] = true
	}
	if len(orders) < 5 {
		t.Errorf("only %d of 6 orders in 200 prompts of strong noise", len(orders))
	}
}

func TestNoiseForReachesTheAgreementAskedFor(t *testing.T) {
	rule := testRule()
	f := mustParse(t, "func (l *List[T]) Len() int")
	answers := []Answer{
		{"// Len returns the number of elements stored in the list.", true},
		{"// Len returns the number of elements that are stored at the moment.", true},
		{"// Len is the number of zebras", true},
		{"// Len zebras zebras", false},
	}
	totals := make([][]float64, 4000)
	for p := range totals {
		for _, a := range answers {
			totals[p] = append(totals[p], rule.Score(f, a.Comment, a.Ended).Total())
		}
	}
	noise, err := NoiseFor(totals, .835)
	if err != nil {
		t.Fatal(err)
	}
	ranks := make([][]int, len(totals))
	for p := range ranks {
		ranks[p], _ = Annotator{Rule: rule, Noise: noise, Seed: 5}.Rank(f, answers, uint64(p))
	}
	share, pairs := Agreement(totals, ranks)
	if pairs != 6*len(totals) || math.Abs(share-.835) > .01 {
		t.Errorf("noise %.3f: agreement %.3f over %d pairs", noise, share, pairs)
	}
	if _, err := NoiseFor([][]float64{{.5, .5}, {1}}, .8); err == nil {
		t.Error("scores without a difference gave a noise")
	}
	if _, err := NoiseFor(totals, 1); err == nil {
		t.Error("perfect agreement gave a noise")
	}
}
