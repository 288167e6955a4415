package jinja

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// List is a Python list or, with Tuple set, a tuple.
type List struct {
	Items []any
	Tuple bool
}

// Dict is a Python dict: its keys, which are strings, numbers, bools or nil, keep
// their order.
type Dict struct {
	keys   []any
	values map[any]any
}

// NewDict makes an empty Dict.
func NewDict() *Dict { return &Dict{values: make(map[any]any)} }

// Set gives key a value; a key that is there already keeps its place.
func (d *Dict) Set(key, value any) {
	hash := hashed(key)
	if _, ok := d.values[hash]; !ok {
		d.keys = append(d.keys, key)
	}
	d.values[hash] = value
}

// Get returns the value of key, and whether there is one.
func (d *Dict) Get(key any) (any, bool) {
	value, ok := d.values[hashed(key)]
	return value, ok
}

// Keys returns the keys in order. The slice is the Dict's.
func (d *Dict) Keys() []any { return d.keys }

// Len is the number of keys.
func (d *Dict) Len() int { return len(d.keys) }

// hashed is the form of a key under which Python finds it: 1.0 and True are 1.
func hashed(key any) any {
	if n, ok := integer(key); ok {
		return n
	}
	if f, ok := key.(float64); ok && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int64(f)
	}
	return key
}

// largeInt is an integer beyond 64 bits, as JSON wrote it. It can only be
// written again.
type largeInt string

// undefined is the value of what is not there; what says what that is.
type undefined struct{ what string }

func (u undefined) fail() error { return fmt.Errorf("%s is undefined", u.what) }

// namespace is what namespace() makes: its attributes can be set.
type namespace struct{ attributes *Dict }

// function is a global function, a macro or a method with its receiver.
type function struct {
	name string
	call func(r *run, a values) (any, error)
}

// values are the arguments of a call.
type values struct {
	positional []any
	named      []namedValue
}

type namedValue struct {
	name  string
	value any
}

// bind puts arguments in the order of a function's parameters; those that are
// not given are absent.
func (a values) bind(function string, parameters ...string) ([]any, error) {
	if len(a.positional) > len(parameters) {
		return nil, fmt.Errorf("%s takes at most %d arguments, and %d are given", function, len(parameters), len(a.positional))
	}
	bound := make([]any, len(parameters))
	for i := range bound {
		bound[i] = absent{}
	}
	copy(bound, a.positional)
named:
	for _, n := range a.named {
		for i, p := range parameters {
			if n.name != p {
				continue
			}
			if bound[i] != (absent{}) {
				return nil, fmt.Errorf("%s is given its argument %q twice", function, p)
			}
			bound[i] = n.value
			continue named
		}
		return nil, fmt.Errorf("%s has no argument %q", function, n.name)
	}
	return bound, nil
}

// absent is an argument that a call does not give.
type absent struct{}

// orElse is value, or other if the argument is absent.
func orElse(value, other any) any {
	if value == (absent{}) {
		return other
	}
	return value
}

// or is orElse for an argument that must have a type.
func or[T any](value any, other T) (T, error) {
	if value == (absent{}) {
		return other, nil
	}
	if typed, ok := value.(T); ok {
		return typed, nil
	}
	return other, fmt.Errorf("an argument is a %s where another type is needed", typeName(value))
}

func typeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case int64, largeInt:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case *List:
		if v.Tuple {
			return "tuple"
		}
		return "list"
	case *Dict:
		return "dict"
	case undefined:
		return "Undefined"
	case *namespace:
		return "Namespace"
	case *loop:
		return "LoopContext"
	}
	return "function"
}

func truth(v any) bool {
	switch v := v.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case *List:
		return len(v.Items) > 0
	case *Dict:
		return v.Len() > 0
	}
	return true
}

// str is Python's str(v).
func str(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case undefined:
		return ""
	}
	var b strings.Builder
	writeRepr(&b, v)
	return b.String()
}

// writeRepr writes Python's repr(v).
func writeRepr(b *strings.Builder, v any) {
	switch v := v.(type) {
	case nil:
		b.WriteString("None")
	case bool:
		if v {
			b.WriteString("True")
		} else {
			b.WriteString("False")
		}
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case largeInt:
		b.WriteString(string(v))
	case float64:
		b.WriteString(formatFloat(v, "inf", "nan"))
	case string:
		writeReprString(b, v)
	case *List:
		open, end := "[", "]"
		if v.Tuple {
			open, end = "(", ")"
			if len(v.Items) == 1 {
				end = ",)"
			}
		}
		b.WriteString(open)
		for i, x := range v.Items {
			if i > 0 {
				b.WriteString(", ")
			}
			writeRepr(b, x)
		}
		b.WriteString(end)
	case *Dict:
		b.WriteByte('{')
		for i, key := range v.keys {
			if i > 0 {
				b.WriteString(", ")
			}
			writeRepr(b, key)
			b.WriteString(": ")
			writeRepr(b, v.values[hashed(key)])
		}
		b.WriteByte('}')
	case undefined:
		b.WriteString("Undefined")
	case *namespace:
		b.WriteString("<Namespace ")
		writeRepr(b, v.attributes)
		b.WriteByte('>')
	case *loop:
		fmt.Fprintf(b, "<LoopContext %d/%d>", v.index+1, len(v.items))
	case *function:
		fmt.Fprintf(b, "<function %s>", v.name)
	}
}

