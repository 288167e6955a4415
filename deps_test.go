// Package alma_test holds the house together: which package may import which.
package alma_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/seed-b72bdb6c/alma"

// floors gives each package its floor, as docs/architecture.md draws them. A
// package imports packages on lower floors, and its own parents. "NAME/..."
// stands for all packages below NAME.
var floors = map[string]int{
	"compute":             0,
	"compute/reference":   0,
	"compute/count":       0,
	"compute/cpu":         0,
	"compute/cpu/kernel":  0,
	"compute/xla":         0,
	"compute/computetest": 0,

	"jinja": 0,

	"artifact":     1,
	"artifact/...": 1,
	"rows":         1,
	"stats":        1,
	"progress":     1,
	"tokenizer":    1,
	"chat":         2,
	"stage":        2,

	"model":   2,
	"corpus":  2,
	"dataset": 2,

	"corpus/langid":      2,
	"corpus/filter":      2,
	"corpus/dedup":       2,
	"corpus/source/warc": 2,

	"dataset/show": 2,

	"model/file": 2,

	"train":    3,
	"generate": 3,
	"embed":    3,

	"generate/answers": 3,

	"train/preference": 3,
	"train/rollout":    3,

	"train/vocabulary": 4,
	"train/tokenize":   4,
	"train/pretrain":   4,
	"train/sft":        4,
	"train/classify":   4,
	"train/reward":     4,
	"train/ppo":        4,
	"train/dpo":        4,
	"train/grpo":       4,
	"sample":           4,
	"converse":         4,
	"judge":            4,
	"evaluate":         4,
	"export":           4,
	"report":           4,
	"rank":             4,
	"serve":            4,
	"dash":             4,

	"examples/...": 5,
	"recipes":      5,
	"bench":        5,
	"diagnose":     5,

	"recipe": 6,

	"cmd/alma": 7,
}

// stairs are the imports within a floor that are no import of a parent.
var stairs = map[string][]string{
	"compute/cpu":         {"compute/cpu/kernel"},
	"compute/computetest": {"compute/reference"},
	"corpus":              {"stage", "corpus/filter", "corpus/dedup"},
	"corpus/filter":       {"corpus/langid"},
	"dataset":             {"chat"},
	"dataset/show":        {"chat"},
	"export":              {"evaluate"},
	"train/rollout":       {"generate"},
}

// doors are the packages that alone may import something, with all below them.
var doors = map[string][]string{
	"unsafe":       {"compute/cpu", "compute/xla"},
	"C":            {},
	"net/http":     {"serve", "rank", "dash", "corpus/source"},
	"math/rand":    {}, // random numbers come from counters: compute.Bits
	"math/rand/v2": {"artifact/faultfs"},
}

// assembly are the packages that may hold assembly, with all below them.
var assembly = []string{"compute/cpu", "compute/xla"}

// floorOf returns the floor of a package, false if it has none.
func floorOf(pkg string) (int, bool) {
	if floor, ok := floors[pkg]; ok {
		return floor, true
	}
	for parent := path.Dir(pkg); parent != "."; parent = path.Dir(parent) {
		if floor, ok := floors[parent+"/..."]; ok {
			return floor, true
		}
	}
	return 0, false
}

// refusal says why a package may not import another package of the module, ""
// if it may. Tests may also import from their own floor.
func refusal(pkg, imported string, test bool) string {
	from, ok := floorOf(pkg)
	if !ok {
		return "package " + pkg + " has no floor: give it one in deps_test.go and docs/architecture.md"
	}
	to, ok := floorOf(imported)
	if !ok {
		return "package " + imported + " has no floor: give it one in deps_test.go and docs/architecture.md"
	}
	switch {
	case to < from, test && to == from, below(pkg, imported), slices.Contains(stairs[pkg], imported):
		return ""
	}
	return "package " + pkg + " on floor " + strconv.Itoa(from) + " imports " + imported + " on floor " + strconv.Itoa(to) +
		": a package imports lower floors and its own parents"
}

// below tells whether a package is parent or lies under it.
func below(pkg, parent string) bool {
	return pkg == parent || strings.HasPrefix(pkg, parent+"/")
}

func belowAny(pkg string, parents []string) bool {
	return slices.ContainsFunc(parents, func(parent string) bool { return below(pkg, parent) })
}

// shut says why a package may not import a package with a door, "" if it may.
// Tests may open all of them but unsafe and cgo.
func shut(pkg, imported string, test bool) string {
	allowed, ok := doors[imported]
	if !ok || belowAny(pkg, allowed) || test && imported != "unsafe" && imported != "C" {
		return ""
	}
	if len(allowed) == 0 {
		return "package " + pkg + " imports " + imported + ", which no package may"
	}
	return "package " + pkg + " imports " + imported + ", which only " + strings.Join(allowed, ", ") + " may"
}

