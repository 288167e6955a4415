package langid

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// labelled reads lines of code, tab and text.
func labelled(t testing.TB, path string) map[string][]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Skipf("no labelled texts: %v", err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string][]string{}
	for line := range strings.Lines(string(data)) {
		code, text, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok {
			t.Fatalf("%s: a line without a tab: %q", path, line)
		}
		texts[code] = append(texts[code], text)
	}
	return texts
}

func TestHeldOutSentencesAreToldRight(t *testing.T) {
	texts := labelled(t, filepath.Join("testdata", "held-out.tsv.gz"))
	for _, code := range Languages() {
		if len(texts[code]) == 0 && code != "si" { // Sinhala, which its script tells, is not among the packages
			t.Errorf("there are no sentences of %s", code)
		}
	}
	delete(texts, Unknown)
	m := Default().Measure(texts)
	t.Logf("%d sentences of %d languages: %.2f %% right; %d with at least .65, of them %.2f %%; wrong: %v",
		m.Texts, len(texts), 100*m.Accuracy(), m.Sure, 100*float64(m.SureRight)/float64(m.Sure), m.Confusions)
	if m.Accuracy() < .985 || float64(m.SureRight) < .99*float64(m.Sure) || float64(m.Sure) < .97*float64(m.Texts) {
		t.Errorf("of %d sentences %d are right, of %d that it is sure of %d", m.Texts, m.Right, m.Sure, m.SureRight)
	}
	for code, list := range texts {
		one := Default().Measure(map[string][]string{code: list})
		if one.Accuracy() < .8 {
			t.Errorf("%s: %d of %d right: %v", code, one.Right, one.Texts, one.Confusions)
		}
	}
}

// The probability is that of being right: in each tenth of the scale, the mean
// probability is near the share of right answers.
func TestProbabilitiesAreTrue(t *testing.T) {
	texts := labelled(t, filepath.Join("testdata", "held-out.tsv.gz"))
	delete(texts, Unknown)
	var sum, right, n [10]float64
	for code, list := range texts {
		for _, text := range list {
			// Pieces of twenty characters, so that many are doubtful.
			r := []rune(text)
			g := Identify(string(r[:min(20, len(r))]))
			k := min(9, int(g.Probability*10))
			n[k]++
			sum[k] += g.Probability
			if g.Language == code {
				right[k]++
			}
		}
	}
	off, total := 0., 0.
	for k := range n {
		off += math.Abs(sum[k] - right[k])
		total += n[k]
	}
	t.Logf("expected calibration error of pieces of twenty characters: %.3f", off/total)
	if off/total > .1 {
		t.Errorf("probabilities are off by %.3f on average", off/total)
	}
}

func TestTheScriptDecides(t *testing.T) {
	for text, want := range map[string]string{
		"":             Unknown,
		"12345 !? ---": Unknown,
		"Καλημέρα":     "el",
		"안녕하세요 세계":     "ko",
		"שלום עולם":    "he",
		"สวัสดีชาวโลก": "th",
		"ქართული ენა":  "ka",
		"ភាសាខ្មែរ":    Unknown, // Khmer, which is not known
		"今天天气很好，我们去公园散步吧。":                                             "zh",
		"今天天氣很好，我們去公園散步吧。":                                             "zh",
		"今日は天気がいいので、公園を散歩しましょう。":                                       "ja",
		"Привіт, як справи? Це дуже гарний день, і ми йдемо до міста.": "uk",
	} {
		if g := Identify(text); g.Language != want {
			t.Errorf("%q is taken for %s (%.2f), want %s", text, g.Language, g.Probability, want)
		}
	}
}

func TestAMixedTextHasItsSharesAsProbabilities(t *testing.T) {
	english := "The committee will meet again on Thursday to discuss the results of the survey. "
	greek := "Η επιτροπή θα συνεδριάσει ξανά την Πέμπτη για να συζητήσει τα αποτελέσματα της έρευνας. "
	scores := Default().Scores(english + greek)
	if len(scores) < 2 || scores[0].Probability > .65 || scores[0].Probability+scores[1].Probability < .9 {
		t.Errorf("scores %v", scores[:min(3, len(scores))])
	}
	total := 0.
	for i, g := range scores {
		total += g.Probability
		if i > 0 && g.Probability > scores[i-1].Probability {
			t.Errorf("%v stands after %v", g, scores[i-1])
		}
	}
	if math.Abs(total-1) > 1e-9 {
		t.Errorf("probabilities add up to %v", total)
	}
}

// accumulate must find what walk finds: it is the same, at speed.
func TestSumsAreThoseOfThePlainWalk(t *testing.T) {
	m := Default()
	texts := []string{"Hello, wörld — déjà vu! Привет мир. 你好，世界 mixed日本語text ひらがな", strings.Repeat("многа букав and letters ", 50), "a\xffb\xe4", "𠀀𠀁 漢"}
	for _, list := range labelled(t, filepath.Join("testdata", "held-out.tsv.gz")) {
		texts = append(texts, list[0])
	}
	for _, text := range texts {
		var want [maxGroups][8 * maxWidth]int64
		var features [maxGroups]int
		letters := walk(text, func(g int, hash uint64) {
			table := &m.tables[g]
			features[g]++
			for lane := range groups[g].languages {
				want[g][lane] += int64(table.weight(int(hash>>table.shift), lane))
			}
		})
		got := m.sums(text)
		for g := range groups {
			if got[g].letters != letters[g] || got[g].features != features[g] || got[g].totals != want[g] {
				t.Errorf("%.20q, %s: %d letters and %d features, want %d and %d, or other sums", text, groups[g].name, got[g].letters, got[g].features, letters[g], features[g])
			}
		}
	}
}

