package kernel

import (
	"slices"
	"strings"
	"testing"
)

// onEachSet runs f once with every instruction set that this machine runs.
func onEachSet(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	before := Name()
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			useSet(t, name)
			f(t)
		})
	}
	if Name() != before {
		t.Fatalf("instruction set left at %s, was %s", Name(), before)
	}
}

// useSet selects an instruction set until the test ends.
func useSet(tb testing.TB, name string) {
	tb.Helper()
	before := Name()
	if err := Select(name); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := Select(before); err != nil {
			tb.Fatal(err)
		}
	})
}

func TestSelectTakesEveryListedNameAndRefusesOthers(t *testing.T) {
	useSet(t, Name())
	for _, name := range Names() {
		if err := Select(name); err != nil || Name() != name {
			t.Errorf("Select(%q) = %v, Name() = %q", name, err, Name())
		}
	}
	for _, name := range []string{"AVX2", "sse", "avx513", " portable"} {
		if err := Select("portable"); err != nil {
			t.Fatal(err)
		}
		if err := Select(name); err == nil {
			t.Errorf("Select(%q) succeeded", name)
		}
		if Name() != "portable" {
			t.Errorf("Select(%q) failed but changed the set to %s", name, Name())
		}
	}
}

func TestSelectEmptyMeansTheBestSet(t *testing.T) {
	useSet(t, "portable")
	if err := Select(""); err != nil || Name() != Names()[0] {
		t.Errorf(`Select("") = %v, Name() = %q, want %q`, err, Name(), Names()[0])
	}
}

func TestSelectRefusesASetThatTheMachineLacksAndNamesWhatItHas(t *testing.T) {
	useSet(t, Name())
	lacking := 0
	for _, name := range levelNames {
		if slices.Contains(Names(), name) {
			continue
		}
		lacking++
		err := Select(name)
		if err == nil {
			t.Errorf("Select(%q) succeeded on a machine without it", name)
		} else if !strings.Contains(err.Error(), strings.Join(Names(), ", ")) {
			t.Errorf("Select(%q) = %q, which does not name %v", name, err, Names())
		}
	}
	if lacking == 0 {
		t.Skip("this machine runs every set")
	}
}

func TestUnknownEnvironmentValueIsReported(t *testing.T) {
	useSet(t, Name())
	before := selectError
	t.Cleanup(func() { selectError = before })
	t.Setenv(EnvName, "fastest")
	selectFromEnvironment()
	if SelectError() == nil {
		t.Error("SelectError() = nil for an unknown value")
	}
	if Name() != Names()[0] {
		t.Errorf("Name() = %s after an unknown value, want %s", Name(), Names()[0])
	}
	t.Setenv(EnvName, "portable")
	selectFromEnvironment()
	if SelectError() != nil || Name() != "portable" {
		t.Errorf("after portable: SelectError() = %v, Name() = %s", SelectError(), Name())
	}
}
