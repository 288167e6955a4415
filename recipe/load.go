package recipe

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// MaxBytes is the size of the largest recipe read, and maxNesting how many
// brackets may be open at once. A recipe has some hundred lines; the parser
// takes time quadratic in size and depth, so what is far beyond that is
// refused before it is parsed.
const (
	MaxBytes   = 64 << 10
	maxNesting = 64
)

// Options say how a recipe is resolved; the zero value reads the file alone.
type Options struct {
	// Set holds overrides, `section.key=value`, in the order of the command
	// line; a later one of the same key wins. The value of a string or
	// duration is taken as it stands, others are read as YAML (`[1, 2]`).
	Set []string

	// Derive fills values from the budget, by dotted key. It is called when
	// the resolved top-level `budget` is above 0. explicit holds what the
	// recipe and Set decide, by dotted key and with the field's Go type; those
	// keys keep their values whatever Derive returns. nil derives nothing.
	Derive func(budget time.Duration, explicit map[string]any) map[string]any
}

// Load reads the recipe at path into the struct that into points to. The
// struct comes in with the defaults and leaves resolved; on error it is
// unchanged. Errors in the recipe or in o.Set are of type Errors.
func Load(path string, into any, o Options) (*Resolved, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, Errors{unreadable(path, err)}
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, MaxBytes+1))
	if err != nil {
		return nil, Errors{unreadable(path, err)}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, Errors{{File: path, Problem: "the file is empty; a recipe says at least what differs from the defaults, see recipes/godoc.yaml"}}
	}
	return Parse(path, data, into, o)
}

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

// Parse is Load on the contents of a recipe; name stands for the file in
// errors and origins.
func Parse(name string, data []byte, into any, o Options) (*Resolved, error) {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.IsNil() || target.Elem().Kind() != reflect.Struct {
		return nil, fmt.Errorf("resolving recipe %s: the configuration is a %T; a pointer to a struct is needed", name, into)
	}
	work := reflect.New(target.Elem().Type()).Elem()
	work.Set(target.Elem())
	root := &field{value: work, section: true}
	if err := root.buildSection(); err != nil {
		return nil, err
	}
	r := &reader{file: name, root: root}
	if body, ok := r.parse(data); ok && body != nil {
		r.section(body, root)
	}
	for _, s := range o.Set {
		r.override(s)
	}
	// A derivation should not have to cope with values that are wrong.
	if len(r.errs) == 0 && o.Derive != nil {
		if err := derive(root, o.Derive); err != nil {
			return nil, fmt.Errorf("resolving recipe %s: %w", name, err)
		}
	}
	if len(r.errs) == 0 {
		r.validate()
	}
	if len(r.errs) > 0 {
		return nil, r.errs
	}
	target.Elem().Set(work)
	return newResolved(root), nil
}

// reader collects faults while it fills the fields.
type reader struct {
	file string
	root *field
	errs Errors
}

func (r *reader) fail(at *token.Token, key, problem string) *Error {
	e := &Error{File: r.file, Key: key, Problem: problem}
	if at != nil && at.Position != nil {
		e.Line, e.Column = at.Position.Line, at.Position.Column
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
		if child == nil {
			r.unknown(r.fail(at, join(f.key, name), ""), name, f)
			continue
		}
		if line, twice := seen[name]; twice {
			r.fail(at, child.key, fmt.Sprintf("set twice; the first time in line %d", line))
			continue
		}
		seen[name] = 0
		if at != nil && at.Position != nil {
			seen[name] = at.Position.Line
		}
		if child.section {
			child.mentioned = true
			r.section(entry.Value, child)
			continue
		}
		if r.value(entry.Value, child, at) {
			child.origin = Origin{Kind: FromRecipe, File: r.file, Line: seen[name]}
		}
	}
}

// unknown completes the error for a name that section f does not have.
func (r *reader) unknown(e *Error, name string, f *field) {
	names := f.childNames()
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
			child.mentioned = true
			f = child
			if i == len(path)-1 {
				fail("is a section; set one of " + strings.Join(f.childNames(), ", "))
				return
			}
		case i < len(path)-1:
			fail(fmt.Sprintf("%s is a value (%s), not a section", child.key, child.limits.allowed(child.value.Type())))
			return
		default:
			f = child
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
	inner := &reader{file: "--set", root: r.root}
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

// derive fills values that nobody set from the budget.
func derive(root *field, from func(time.Duration, map[string]any) map[string]any) error {
	budgetField := root.child("budget")
	if budgetField == nil || budgetField.value.Type() != durationType {
		return fmt.Errorf("deriving from the budget: the configuration has no top-level budget of type time.Duration")
	}
	budget := time.Duration(budgetField.value.Int())
	if budget <= 0 {
		return nil
	}
	explicit := map[string]any{}
	byKey := map[string]*field{}
	root.leaves(func(f *field) {
		byKey[f.key] = f
		if f.origin.Kind != Default {
			explicit[f.key] = f.value.Interface()
		}
	})
	derived := from(budget, explicit)
	keys := make([]string, 0, len(derived))
	for key := range derived {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		f := byKey[key]
		if f == nil {
			return fmt.Errorf("deriving from the budget %s: the configuration has no value %s", durationText(budget), key)
		}
		if f.origin.Kind != Default {
			continue
		}
		if err := convertAny(derived[key], f.value, f.limits); err != nil {
			return fmt.Errorf("deriving from the budget %s: %s: %w", durationText(budget), key, err)
		}
		f.origin = Origin{Kind: Derived, Budget: budget}
	}
	return nil
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
