package artifact_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
)

func TestContentsAreWrittenInTheOrderOfNames(t *testing.T) {
	folder := t.TempDir()
	var order []string
	content := func(name string) func(io.Writer) error {
		return func(w io.Writer) error {
			order = append(order, name)
			_, err := io.WriteString(w, name)
			return err
		}
	}
	if err := artifact.WriteContents(folder, artifact.Contents{"c": content("c"), "a": content("a"), "b": content("b")}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b", "c"}; !reflect.DeepEqual(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
	for _, name := range order {
		if data, err := os.ReadFile(filepath.Join(folder, name)); err != nil || string(data) != name {
			t.Errorf("%s holds %q, %v", name, data, err)
		}
	}
}

func TestContentThatFailsLeavesTheFileAsItWas(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "model.safetensors")
	if n, err := artifact.WriteContent(path, artifact.Bytes([]byte("old"))); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	cause := errors.New("no such tensor")
	_, err := artifact.WriteContent(path, func(w io.Writer) error {
		_, err := io.WriteString(w, "new and longer")
		return errors.Join(err, cause)
	})
	if !errors.Is(err, cause) {
		t.Errorf("%v, want %v", err, cause)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "old" {
		t.Errorf("the file holds %q, %v", data, err)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
		t.Errorf("left are %v, %v", entries, err)
	}
}
