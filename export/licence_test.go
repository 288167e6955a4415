package export

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/artifact/gguf"
)

func TestTheLicenceOfAFolderStandsAtTheHeadOfItsReadme(t *testing.T) {
	for _, test := range []struct{ readme, want string }{
		{"---\nlanguage: en\nlicense: apache-2.0\n---\n# Name\n", "apache-2.0"},
		{"---\r\nlicense: \"mit\"\r\n---\r\n", "mit"},
		{"---\ntags:\n- x\n---\nlicense: mit\n", ""},
		{"# Name\nlicense: mit\n", ""},
		{"---\nlicense: " + strings.Repeat("x", 1000) + "\n---\n", ""},
		{"", ""},
	} {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, "README.md"), []byte(test.readme), 0o666); err != nil {
			t.Fatal(err)
		}
		if got := Licence(folder); got != test.want {
			t.Errorf("%.40q has the licence %q, want %q", test.readme, got, test.want)
		}
	}
	if got := Licence(t.TempDir()); got != "" {
		t.Errorf("a folder without README.md has the licence %q", got)
	}
}

func TestTheLicenceOfAGGUFFileIsCarriedToWhatIsMadeOfIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "base.gguf")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	err = gguf.Write(file, []gguf.Entry{{Key: "general.license", Value: "apache-2.0"}}, []gguf.Tensor{{
		Name: "x", Shape: []int{1}, Type: gguf.F32, Values: func() ([]float32, error) { return []float32{1}, nil },
	}})
	if err != nil || file.Close() != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "import")
	stage, err := artifact.Begin(folder, "import", struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	stage.Manifest.Extra = map[string]string{LicenceKey: Licence(path)}
	if _, err := stage.Finish(); err != nil {
		t.Fatal(err)
	}
	for _, source := range []string{path, folder} {
		if got := Licence(source); got != "apache-2.0" {
			t.Errorf("%s has the licence %q", source, got)
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