func writeReprString(b *strings.Builder, s string) {
	quote := '\''
	if strings.ContainsRune(s, '\'') && !strings.ContainsRune(s, '"') {
		quote = '"'
	}
	b.WriteRune(quote)
	for _, r := range s {
		switch {
		case r == quote || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			fmt.Fprintf(b, `\U%08x`, r)
		}
	}
	b.WriteRune(quote)
}

// formatFloat is Python's repr of a float: the shortest digits that read back
// as the same number, with an exponent below 1e-4 and from 1e16 on.
func formatFloat(f float64, infinite, nan string) string {
	switch {
	case math.IsInf(f, 1):
		return infinite
	case math.IsInf(f, -1):
		return "-" + infinite
	case math.IsNaN(f):
		return nan
	}
	if abs := math.Abs(f); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// number returns a bool, int or float as a float64.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// integer returns a bool or int.
func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int64:
		return v, true
	}
	return 0, false
}

// equal is Python's ==.
func equal(a, b any) bool {
	if x, ok := integer(a); ok {
		if y, ok := integer(b); ok {
			return x == y
		}
	}
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x == y
	}
	switch a := a.(type) {
	case *List:
		b, ok := b.(*List)
		if !ok || a.Tuple != b.Tuple || len(a.Items) != len(b.Items) {
			return false
		}
		for i := range a.Items {
			if !equal(a.Items[i], b.Items[i]) {
				return false
			}
		}
		return true
	case *Dict:
		b, ok := b.(*Dict)
		if !ok || a.Len() != b.Len() {
			return false
		}
		for key, value := range a.values {
			if other, ok := b.values[key]; !ok || !equal(value, other) {
				return false
			}
		}
		return true
	case undefined:
		_, ok := b.(undefined)
		return ok
	}
	return a == b
}

// compare is negative, 0 or positive as a is less than, equal to or greater than
// b, for what Python has an order of.
func compare(a, b any) (int, error) {
	for _, v := range []any{a, b} {
		if u, ok := v.(undefined); ok {
			return 0, u.fail()
		}
	}
	if x, ok := number(a); ok {
		if y, ok := number(b); ok {
			switch {
			case x < y:
				return -1, nil
			case x > y:
				return 1, nil
			}
			return 0, nil
		}
	}
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y), nil
		}
	case *List:
		y, ok := b.(*List)
		if !ok || x.Tuple != y.Tuple {
			break
		}
		for i := range min(len(x.Items), len(y.Items)) {
			if !equal(x.Items[i], y.Items[i]) {
				return compare(x.Items[i], y.Items[i])
			}
		}
		return len(x.Items) - len(y.Items), nil
	}
	return 0, fmt.Errorf("%s and %s have no order", typeName(a), typeName(b))
}

// contains is Python's "x in v".
func contains(v, x any) (bool, error) {
	switch v := v.(type) {
	case string:
		s, ok := x.(string)
		if !ok {
			return false, fmt.Errorf("looking for a %s in a str", typeName(x))
		}
		return strings.Contains(v, s), nil
	case *Dict:
		if err := hashable(x); err != nil {
			return false, err
		}
		_, ok := v.Get(x)
		return ok, nil
	}
	items, err := iterate(v)
	if err != nil {
		return false, err
	}
	for _, y := range items {
		if equal(x, y) {
			return true, nil
		}
	}
	return false, nil
}

// iterate lists what a for goes through. The slice is not the caller's.
func iterate(v any) ([]any, error) {
	switch v := v.(type) {
	case *List:
		return v.Items, nil
	case *Dict:
		return v.keys, nil
	case string:
		if err := checkSize(int64(utf8.RuneCountInString(v)), 16); err != nil {
			return nil, err
		}
		items := make([]any, 0, len(v))
		for _, r := range v {
			items = append(items, string(r))
		}
		return items, nil
	case undefined:
		return nil, nil
	}
	return nil, fmt.Errorf("a %s cannot be iterated over", typeName(v))
}

// hashable says why a value cannot be a key.
func hashable(v any) error {
	switch v.(type) {
	case nil, bool, int64, float64, string, largeInt:
		return nil
	}
	return fmt.Errorf("a %s cannot be a key", typeName(v))
}

// length is Python's len(v).
func length(v any) (int, error) {
	switch v := v.(type) {
	case string:
		return utf8.RuneCountInString(v), nil
	case *List:
		return len(v.Items), nil
	case *Dict:
		return v.Len(), nil
	case undefined:
		return 0, nil
	case *loop:
		return len(v.items), nil
	}
	return 0, fmt.Errorf("a %s has no length", typeName(v))
}

// maxValue bounds the bytes of one string or list that a template makes.
const maxValue = 64 << 20

// SizeError says that a template makes a value that is too large.
type SizeError struct{}

// Error implements error.
func (SizeError) Error() string {
	return fmt.Sprintf("the template makes a value of more than %d MiB", maxValue>>20)
}

// checkSize refuses n things of size bytes that are together too large.
func checkSize(n, size int64) error {
	if n > 0 && size > 0 && n > maxValue/size {
		return SizeError{}
	}
	return nil
}
