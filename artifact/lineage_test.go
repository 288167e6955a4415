package artifact

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// chain makes data → a → b, with c made of both, below a folder.
func chain(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	data := filepath.Join(dir, "data.txt")
	if err := os.WriteFile(data, []byte("words"), 0o644); err != nil {
		t.Fatal(err)
	}
	make := func(name string, inputs map[string]string) {
		t.Helper()
		s, err := Begin(filepath.Join(dir, "run", name), "kind-"+name, map[string]int{"x": 1})
		if err != nil {
			t.Fatal(err)
		}
		for role, path := range inputs {
			if err := s.AddInput(role, path); err != nil {
				t.Fatal(err)
			}
		}
		if err := WriteFile(s.Path("part.txt"), []byte(name)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Finish(); err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(dir, "run", name) }
	make("a", map[string]string{"text": data})
	make("b", map[string]string{"base": at("a")})
	make("c", map[string]string{"base": at("b"), "file": filepath.Join(at("a"), "part.txt")})
	return dir
}

// faults lists the problems of a chain.
func faults(l *Link) []string {
	var list []string
	for _, p := range l.Problems {
		list = append(list, filepath.Base(l.Path)+" "+p)
	}
	for _, in := range l.Inputs {
		list = append(list, faults(in)...)
	}
	return list
}

func TestAChainLeadsBackToTheData(t *testing.T) {
	dir := chain(t)
	l, err := Trace(filepath.Join(dir, "run", "c"), true, nil)
	if err != nil {
		t.Fatal(err)
	}
	if l.Manifest.Kind != "kind-c" || len(l.Inputs) != 2 || l.Inputs[0].Role != "base" || l.Inputs[1].Role != "file" || l.Inputs[1].Part != "part.txt" || l.Inputs[1].Manifest.Kind != "kind-a" {
		t.Fatalf("the chain is %+v", l)
	}
	data := l.Inputs[0].Inputs[0].Inputs[0]
	if data.Role != "text" || data.Manifest != nil || filepath.Base(data.Path) != "data.txt" || data.SHA256 != data.Recorded {
		t.Errorf("it ends at %+v", data)
	}
	if found := faults(l); len(found) > 0 {
		t.Errorf("problems: %v", found)
	}
}

func TestWhatChangedOrIsGoneIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(dir string) error
		want   string
	}{
		"other data":        {func(dir string) error { return os.WriteFile(filepath.Join(dir, "data.txt"), []byte("other"), 0o644) }, "data.txt has other content"},
		"no data":           {func(dir string) error { return os.Remove(filepath.Join(dir, "data.txt")) }, "data.txt is gone"},
		"a changed part":    {func(dir string) error { return os.WriteFile(filepath.Join(dir, "run/a/part.txt"), []byte("A"), 0o644) }, "part.txt has other content"},
		"a damaged stage":   {func(dir string) error { return os.WriteFile(filepath.Join(dir, "run/b/part.txt"), []byte("B"), 0o644) }, "checksum"},
		"a stage that went": {func(dir string) error { return os.RemoveAll(filepath.Join(dir, "run/b")) }, "b is gone"},
	} {
		dir := chain(t)
		if err := c.change(dir); err != nil {
			t.Fatal(err)
		}
		l, err := Trace(filepath.Join(dir, "run", "c"), true, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if found := strings.Join(faults(l), "; "); !strings.Contains(found, c.want) {
			t.Errorf("%s: %q, want %q", name, found, c.want)
		}
	}
	if _, err := Trace(filepath.Join(t.TempDir(), "none"), false, nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("of nothing: %v", err)
	}
}

// Recorded paths are where things were; a run that was moved as a whole is still one.
func TestARunThatWasMovedKeepsItsChain(t *testing.T) {
	dir := chain(t)
	if err := os.Rename(filepath.Join(dir, "run"), filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	l, err := Trace(filepath.Join(dir, "moved", "c"), true, nil)
	if err != nil {
		t.Fatal(err)
	}
	if found := faults(l); len(found) > 0 {
		t.Errorf("problems: %v", found)
	}
}
