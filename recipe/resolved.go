package recipe

import (
	"bufio"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// OriginKind says who decided a value.
type OriginKind int

// The origins, in rising order of precedence.
const (
	Default    OriginKind = iota // the code
	Chosen                       // by the stage, from what it reads
	Derived                      // computed from the budget
	FromRecipe                   // a line of the recipe
	FromSet                      // a --set of the command line
)

// Origin is where a value comes from.
type Origin struct {
	Kind   OriginKind
	File   string // FromRecipe
	Line   int    // FromRecipe; 1-based
	Reason string // Derived: "budget 15m"; Chosen: "a published model of 134,515,008 parameters"
}

// String writes `default`, `chosen: a published model`, `derived from budget 15m`,
// `FILE:LINE` or `--set`.
func (o Origin) String() string {
	switch o.Kind {
	case Chosen:
		return "chosen: " + o.Reason
	case Derived:
		return "derived from " + o.Reason
	case FromRecipe:
		return fmt.Sprintf("%s:%d", o.File, o.Line)
	case FromSet:
		return "--set"
	}
	return "default"
}

// MarshalText writes the origin as String does.
func (o Origin) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Value is one resolved value.
type Value struct {
	Key    string `json:"key"`    // dotted, `ppo.beta`; list elements `corpus.sources[0].path`
	Value  any    `json:"value"`  // with the field's Go type
	Text   string `json:"text"`   // as one would write it in a recipe
	Origin Origin `json:"origin"` // a list's elements have the list's
	Doc    string `json:"doc"`    // the field's doc tag
}

// Resolved is a configuration whose every value knows its origin.
type Resolved struct {
	Values []Value // in the order in which the structs declare them
}

func newResolved(root *field) *Resolved {
	r := &Resolved{}
	root.leaves(func(f *field) { r.add(f, f.origin) })
	return r
}

func (r *Resolved) add(f *field, origin Origin) {
	t := f.value.Type()
	if t.Kind() != reflect.Slice || isText(t) || t.Elem().Kind() != reflect.Struct || isText(t.Elem()) || f.value.Len() == 0 {
		r.Values = append(r.Values, Value{f.key, f.value.Interface(), valueText(f.value), origin, f.doc})
		return
	}
	for i := range f.value.Len() {
		element := &field{key: fmt.Sprintf("%s[%d]", f.key, i), value: f.value.Index(i), section: true}
		if err := element.buildSection(); err != nil {
			panic(err) // the type was described without fault when reading began
		}
		element.leaves(func(leaf *field) {
			if !leaf.value.IsZero() {
				r.add(leaf, origin)
			}
		})
	}
}

// Print writes a line a value: key, value, origin, in aligned columns.
func (r *Resolved) Print(w io.Writer) error {
	const widest = 48 // a longer value pushes its own origin only
	key, value := 0, 0
	for _, v := range r.Values {
		key = max(key, utf8.RuneCountInString(v.Key))
		value = max(value, min(utf8.RuneCountInString(v.Text), widest))
	}
	out := bufio.NewWriter(w)
	for _, v := range r.Values {
		fmt.Fprintf(out, "%-*s  %-*s  %s\n", key, v.Key, value, v.Text, v.Origin)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("printing the resolved recipe: %w", err)
	}
	return nil
}

// valueText writes a value as one would write it in a recipe.
func valueText(v reflect.Value) string {
	t := v.Type()
	if t.Kind() == reflect.Slice && !isText(t) {
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = valueText(v.Index(i))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	text := scalarText(v)
	if t.Kind() == reflect.String && needsQuotes(text) {
		return strconv.Quote(text)
	}
	return text
}

// needsQuotes reports whether YAML would read a bare text as something else.
func needsQuotes(s string) bool {
	if s == "" || strings.TrimSpace(s) != s || strings.ContainsAny(s, "\"'\\\n\t[]{}#&*!|>%@`,") ||
		strings.Contains(s, ": ") || strings.HasSuffix(s, ":") || strings.ContainsAny(s[:1], "-?:<=~") {
		return true
	}
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off":
		return true
	}
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}

// Field describes one value of a configuration for documentation.
type Field struct {
	Key     string // dotted; a list of structs appears as one field
	Default string // as one would write it in a recipe
	Allowed string // `an integer ≥ 1`
	Doc     string
}

// Describe lists the values of the configuration that defaults, a pointer to a
// struct, holds, in the order of declaration.
func Describe(defaults any) ([]Field, error) {
	v := reflect.ValueOf(defaults)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return nil, fmt.Errorf("describing a configuration of type %T: a pointer to a struct is needed", defaults)
	}
	root := &field{value: v.Elem(), section: true}
	if err := root.buildSection(); err != nil {
		return nil, err
	}
	var fields []Field
	root.leaves(func(f *field) {
		fields = append(fields, Field{f.key, valueText(f.value), f.limits.allowed(f.value.Type()), f.doc})
	})
	return fields, nil
}
