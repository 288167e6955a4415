package artifact

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestAModelInPartsIsHashedAsAWhole(t *testing.T) {
	folder := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	sum := func(path string) string {
		t.Helper()
		sum, err := HashInput(path)
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	first, second := write("m-00001-of-00002.gguf", "a"), write("m-00002-of-00002.gguf", "b")
	before := sum(first)
	if sum(second) != before {
		t.Error("two parts of a model give two hashes")
	}
	write("m-00002-of-00002.gguf", "c")
	if sum(first) == before {
		t.Error("another second part gives the same hash")
	}
	if err := os.Remove(second); err != nil {
		t.Fatal(err)
	}
	if _, err := HashInput(first); ExitCode(err) == 0 {
		t.Error("a model without its second part has a hash")
	}
	for name, want := range map[string][]string{
		"x/m-00002-of-00003.gguf": {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf"},
		"x/m.gguf":                {"m.gguf"}, "m-00004-of-00003.gguf": {"m-00004-of-00003.gguf"}, "m-00001-of-99999.gguf": {"m-00001-of-99999.gguf"}, "m-1-of-2.gguf": {"m-1-of-2.gguf"},
	} {
		if got := PartsOf(name); !slices.Equal(got, want) {
			t.Errorf("the parts of %s are %q, want %q", name, got, want)
		}
	}
}
