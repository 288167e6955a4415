package tokenizer

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/golden.json and testdata/huggingface.json anew, from Hugging Face tokenizers")

const goldenVocab = 1024

// oracleRequest and oracleAnswer are what testdata/oracle.py reads and writes.
type oracleRequest struct {
	Train     *oracleTrain `json:"train,omitempty"`
	Tokenizer string       `json:"tokenizer,omitempty"`
	Texts     []string     `json:"texts"`
}

type oracleTrain struct {
	VocabSize     int      `json:"vocab_size"`
	SpecialTokens []string `json:"special_tokens"`
	Docs          []string `json:"docs"`
}

type oracleAnswer struct {
	Versions  map[string]string `json:"versions"`
	Tokenizer string            `json:"tokenizer,omitempty"`
	Texts     []oracleText      `json:"texts"`
}

type oracleText struct {
	Text   string   `json:"text"`
	Pieces []string `json:"pieces"`
	IDs    []int32  `json:"ids"`
	Half   string   `json:"half"` // the first half of the ids as text
}

// oracleTexts are the texts of the golden file: chosen ones, then strings of
// characters on which the regex's alternatives meet.
func oracleTexts() []string {
	texts := []string{
		"", " ", "  ", "\n", " \n ", "a", " a", "  a", "\ta", "\n\na", "a ", "a  ", "a \n", "a\n  b",
		"It's they're we've I'm I'll I'd don't", "IT'S", "'s", " 's", "''s", "!'s", "'re're", "'r", "'l", "'v", "a'", "'",
		"12 345 6a7 ½ Ⅷ ٣ 四", "x=1;y=\"2\"", "... !!! ?!", "func f() {\n\treturn 1\n}\n",
		"非常好 船到了港口，天已经黑了。", "夜の港に船が着いた。", "배가 항구에", "Où est l'été ?", "fährt über den Fluß",
		"🙂🚢 ⚓️ 👨‍👩‍👧", "e\u0301 a\u0308", "a\u00a0b \u3000 c\u2028d\u2029", "\x00\x1c\x1f\x7f\u0085", "\ufeffa\ufffd", "\u200b \u180e",
		"<|endoftext|>", "a<|im_start|>user\nb<|im_end|>\n<|pad|>", "<|im_start|", "<<|pad|>>", "<|endoftext|><|endoftext|>",
		strings.Repeat("a", 300), strings.Repeat("ab", 200), strings.Repeat(" ", 100) + "x", strings.Repeat("船到了港口", 60),
	}
	alphabet := []string{" ", " ", "\n", "\t", "\r", "\u00a0", "\u3000", "\u0085", "'", "s", "t", "re", "ve", "ll", "d",
		"a", "Z", "é", "ß", "中", "я", "1", "²", "٣", "!", "-", "。", "🙂", "\u0301", "\u200b", "\x1d", "_"}
	x := uint32(1)
	for range 300 {
		var b strings.Builder
		for range 12 {
			x = x*1664525 + 1013904223
			b.WriteString(alphabet[int(x>>16)%len(alphabet)])
		}
		texts = append(texts, b.String())
	}
	return texts
}

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func loadGolden(t testing.TB) oracleAnswer {
	t.Helper()
	var golden oracleAnswer
	if err := json.Unmarshal(readTestdata(t, "golden.json"), &golden); err != nil {
		t.Fatal(err)
	}
	return golden
}

