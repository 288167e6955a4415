package export

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/artifact/gguf"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
)

func TestWhatIsKnownOfAFolderStandsAtTheHeadOfItsReadme(t *testing.T) {
	for _, test := range []struct {
		readme string
		want   file.About
	}{
		{"---\nlanguage: en\nlicense: apache-2.0\n---\n# Name\n", file.About{Licence: "apache-2.0"}},
		{"---\r\nlicense: \"mit\"\r\n---\r\n", file.About{Licence: "mit"}},
		{"---\nmodel_name: 'Tiny: a model'\nmodel_author: A. Body # who\nlicense: other\nlicense_name: tiny-1\nlicense_link: https://example.org/tiny#1\n---\n",
			file.About{Name: "Tiny: a model", Author: "A. Body", Licence: "other", LicenceName: "tiny-1", LicenceLink: "https://example.org/tiny#1"}},
		{"---\ntags:\n- x\n---\nlicense: mit\n", file.About{}},
		{"# Name\nlicense: mit\n", file.About{}},
		{"---\nbase:\n  license: mit\n---\n", file.About{}},
		{"---\nlicense: " + strings.Repeat("x", 1000) + "\nmodel_name: a\x1b[2J\n---\n", file.About{}},
		{"", file.About{}},
	} {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, "README.md"), []byte(test.readme), 0o666); err != nil {
			t.Fatal(err)
		}
		if got := About(folder); got != test.want {
			t.Errorf("%.40q says %+v, want %+v", test.readme, got, test.want)
		}
	}
	if got := About(t.TempDir()); got != (file.About{}) {
		t.Errorf("a folder without README.md says %+v", got)
	}
}

func TestTheLicenceOfAGGUFFileIsCarriedToWhatIsMadeOfIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "base.gguf")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	err = gguf.Write(out, []gguf.Entry{{Key: "general.license", Value: "apache-2.0"}, {Key: "general.author", Value: uint32(7)}}, []gguf.Tensor{{
		Name: "x", Shape: []int{1}, Type: gguf.F32, Values: func() ([]float32, error) { return []float32{1}, nil },
	}})
	if err != nil || out.Close() != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "import")
	stage, err := artifact.Begin(folder, "import", struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	stage.Manifest.Extra = About(path).Card()
	if _, err := stage.Finish(); err != nil {
		t.Fatal(err)
	}
	for _, source := range []string{path, folder} {
		if got, want := About(source), (file.About{Licence: "apache-2.0"}); got != want {
			t.Errorf("%s says %+v, want %+v", source, got, want)
		}
	}
	var card strings.Builder
	cardLicence(func(format string, args ...any) {
		card.WriteString(strings.TrimSpace(fmt.Sprintf(format, args...)) + "\n")
	},
		[]ancestor{{role: "model", path: t.TempDir()}, {role: "base", path: folder}, {role: "base", path: path, note: "changed since"}})
	if got, want := card.String(), "## Licence\n\n- the base `import` came under \"apache-2.0\"\n"; got != want {
		t.Errorf("the card says %q, want %q", got, want)
	}
}

// What a folder of somebody else says goes to the file and to the card, in both
// formats; a stage of alma's says nothing, and gets a name alone.
func TestAnExportSaysOfTheModelWhatItsSourceSays(t *testing.T) {
	m, tok, stage := source(t, model.Llama, "")
	folder := t.TempDir()
	want := file.About{Name: "Tiny 1", Author: "A. Body", Licence: "other", LicenceName: "tiny-1", LicenceLink: "https://example.org/tiny"}
	digest, err := artifact.HashInput(stage)
	if err != nil {
		t.Fatal(err)
	}
	head := "---\nmodel_name: Tiny 1\nmodel_author: A. Body\nlicense: other\nlicense_name: tiny-1\nlicense_link: https://example.org/tiny\n---\n"
	if err := os.WriteFile(filepath.Join(folder, "README.md"), []byte(head), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{HuggingFace, GGUF} {
		for from, want := range map[string]file.About{folder: want, stage: {Name: filepath.Base(filepath.Dir(stage)) + "-sft", Lineage: digest}} {
			o := Options{Source: from, Format: format, Type: "f16", Out: filepath.Join(t.TempDir(), "out")}
			if _, err := Write(t.Context(), m, tok, o); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{o.Out, o.Path()} { // the card, and the file where it is GGUF
				if got := About(path); got != want {
					t.Errorf("%s says %+v, want %+v", path, got, want)
				}
			}
		}
	}
}