// Every Go file counts, whatever its build constraints: what another machine
// would build is held to the same floors.
func TestPackagesImportOnlyLowerFloorsAndTheirParents(t *testing.T) {
	packages := map[string]bool{}
	eachSource(t, func(pkg, file string) {
		if path.Ext(file) == ".s" {
			if !belowAny(pkg, assembly) {
				t.Errorf("%s: assembly belongs under %s", file, strings.Join(assembly, " and "))
			}
			return
		}
		if pkg == "." { // this package, which has no place in the house
			return
		}
		if _, ok := floorOf(pkg); !ok {
			if !packages[pkg] {
				t.Errorf("package %s has no floor: give it one in deps_test.go and docs/architecture.md", pkg)
			}
			packages[pkg] = true
			return
		}
		packages[pkg] = true
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Errorf("reading imports: %v", err)
			return
		}
		test := strings.HasSuffix(file, "_test.go")
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Errorf("%s: import %s: %v", file, spec.Path.Value, err)
				continue
			}
			why := shut(pkg, imported, test)
			if inner, ok := strings.CutPrefix(imported, module+"/"); ok && !(test && inner == pkg) {
				why = refusal(pkg, inner, test)
			}
			if why != "" {
				t.Errorf("%s: %s", file, why)
			}
		}
	})
	if !packages["compute"] {
		t.Errorf("found packages %v, and compute is not among them", packages)
	}
}

// The table of docs/architecture.md says the same as this file: every package that
// there is stands in it, on its floor, and nothing else does.
func TestTheTableOfTheHouseIsTrue(t *testing.T) {
	text, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	drawn := map[string]int{}
	for line := range strings.SplitSeq(string(text), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		floor, err := strconv.Atoi(strings.TrimSpace(cells[1]))
		if err != nil {
			continue
		}
		for i, name := range strings.Split(cells[2], "`") {
			if i%2 == 0 {
				continue
			}
			if _, twice := drawn[name]; twice {
				t.Errorf("docs/architecture.md draws %s twice", name)
			}
			drawn[name] = floor
		}
	}
	there := map[string]bool{}
	eachSource(t, func(pkg, _ string) { there[pkg] = pkg != "." })
	for pkg, real := range there {
		floor, ok := floorOf(pkg)
		if !real || !ok { // the other test says so
			continue
		}
		if at, ok := drawn[pkg]; !ok {
			t.Errorf("docs/architecture.md does not draw %s (floor %d)", pkg, floor)
		} else if at != floor {
			t.Errorf("docs/architecture.md draws %s on floor %d, and its floor is %d", pkg, at, floor)
		}
	}
	for name := range drawn {
		if !there[name] {
			t.Errorf("docs/architecture.md draws %s, and there is no such package", name)
		}
	}
}

// eachSource visits the Go and assembly files of the module, but not those of
// modules inside it, nor what the go command ignores.
func eachSource(t *testing.T, visit func(pkg, file string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() {
			if ext := filepath.Ext(name); ext == ".go" || ext == ".s" {
				visit(filepath.ToSlash(filepath.Dir(name)), filepath.ToSlash(name))
			}
			return nil
		}
		if name == "." {
			return nil
		}
		base := d.Name()
		if base == "testdata" || base == "vendor" || strings.HasPrefix(base, "_") || strings.HasPrefix(base, ".") {
			return fs.SkipDir
		}
		if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheRulesOfTheHouse(t *testing.T) {
	for _, c := range []struct {
		pkg, imported string
		test, allowed bool
	}{
		{"train", "model", false, true},
		{"model", "compute/cpu", false, true},
		{"compute/reference", "compute", false, true},
		{"compute/cpu", "compute/cpu/kernel", false, true},
		{"compute/computetest", "compute/reference", false, true},
		{"compute/cpu/kernel", "compute/cpu", false, true},
		{"recipe", "train/ppo", false, true},
		{"cmd/alma", "recipe", false, true},
		{"compute/cpu", "compute/computetest", true, true},
		{"corpus", "stage", false, true},
		{"dataset", "chat", false, true},

		{"compute", "compute/reference", false, false},
		{"compute/reference", "compute/computetest", false, false},
		{"compute/cpu", "compute/reference", false, false},
		{"corpus", "dataset", false, false},
		{"train", "generate", false, false},
		{"train/sft", "train/pretrain", false, false},
		{"train", "train/sft", false, false},
		{"evaluate", "train/reward", false, false},
		{"model", "train", true, false},
		{"recipe", "cmd/alma", false, false},
		{"mystery", "compute", false, false},
		{"recipe", "mystery", false, false},
		{"corpuscle", "compute", false, false},
	} {
		if why := refusal(c.pkg, c.imported, c.test); (why == "") != c.allowed {
			t.Errorf("%s importing %s (in a test: %v): %q, want allowed %v", c.pkg, c.imported, c.test, why, c.allowed)
		}
	}
	for _, c := range []struct {
		pkg, imported string
		test, open    bool
	}{
		{"compute/cpu/kernel", "unsafe", false, true},
		{"artifact", "unsafe", false, false},
		{"artifact", "unsafe", true, false},
		{"serve", "net/http", false, true},
		{"report", "net/http", false, false},
		{"report", "net/http", true, true},
		{"server", "net/http", false, false},
		{"generate", "math/rand/v2", false, false},
		{"generate", "math/rand", true, true},
		{"compute/cpu", "C", false, false},
		{"artifact", "os", false, true},
	} {
		if why := shut(c.pkg, c.imported, c.test); (why == "") != c.open {
			t.Errorf("%s importing %s (in a test: %v): %q, want open %v", c.pkg, c.imported, c.test, why, c.open)
		}
	}
}
