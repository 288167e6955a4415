package godoc

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/seed-b72bdb6c/alma/corpus"
)

// A Function is a function or method declared in the tree.
type Function struct {
	ImportPath string `json:"import_path"`
	File       string `json:"file"` // path below src
	Line       int    `json:"line"`
	Name       string `json:"name"`
	// Recv is the receiver's type without star and type parameters, or "".
	Recv string `json:"recv,omitempty"`
	// Decl is the declaration without body on one line, as in
	// "func (b *Buffer) Len() int".
	Decl string `json:"decl"`
	// Doc is the whole sentences of the comment's first paragraph on one line,
	// beginning with Name and a space, or "" where the function is not
	// documented.
	Doc string `json:"doc,omitempty"`
	// Params are the names of the parameters, "_" left out.
	Params []string `json:"params,omitempty"`
	// Types are the identifiers of types in the parameters and receiver,
	// without package names, each once.
	Types []string `json:"types,omitempty"`
	// Results are the types of the results as written, one for each value.
	Results  []string `json:"results,omitempty"`
	Exported bool     `json:"exported"`
}

// PromptHeader begins every prompt. All of a prompt is one line, so that it can
// be typed in a chat.
const PromptHeader = "Write the doc comment for:"

// Prompt is the user's turn: PromptHeader, a space, the declaration.
func (f Function) Prompt() string { return PromptHeader + " " + f.Decl }

// Prefill is the beginning of the answer that is given to the model.
func (f Function) Prefill() string { return "// " + f.Name }

// Answer is what follows Prefill in the demonstration, beginning with a
// space; Prefill + Answer is the comment on one line. It is "" for a function
// without Doc.
func (f Function) Answer() string { return strings.TrimPrefix(f.Doc, f.Name) }

// ParsePrompt is the inverse of Prompt, up to what the prompt does not hold
// (import path, file, line, documentation).
func ParsePrompt(prompt string) (Function, error) {
	decl, ok := strings.CutPrefix(prompt, PromptHeader+" ")
	if !ok {
		return Function{}, fmt.Errorf("reading prompt %q: it does not begin with %q", clip(prompt), PromptHeader)
	}
	return ParseDecl(decl)
}

// ParseDecl reads a declaration such as "func (b *Buffer) Len() int".
func ParseDecl(decl string) (Function, error) {
	f, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+decl, parser.SkipObjectResolution)
	if err != nil {
		return Function{}, fmt.Errorf("parsing declaration %q: %w", clip(decl), err)
	}
	if len(f.Decls) == 1 {
		if d, ok := f.Decls[0].(*ast.FuncDecl); ok && d.Body == nil {
			return newFunction(d), nil
		}
	}
	return Function{}, fmt.Errorf("parsing declaration %q: it must be one function without a body", clip(decl))
}

func clip(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}

// newFunction fills what follows from the declaration alone.
func newFunction(d *ast.FuncDecl) Function {
	f := Function{Name: d.Name.Name, Exported: d.Name.IsExported()}
	var decl strings.Builder
	decl.WriteString("func ")
	seen := map[string]bool{}
	addTypes := func(x ast.Expr) {
		for _, name := range typeNames(x) {
			if !seen[name] {
				seen[name] = true
				f.Types = append(f.Types, name)
			}
		}
	}
	if d.Recv != nil && len(d.Recv.List) > 0 {
		r := d.Recv.List[0]
		decl.WriteByte('(')
		if len(r.Names) > 0 {
			decl.WriteString(r.Names[0].Name + " ")
		}
		decl.WriteString(types.ExprString(r.Type) + ") ")
		f.Recv = receiverName(r.Type)
		addTypes(r.Type)
	}
	decl.WriteString(d.Name.Name)
	decl.WriteString(strings.TrimPrefix(types.ExprString(d.Type), "func"))
	f.Decl = strings.Join(strings.Fields(decl.String()), " ")
	if d.Type.TypeParams != nil {
		// types.ExprString leaves the type parameters of a function type out.
		var list []string
		for _, p := range d.Type.TypeParams.List {
			var names []string
			for _, n := range p.Names {
				names = append(names, n.Name)
			}
			list = append(list, strings.Join(names, ", ")+" "+types.ExprString(p.Type))
		}
		f.Decl = strings.Replace(f.Decl, d.Name.Name+"(", d.Name.Name+"["+strings.Join(list, ", ")+"](", 1)
	}
	for _, p := range d.Type.Params.List {
		for _, n := range p.Names {
			if n.Name != "_" {
				f.Params = append(f.Params, n.Name)
			}
		}
		addTypes(p.Type)
	}
	if d.Type.Results != nil {
		for _, r := range d.Type.Results.List {
			for range max(1, len(r.Names)) {
				f.Results = append(f.Results, types.ExprString(r.Type))
			}
		}
	}
	return f
}

// receiverName strips star, parentheses and type parameters.
func receiverName(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.StarExpr:
		return receiverName(x.X)
	case *ast.ParenExpr:
		return receiverName(x.X)
	case *ast.IndexExpr:
		return receiverName(x.X)
	case *ast.IndexListExpr:
		return receiverName(x.X)
	case *ast.Ident:
		return x.Name
	}
	return ""
}

