package recipe

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/seed-b72bdb6c/alma/stage"
)

// MaxBytes is the size of the largest recipe read, and maxNesting how many
// brackets may be open at once. A recipe has some hundred lines; the parser
// takes time quadratic in size and depth, so what is far beyond that is
// refused before it is parsed.
const (
	MaxBytes   = 64 << 10
	maxNesting = 64
)

func unreadable(path string, err error) *Error {
	e := &Error{File: path, Err: err}
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		e.Err = pathError.Err // the path is in File already
	}
	if errors.Is(err, fs.ErrNotExist) {
		e.missing = true
	}
	e.Err = fmt.Errorf("%w; give the path of a recipe, such as recipes/godoc.yaml", e.Err)
	return e
}

// reader collects faults while it fills the fields.
type reader struct {
	file  string
	lines []string // of the file
	root  *field
	kinds []*stage.Stage // that a stage may use
	steps []*Step        // the stages, as written
	errs  Errors
}

func newReader(file string, data []byte, root *field) *reader {
	r := &reader{file: file, root: root}
	if len(data) <= MaxBytes && utf8.Valid(data) {
		r.lines = strings.Split(string(data), "\n")
	}
	return r
}

// read fills the fields from the text, then from the overrides.
func (r *reader) read(data []byte, set []string) {
	if body, ok := r.parse(data); ok && body != nil {
		r.section(body, r.root)
	}
	for _, s := range set {
		r.override(s)
	}
}

func (r *reader) fail(at *token.Token, key, problem string) *Error {
	e := &Error{File: r.file, Key: key, Problem: problem}
	if at != nil && at.Position != nil {
		e.Line, e.Column = at.Position.Line, at.Position.Column
		if e.Line <= len(r.lines) {
			e.Source = strings.TrimRight(r.lines[e.Line-1], "\r")
		}
	}
	r.errs = append(r.errs, e)
	return e
}

// parse returns the body of the only document, nil for an empty file; ok is
// false when a fault was recorded.
func (r *reader) parse(data []byte) (body ast.Node, ok bool) {
	if len(data) > MaxBytes {
		r.fail(nil, "", fmt.Sprintf("the file is larger than %d bytes; a recipe holds settings, not data", MaxBytes))
		return nil, false
	}
	if line, bad := notText(data); bad {
		r.fail(nil, "", "found bytes that are not UTF-8 text; save the file as UTF-8").Line = line
		return nil, false
	}
	if line, bad := tooDeep(data); bad {
		r.fail(nil, "", fmt.Sprintf("more than %d brackets are open at once", maxNesting)).Line = line
		return nil, false
	}
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		e := r.fail(nil, "", "")
		var syntax yaml.Error
		if errors.As(err, &syntax) {
			e.Problem = "not YAML: " + syntax.GetMessage()
			if t := syntax.GetToken(); t != nil && t.Position != nil {
				e.Line, e.Column = t.Position.Line, t.Position.Column
			}
		} else {
			e.Err = err
		}
		return nil, false
	}
	for _, doc := range file.Docs {
		if doc == nil || doc.Body == nil {
			continue
		}
		if _, comment := doc.Body.(*ast.CommentGroupNode); comment {
			continue
		}
		if body != nil {
			r.fail(doc.Body.GetToken(), "", "found a second document; a recipe is one")
			return nil, false
		}
		body = doc.Body
	}
	return body, true
}

func notText(data []byte) (line int, bad bool) {
	if utf8.Valid(data) && bytes.IndexByte(data, 0) < 0 {
		return 0, false
	}
	line = 1
	for len(data) > 0 {
		c, n := utf8.DecodeRune(data)
		if c == 0 || c == utf8.RuneError && n == 1 {
			break
		}
		if c == '\n' {
			line++
		}
		data = data[n:]
	}
	return line, true
}

func tooDeep(data []byte) (line int, bad bool) {
	line, depth := 1, 0
	for _, c := range data {
		switch c {
		case '\n':
			line++
		case '[', '{':
			if depth++; depth > maxNesting {
				return line, true
			}
		case ']', '}':
			depth = max(depth-1, 0)
		}
	}
	return 0, false
}

// section reads a mapping into the fields of f.
func (r *reader) section(node ast.Node, f *field) {
	var entries []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		entries = n.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{n}
	case *ast.NullNode: // `ppo:` with nothing below leaves every value alone
	default:
		r.fail(node.GetToken(), f.key, fmt.Sprintf("found %s, needs a section with the keys %s",
			describe(node), strings.Join(f.childNames(), ", ")))
		return
	}
	seen := map[string]int{}
	for _, entry := range entries {
		at := entry.Key.GetToken()
		name, ok := stringOf(entry.Key)
		if !ok {
			if entry.Key.IsMergeKey() {
				r.fail(at, f.key, "found a merge key, which recipes do not use (write the values out)")
				continue
			}
			name = tokenText(entry.Key)
		}
		child := f.child(name)
		if child != nil && child.stage != nil && f == r.root {
			r.fail(at, name, "is the name of a stage, which stands under stages:")
			continue
		}
		if child == nil {
			r.unknown(r.fail(at, join(f.key, name), ""), name, f)
			continue
		}
		child = f.share(child, tokenText(entry.Value))
		if line, twice := seen[name]; twice {
			r.fail(at, child.key, fmt.Sprintf("set twice; the first time in line %d", line))
			continue
		}
		seen[name] = 0
		if at != nil && at.Position != nil {
			seen[name] = at.Position.Line
		}
		if child.stages {
			r.stages(entry.Value)
			continue
		}
		if child.section {
			r.section(entry.Value, child)
			continue
		}
		child.at = place(entry.Value, at)
		if r.value(entry.Value, child, at) {
			child.origin = Origin{Kind: FromRecipe, File: r.file, Line: seen[name]}
		}
	}
}

