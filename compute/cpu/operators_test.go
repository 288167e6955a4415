package cpu

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute"
)

// operatorTypes are the types of package compute that have a method Kind.
func operatorTypes(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../*.go")
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && f.Name.Name == "Kind" && !strings.HasSuffix(name, "_test.go") {
				types = append(types, f.Recv.List[0].Type.(*ast.Ident).Name)
			}
		}
	}
	return types
}

func TestEveryOperatorHasARow(t *testing.T) {
	types := operatorTypes(t)
	if !slices.Contains(types, "LinearOp") || len(types) < 30 {
		t.Fatalf("found %v", types)
	}
	var rows []string
	for row := range operators {
		rows = append(rows, row.Name())
	}
	for _, name := range types {
		if !slices.Contains(rows, name) {
			t.Errorf("%s has no row", name)
		}
	}
	for _, row := range rows {
		if !slices.Contains(types, row) {
			t.Errorf("the row of %s is that of no operator", row)
		}
	}
}

// unknown is an operator of nobody's.
type unknown struct{ compute.FillOp }

func (unknown) Kind() string { return "unknown" }

func TestAnOperatorWithoutARowDoesNotCompile(t *testing.T) {
	e := New(Options{Threads: 1})
	defer e.Close()
	p := compute.NewProgram("strange")
	y := p.Input("x", compute.Float32, 2)
	sum := compute.Exp(y)
	sum.Node.Op = unknown{}
	p.Output("y", sum)
	if _, err := e.Compile(p, e.NewStore()); err == nil || !strings.Contains(err.Error(), "operator unknown (node 1): the cpu engine does not know this operator (cpu.unknown)") {
		t.Errorf("%v", err)
	}
}