// goldenTokenizer is the one that Hugging Face's trainer made of the corpus.
func goldenTokenizer(t testing.TB) *Tokenizer {
	t.Helper()
	tok, err := Parse(readTestdata(t, "huggingface.json"))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// goldenDocs are paragraphs in many languages, and the project's licence, so
// that there are enough repetitions to learn from.
func goldenDocs(t testing.TB) []string {
	t.Helper()
	licence, err := os.ReadFile("../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	return strings.SplitAfter(string(readTestdata(t, "corpus.txt"))+string(licence), "\n\n")
}

func TestPiecesAreThoseOfTheRegex(t *testing.T) {
	for _, want := range loadGolden(t).Texts {
		if got := slices.Collect(Pieces(want.Text)); !slices.Equal(got, want.Pieces) {
			t.Errorf("Pieces(%q) = %q, want %q", want.Text, got, want.Pieces)
		}
	}
}

func TestIDsAreThoseOfHuggingFace(t *testing.T) {
	compareWithOracle(t, goldenTokenizer(t), loadGolden(t))
}

func compareWithOracle(t *testing.T, tok *Tokenizer, answer oracleAnswer) {
	t.Helper()
	for _, want := range answer.Texts {
		ids := tok.EncodeWithSpecial(want.Text)
		if !slices.Equal(ids, want.IDs) {
			t.Errorf("EncodeWithSpecial(%.200q) = %v, want %v", want.Text, ids, want.IDs)
			continue
		}
		half, err := tok.Text(ids[:len(ids)/2])
		if err != nil || half != want.Half {
			t.Errorf("Text of the first half of %.200q = %q, %v, want %q", want.Text, half, err, want.Half)
		}
	}
}

func TestTrainMakesTheVocabularyOfHuggingFacesTrainer(t *testing.T) {
	want := goldenTokenizer(t)
	got, _, err := Train(context.Background(), seq(goldenDocs(t)...), Options{VocabSize: goldenVocab})
	if err != nil {
		t.Fatal(err)
	}
	sameTokenizer(t, got, want)
}

func sameTokenizer(t *testing.T, got, want *Tokenizer) {
	t.Helper()
	vocabulary := func(tok *Tokenizer) []byte { return tok.appendMerges(tok.appendVocab(nil)) }
	if !slices.Equal(got.added, want.added) {
		t.Fatalf("added tokens %v, want %v", got.added, want.added)
	}
	if !bytes.Equal(vocabulary(got), vocabulary(want)) {
		for i := range min(len(got.merges), len(want.merges)) {
			if got.merges[i] != want.merges[i] {
				t.Fatalf("merge %d is %v, want %v", i, got.merges[i], want.merges[i])
			}
		}
		t.Fatalf("vocabularies differ: %d and %d tokens, %d and %d merges", got.VocabSize(), want.VocabSize(), len(got.merges), len(want.merges))
	}
}

// TestAgainstHuggingFace asks the real thing. It needs Python with tokenizers
// and regex; with ALMA_ORACLE=1 it installs them into a temporary virtual
// environment.
func TestAgainstHuggingFace(t *testing.T) {
	python := findPython(t)
	var docs, texts []string
	size := 0
	files, err := filepath.Glob(filepath.Join(runtime.GOROOT(), "src", "*", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if size += len(data); size < 4<<20 {
			docs = append(docs, string(data))
		} else if size < 6<<20 {
			texts = append(texts, string(data))
		}
	}
	docs = append(docs, goldenDocs(t)...)
	texts = append(texts, oracleTexts()...)
	ours, _, err := Train(context.Background(), seq(docs...), Options{VocabSize: 4096})
	if err != nil {
		t.Fatal(err)
	}
	written, err := ours.Files()
	if err != nil {
		t.Fatal(err)
	}

	t.Run("loads what we write", func(t *testing.T) {
		compareWithOracle(t, ours, askOracle(t, python, oracleRequest{
			Tokenizer: string(written[TokenizerFile]), Texts: texts,
		}))
	})
	t.Run("trains the same vocabulary", func(t *testing.T) {
		answer := askOracle(t, python, oracleRequest{
			Train: &oracleTrain{4096, DefaultSpecialTokens(), docs},
		})
		theirs, err := Parse([]byte(answer.Tokenizer))
		if err != nil {
			t.Fatal(err)
		}
		sameTokenizer(t, ours, theirs)
	})
	t.Run("says what the golden file says", func(t *testing.T) {
		answer := askOracle(t, python, oracleRequest{
			Train: &oracleTrain{goldenVocab, DefaultSpecialTokens(), goldenDocs(t)},
			Texts: oracleTexts(),
		})
		theirs := answer.Tokenizer
		answer.Tokenizer = ""
		if *update {
			data, err := json.MarshalIndent(answer, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			writeTestdata(t, "golden.json", append(data, '\n'))
			writeTestdata(t, "huggingface.json", []byte(theirs))
			return
		}
		golden := loadGolden(t)
		if !reflect.DeepEqual(answer.Texts, golden.Texts) {
			t.Errorf("testdata/golden.json is not what %v say; run this test with -update", answer.Versions)
		}
	})
}

func writeTestdata(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join("testdata", name), data, 0o666); err != nil {
		t.Fatal(err)
	}
}

// findPython returns a Python that has the oracle's packages, or skips the test.
func findPython(t *testing.T) string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 here; the golden files stand in for it")
	}
	if exec.Command(python, "-c", "import tokenizers, regex").Run() == nil {
		return python
	}
	if os.Getenv("ALMA_ORACLE") == "" {
		t.Skip("python3 has no tokenizers and regex; set ALMA_ORACLE=1 to install them into a temporary folder; the golden files stand in for them")
	}
	dir := t.TempDir()
	for _, args := range [][]string{
		{python, "-m", "venv", dir},
		{filepath.Join(dir, "bin", "pip"), "install", "--quiet", "tokenizers", "regex"},
	} {
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("cannot install the oracle's packages: %v: %v: %s", args, err, out)
		}
	}
	return filepath.Join(dir, "bin", "python")
}

func askOracle(t *testing.T, python string, request oracleRequest) oracleAnswer {
	t.Helper()
	if request.Texts == nil {
		request.Texts = []string{}
	}
	in, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "oracle.py"))
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("oracle.py: %v\n%s", err, stderr.String())
	}
	var answer oracleAnswer
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatal(fmt.Errorf("oracle.py's answer: %w", err))
	}
	return answer
}

// seq makes a document iterator of strings.
func seq(docs ...string) func(func(string, error) bool) {
	return func(yield func(string, error) bool) {
		for _, d := range docs {
			if !yield(d, nil) {
				return
			}
		}
	}
}