// unknown completes the error for a name that section f does not have.
func (r *reader) unknown(e *Error, name string, f *field) {
	names := f.childNames()
	if e.Set != "" && f == r.root { // a stage's name stands before its keys
		for _, step := range r.steps {
			names = append(names, step.Name)
		}
	}
	e.Problem = fmt.Sprintf("unknown key; allowed here: %s", strings.Join(names, ", "))
	if len(names) == 0 {
		e.Problem = "unknown key; nothing is allowed here"
	}
	if e.Nearest = nearest(name, names); e.Nearest != "" {
		e.Nearest = join(f.key, e.Nearest)
	} else {
		// Perhaps the right name in the wrong section.
		r.root.leaves(func(leaf *field) {
			if leaf.name == name && e.Nearest == "" {
				e.Nearest = leaf.key
			}
		})
	}
	if e.Nearest != "" {
		e.Problem = fmt.Sprintf("unknown key; did you mean %s? allowed here: %s", e.Nearest, strings.Join(names, ", "))
	}
}

// value reads a scalar or a list into f and reports whether it could. A fault
// in the middle of a list is placed at its element.
func (r *reader) value(node ast.Node, f *field, key *token.Token) bool {
	before := len(r.errs)
	t := f.value.Type()
	if t.Kind() != reflect.Slice || isText(t) {
		r.scalar(node, f.value, f.limits, f.key, key)
		return len(r.errs) == before
	}
	list, ok := node.(*ast.SequenceNode)
	if !ok && f.input && isString(node) { // one input need not be a list
		list, ok = &ast.SequenceNode{Values: []ast.Node{node}}, true
	}
	if !ok {
		r.fail(place(node, key), f.key, mismatch(describe(node), f.limits, t).Error())
		return false
	}
	// A fresh slice: the default's array may be shared.
	out := reflect.MakeSlice(t, len(list.Values), len(list.Values))
	for i, item := range list.Values {
		element, at := out.Index(i), fmt.Sprintf("%s[%d]", f.key, i)
		if element.Kind() != reflect.Struct || isText(element.Type()) {
			r.scalar(item, element, f.limits, at, key)
			continue
		}
		section := &field{key: at, value: element, section: true}
		if err := section.buildSection(); err != nil {
			r.fail(place(item, key), at, "").Err = err
			continue
		}
		r.section(item, section)
	}
	f.value.Set(out)
	return len(r.errs) == before
}

func (r *reader) scalar(node ast.Node, v reflect.Value, l limits, key string, at *token.Token) {
	if err := convertScalar(node, v, l); err != nil {
		r.fail(place(node, at), key, err.Error())
	}
}

// place is where a value stands; an absent value stands at its key.
func place(node ast.Node, key *token.Token) *token.Token {
	if _, null := node.(*ast.NullNode); null && key != nil {
		return key
	}
	if t := node.GetToken(); t != nil {
		return t
	}
	return key
}

// override applies one `section.key=value`.
func (r *reader) override(set string) {
	key, text, ok := strings.Cut(set, "=")
	key = strings.TrimSpace(key)
	fail := func(problem string) *Error {
		e := &Error{Set: set, Key: key, Problem: problem}
		r.errs = append(r.errs, e)
		return e
	}
	if !ok {
		fail("needs the form section.key=value")
		return
	}
	f := r.root
	path := strings.Split(key, ".")
	for i, name := range path {
		child := f.child(name)
		switch {
		case child == nil:
			r.unknown(fail(""), name, f)
			return
		case child.section:
			f = child
			if i == len(path)-1 {
				fail("is a section; set one of " + strings.Join(f.childNames(), ", "))
				return
			}
		case i < len(path)-1:
			fail(fmt.Sprintf("%s is a value (%s), not a section", child.key, child.limits.allowed(child.value.Type())))
			return
		default:
			f = f.share(child, text)
		}
	}
	if err := r.overrideValue(f, text); err != nil {
		fail(err.Error())
		return
	}
	f.origin = Origin{Kind: FromSet}
}

func (r *reader) overrideValue(f *field, text string) error {
	t := f.value.Type()
	if t == durationType || isText(t) || t.Kind() == reflect.String {
		return convertText(text, f.value, f.limits)
	}
	// Read the text as a recipe would, but keep its faults from the file's.
	inner := newReader("--set", nil, r.root)
	body, ok := inner.parse([]byte(text))
	if ok && body == nil {
		return mismatch("nothing", f.limits, t)
	}
	if ok && inner.value(body, f, nil) {
		return nil
	}
	first := inner.errs[0]
	if first.Key != "" && first.Key != f.key {
		return fmt.Errorf("%s: %s", first.Key, first.Problem)
	}
	return errors.New(first.Problem)
}

// validate asks every section, inner ones first, for faults between values.
func (r *reader) validate() {
	r.root.sections(func(f *field) {
		v, ok := f.value.Addr().Interface().(interface{ Validate() error })
		if !ok {
			return
		}
		if err := v.Validate(); err != nil {
			r.errs = append(r.errs, &Error{File: r.file, Key: f.key, Err: err})
		}
	})
}