// typeNames lists the identifiers of a type in the order they stand in it,
// package names and the names of fields and parameters left out.
func typeNames(x ast.Expr) []string {
	var names []string
	ast.Inspect(x, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			names = append(names, n.Sel.Name)
			return false
		case *ast.Field:
			names = append(names, typeNames(n.Type)...)
			return false
		case *ast.Ident:
			names = append(names, n.Name)
		}
		return true
	})
	return names
}

// Reasons for which functions are not taken.
const (
	LongDecl      corpus.Reason = "declaration too long"
	NoSubject     corpus.Reason = "init, main or blank name"
	Convention    corpus.Reason = "comment does not begin with the name"
	NoSentence    corpus.Reason = "comment without a whole sentence"
	SameFunction  corpus.Reason = "same declaration and comment as an earlier function"
	StrangeLetter corpus.Reason = "comment not in printable text"
)

// A Set is the functions of a tree, each list in lexical order of the files
// and in the order of the file.
type Set struct {
	// Documented functions have a Doc.
	Documented []Function
	// Undocumented functions have none: no comment at all.
	Undocumented []Function
	// Seen counts all declarations that were read, Commented those with any
	// comment, Refused those in neither list, by reason.
	Seen, Commented int
	Refused         map[corpus.Reason]int
}

// In returns the functions of one split. The counts stay those of the whole.
func (s Set) In(split corpus.Split, shares corpus.Shares) Set {
	pick := func(all []Function) []Function {
		var out []Function
		for _, f := range all {
			if shares.Of(f.ImportPath) == split {
				out = append(out, f)
			}
		}
		return out
	}
	s.Documented, s.Undocumented = pick(s.Documented), pick(s.Undocumented)
	return s
}

// Functions reads all functions of the tree, of files that Source would leave
// out for their share of comments too. Among functions that agree in
// declaration and comment only the first stays, so that none is in two splits;
// an undocumented function whose declaration appeared before is dropped too.
func Functions(ctx context.Context, opts Options) (Set, error) {
	root, err := FindRoot(opts.Root)
	if err != nil {
		return Set{}, err
	}
	maxDecl := opts.MaxDecl
	if maxDecl == 0 {
		maxDecl = DefaultMaxDecl
	}
	set := Set{Refused: map[corpus.Reason]int{}}
	type key struct{ decl, doc string }
	seen := map[key]bool{}
	err = walk(ctx, root, "", func(f goFile) error {
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, f.path, f.text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			set.Refused[Unparsable]++
			return nil
		}
		for _, d := range parsed.Decls {
			d, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			set.Seen++
			fn := newFunction(d)
			fn.ImportPath, fn.File, fn.Line = f.importPath, f.path, fset.Position(d.Pos()).Line
			comment := d.Doc.Text()
			if comment != "" {
				set.Commented++
			}
			if reason := fn.document(comment); reason != "" {
				set.Refused[reason]++
				continue
			}
			if len(fn.Decl) > maxDecl {
				set.Refused[LongDecl]++
				continue
			}
			if k := (key{fn.Decl, fn.Doc}); seen[k] {
				set.Refused[SameFunction]++
				continue
			} else {
				seen[k] = true
			}
			if fn.Doc != "" {
				set.Documented = append(set.Documented, fn)
			} else {
				set.Undocumented = append(set.Undocumented, fn)
			}
		}
		return nil
	}, func(corpus.Refusal) {})
	if err != nil {
		return Set{}, err
	}
	if set.Seen == 0 {
		return Set{}, fmt.Errorf("reading functions of %s: %w; name the folder of a Go installation with sources", root, errors.New("no Go function found"))
	}
	return set, nil
}

// document sets Doc from a comment's text, or returns why it cannot.
func (f *Function) document(comment string) corpus.Reason {
	switch {
	case f.Name == "_" || f.Name == "main" || f.Name == "init" && f.Recv == "":
		return NoSubject
	case strings.TrimSpace(comment) == "":
		return ""
	case strings.ContainsFunc(comment, func(r rune) bool {
		return r == utf8.RuneError || unicode.IsControl(r) && !unicode.IsSpace(r)
	}):
		return StrangeLetter
	}
	first, _, _ := strings.Cut(comment, "\n\n")
	var lines []string
	for line := range strings.Lines(first) {
		// An indented line begins code or a list, which end the paragraph.
		if line[0] == '\t' || line[0] == ' ' {
			break
		}
		lines = append(lines, strings.TrimSpace(line))
	}
	text := strings.Join(strings.Fields(strings.Join(lines, " ")), " ")
	if !strings.HasPrefix(text, f.Name+" ") {
		return Convention
	}
	sentences := Sentences(text)
	if n := len(sentences); n > 0 && !whole(sentences[n-1]) {
		sentences = sentences[:n-1]
	}
	if len(sentences) == 0 {
		return NoSentence
	}
	f.Doc = strings.Join(sentences, " ")
	return ""
}

// Comments returns the Docs of the functions as comments, "// " before each.
func Comments(fns []Function) []string {
	out := make([]string, len(fns))
	for i, f := range fns {
		out[i] = "// " + f.Doc
	}
	return out
}

// Packages returns the import paths of the functions, sorted, each once.
func Packages(fns []Function) []string {
	seen := map[string]bool{}
	var out []string
	for _, f := range fns {
		if !seen[f.ImportPath] {
			seen[f.ImportPath] = true
			out = append(out, f.ImportPath)
		}
	}
	sort.Strings(out)
	return out
}