// A long text is read in parts, all over it, which never begin or end within a
// character.
func TestALongTextIsReadAllOver(t *testing.T) {
	english := strings.Repeat("The committee will meet again on Thursday to discuss the results of the survey. ", 1000)
	greek := strings.Repeat("Η επιτροπή θα συνεδριάσει ξανά την Πέμπτη για να συζητήσει τα αποτελέσματα της έρευνας. ", 500)
	scores := Default().Scores(english + greek + english)
	if g := scores[0]; g.Language != "en" || g.Probability < .7 || g.Probability > .9 {
		t.Errorf("scores %v", scores[:2])
	}
	chinese := strings.Repeat("今天天气很好，我们去公园散步吧。", 1000)
	for lead := range 3 { // bytes before
		if g := Identify(strings.Repeat(".", lead) + chinese); g.Language != "zh" || g.Probability < .99 {
			t.Errorf("Chinese after %d bytes is %v", lead, g)
		}
	}
}

func TestGroupsFitTheirTables(t *testing.T) {
	if len(groups) != maxGroups || groups[hanGroup].name != "Han" {
		t.Errorf("%d groups, and number %d is %s", len(groups), hanGroup, groups[hanGroup].name)
	}
	for _, g := range groups {
		if g.bits > 0 && len(g.languages) > 8*maxWidth || g.bits == 0 && len(g.languages) != 1 {
			t.Errorf("%s has %d languages", g.name, len(g.languages))
		}
	}
	if n := len(Languages()); n < 20 {
		t.Errorf("only %d languages", n)
	}
	for r := range rune(0x10000) {
		if (groupOf(r) > 0) != (unicode.IsLetter(r) || unicode.In(r, unicode.Mn, unicode.Mc) && groupOf(r) > 0) {
			t.Fatalf("%U: group %d, and a letter: %v", r, groupOf(r), unicode.IsLetter(r))
		}
	}
}

func TestTheModelIsSmallAndIsReadAsWritten(t *testing.T) {
	if len(embedded) > 2<<20 {
		t.Errorf("the model has %d bytes", len(embedded))
	}
	var again bytes.Buffer
	if _, err := Default().WriteTo(&again); err != nil {
		t.Fatal(err)
	}
	m, err := Read(bytes.NewReader(again.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	for g := range m.tables {
		a, b := m.tables[g], Default().tables[g]
		if a.step != b.step || len(a.rows) != len(b.rows) {
			t.Fatalf("%s differs", groups[g].name)
		}
		for i := range a.rows {
			if a.rows[i] != b.rows[i] {
				t.Fatalf("%s differs at %d", groups[g].name, i)
			}
		}
	}
	for _, cut := range []int{0, 3, len(embedded) / 2, len(embedded) - 1} {
		if _, err := Read(bytes.NewReader(embedded[:cut])); !errors.Is(err, artifact.ErrCorrupt) {
			t.Errorf("a model cut at %d: %v", cut, err)
		}
	}
}

// The sentences of the whole test set, where it is.
func TestTheLabelledSentencesOfOthers(t *testing.T) {
	folder := os.Getenv("ALMA_SHARED_DATA")
	if folder == "" {
		folder = filepath.Join("..", "..", "..", "shared", "data")
	}
	texts := labelled(t, filepath.Join(folder, "langid", "sentences.tsv.gz"))
	texts["no"] = append(texts["nb"], texts["nn"]...)
	known := map[string][]string{}
	for _, code := range Languages() {
		known[code] = texts[code]
	}
	m := Default().Measure(known)
	t.Logf("%d sentences of %d languages: %.2f %% right; %d with at least .65, of them %.2f %%; wrong: %v",
		m.Texts, len(known), 100*m.Accuracy(), m.Sure, 100*float64(m.SureRight)/float64(m.Sure), m.Confusions)
	if m.Accuracy() < .95 {
		t.Errorf("%.2f %% right", 100*m.Accuracy())
	}
}

func TestFitNeedsTextOfEveryLanguage(t *testing.T) {
	_, err := Fit(map[string][]string{"en": {"only English"}}, nil)
	if !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), "no text for af") {
		t.Errorf("%v", err)
	}
}

func FuzzIdentify(f *testing.F) {
	for _, text := range []string{"", "hello", "\xff\xfe", "你好 world", "́́́", "ỮỮ\u2028", strings.Repeat("a", 600)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		total := 0.
		for _, g := range Default().Scores(text) {
			if !(g.Probability >= 0 && g.Probability <= 1+1e-9) {
				t.Errorf("%q: %v", text, g)
			}
			total += g.Probability
		}
		if math.Abs(total-1) > 1e-6 {
			t.Errorf("%q: probabilities add up to %v", text, total)
		}
	})
}

func BenchmarkIdentify(b *testing.B) {
	texts := labelled(b, filepath.Join("testdata", "held-out.tsv.gz"))
	for _, code := range []string{"en", "zh", "ru", "vi"} {
		text := strings.Join(texts[code], " ")
		text = strings.ToValidUTF8(text[:min(whole, len(text))], "") // which is read whole
		b.Run(code, func(b *testing.B) {
			Default()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				Identify(text)
			}
		})
	}
}
