package recipe

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/token"
)

// field is a node of the configuration: a section with children or a value.
type field struct {
	name, key string
	doc       string
	value     reflect.Value // settable
	section   bool
	children  []*field
	limits    limits
	origin    Origin
	at        *token.Token // where the recipe sets it
	stages    bool         // the map of stages at the top of a recipe, whose sections are the root's
	stage     *Step        // the section of a stage
	input     bool         // of a stage: the name of another one, or a path
}

// limits restrict a value, or each element of a list.
type limits struct {
	enum            []string
	min, max, above *float64
}

var (
	durationType        = reflect.TypeFor[time.Duration]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
	boundType           = reflect.TypeFor[Bound]()
	textMarshalerType   = reflect.TypeFor[encoding.TextMarshaler]()
)

func isText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textUnmarshalerType) }

// buildSection fills f.children from the struct in f.value.
func (f *field) buildSection() error {
	t := f.value.Type()
	for i := range t.NumField() {
		sf := t.Field(i)
		name, _, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		if name == "-" || !sf.IsExported() && !sf.Anonymous {
			continue
		}
		if sf.Anonymous && name == "" && sf.Type.Kind() == reflect.Struct && !isText(sf.Type) {
			inline := &field{key: f.key, value: f.value.Field(i)}
			if err := inline.buildSection(); err != nil {
				return err
			}
			for _, child := range inline.children {
				if err := f.add(child); err != nil {
					return err
				}
			}
			continue
		}
		if !sf.IsExported() {
			continue
		}
		if name == "" {
			name = strings.ToLower(sf.Name)
		}
		child := &field{name: name, key: join(f.key, name), doc: sf.Tag.Get("doc"), value: f.value.Field(i)}
		if err := child.build(sf); err != nil {
			return err
		}
		if err := f.add(child); err != nil {
			return err
		}
	}
	return nil
}

func join(section, name string) string {
	if section == "" {
		return name
	}
	return section + "." + name
}

func (f *field) add(child *field) error {
	if f.child(child.name) != nil {
		return fmt.Errorf("describing configuration %v: two fields are named %q", f.value.Type(), child.key)
	}
	f.children = append(f.children, child)
	return nil
}

func (f *field) child(name string) *field {
	for _, c := range f.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// share is the field that a value is meant for: where an input is a number, as in
// validation: 0.1, the share to hold out of another input.
func (f *field) share(child *field, text string) *field {
	share := f.child(child.name + "_share")
	if _, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil && child.input && share != nil {
		return share
	}
	return child
}

// childNames lists what may stand in a section of the file.
func (f *field) childNames() []string {
	var names []string
	for _, c := range f.children {
		if c.stage == nil {
			names = append(names, c.name)
		}
	}
	return names
}

func (f *field) build(sf reflect.StructField) error {
	if err := f.limits.parse(sf.Tag); err != nil {
		return fmt.Errorf("describing configuration key %s: %w", f.key, err)
	}
	t := f.value.Type()
	if t.Kind() == reflect.Struct && !isText(t) {
		f.section = true
		return f.buildSection()
	}
	if t.Kind() == reflect.Slice && !isText(t) {
		t = t.Elem()
		if t.Kind() == reflect.Struct && !isText(t) {
			probe := &field{key: f.key + "[0]", value: reflect.New(t).Elem()}
			return probe.buildSection()
		}
	}
	if isText(t) || t == durationType {
		return nil
	}
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return nil
	}
	return fmt.Errorf("describing configuration key %s: fields of type %v are not supported", f.key, f.value.Type())
}

func (l *limits) parse(tag reflect.StructTag) error {
	if enum, ok := tag.Lookup("enum"); ok {
		l.enum = strings.Split(enum, ",")
	}
	for name, to := range map[string]**float64{"min": &l.min, "max": &l.max, "above": &l.above} {
		if text, ok := tag.Lookup(name); ok {
			x, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return fmt.Errorf("reading its tag %s:%q: %w", name, text, err)
			}
			*to = &x
		}
	}
	return nil
}

// leaves calls visit for every value below f in the order of declaration.
func (f *field) leaves(visit func(*field)) {
	if f.stages {
		return
	}
	if !f.section {
		visit(f)
		return
	}
	for _, c := range f.children {
		c.leaves(visit)
	}
}

// sections calls visit for every section below f, inner ones first, f last.
func (f *field) sections(visit func(*field)) {
	for _, c := range f.children {
		if c.section {
			c.sections(visit)
		}
	}
	visit(f)
}

// allowed describes what may stand at a value of type t: "an integer ≥ 1".
func (l limits) allowed(t reflect.Type) string {
	var what string
	switch {
	case t == durationType:
		what = "a duration such as 15m or 2h"
	case t == boundType:
		what = "a number"
	case isText(t):
		what = "text"
	case t.Kind() == reflect.Struct:
		return "keys and values"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.String:
		what = "a string"
	case t.Kind() == reflect.Slice:
		return "a list, each element " + l.allowed(t.Elem())
	case isInteger(t):
		what = "an integer"
	default:
		what = "a number"
	}
	if len(l.enum) > 0 {
		return "one of " + strings.Join(l.enum, ", ")
	}
	var bounds []string
	if l.above != nil {
		bounds = append(bounds, "> "+number(*l.above))
	}
	if l.min != nil {
		bounds = append(bounds, "≥ "+number(*l.min))
	}
	if l.max != nil {
		bounds = append(bounds, "≤ "+number(*l.max))
	}
	if len(bounds) > 0 {
		what += " " + strings.Join(bounds, " and ")
	}
	return what
}

func isInteger(t reflect.Type) bool {
	return t != durationType && t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

// check reports whether v, which already has its type, is within the limits.
// Bounds of a duration are in seconds.
func (l limits) check(v reflect.Value) bool {
	if v.Kind() == reflect.Slice && !isText(v.Type()) {
		for i := range v.Len() {
			if !l.check(v.Index(i)) {
				return false
			}
		}
		return true
	}
	if len(l.enum) > 0 {
		text := scalarText(v)
		for _, e := range l.enum {
			if e == text {
				return true
			}
		}
		return false
	}
	var x float64
	switch {
	case v.Type() == durationType:
		x = time.Duration(v.Int()).Seconds()
	case v.CanInt():
		x = float64(v.Int())
	case v.CanUint():
		x = float64(v.Uint())
	case v.CanFloat():
		x = v.Float()
	default:
		return true
	}
	return !(l.min != nil && x < *l.min || l.max != nil && x > *l.max || l.above != nil && x <= *l.above)
}

// scalarText writes a value as one would write it in a recipe, without quotes.
func scalarText(v reflect.Value) string {
	switch {
	case v.Type() == durationType:
		return durationText(time.Duration(v.Int()))
	case v.Type().Implements(textMarshalerType):
		if text, err := v.Interface().(encoding.TextMarshaler).MarshalText(); err == nil {
			return string(text)
		}
	case v.CanAddr() && v.Addr().Type().Implements(textMarshalerType):
		if text, err := v.Addr().Interface().(encoding.TextMarshaler).MarshalText(); err == nil {
			return string(text)
		}
	case v.CanFloat():
		return strconv.FormatFloat(v.Float(), 'g', -1, v.Type().Bits())
	}
	return fmt.Sprint(v.Interface())
}

// durationText is time.Duration's text without trailing zero units: 15m, 2h.
func durationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
