package jinja

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// test applies the test of this name.
func (r *run) test(name string, v any, a values) (bool, error) {
	t, ok := tests[name]
	if !ok {
		return false, fmt.Errorf("there is no test %q", name)
	}
	if len(a.positional) != t.arguments || len(a.named) > 0 {
		return false, fmt.Errorf("test %s takes %d arguments, and %d are given", name, t.arguments, len(a.positional)+len(a.named))
	}
	var x any
	if t.arguments > 0 {
		x = a.positional[0]
	}
	yes, err := t.holds(v, x)
	if err != nil {
		return false, fmt.Errorf("test %s: %w", name, err)
	}
	return yes, nil
}

// oneTest is what can stand after is: with x its argument, if it has one.
type oneTest struct {
	arguments int
	holds     func(v, x any) (bool, error)
}

// of makes a test of types.
func of(f func(v any) bool) oneTest {
	return oneTest{0, func(v, _ any) (bool, error) { return f(v), nil }}
}

func comparing(operator string) oneTest {
	return oneTest{1, func(v, x any) (bool, error) { return compares(operator, v, x) }}
}

var tests map[string]oneTest

func init() {
	is := func(names ...string) oneTest {
		return of(func(v any) bool {
			name := typeName(v)
			for _, n := range names {
				if name == n {
					return true
				}
			}
			return false
		})
	}
	parity := func(want int64) oneTest {
		return oneTest{0, func(v, _ any) (bool, error) {
			n, ok := integer(v)
			if !ok {
				return false, fmt.Errorf("a %s is neither odd nor even", typeName(v))
			}
			return n&1 == want, nil
		}}
	}
	tests = map[string]oneTest{
		"boolean":  is("bool"),
		"callable": is("function"),
		"defined":  of(func(v any) bool { _, missing := v.(undefined); return !missing }),
		"divisibleby": {1, func(v, x any) (bool, error) {
			rest, err := binaryOperation("%", v, x)
			return err == nil && equal(rest, int64(0)), err
		}},
		"even":  parity(0),
		"false": of(func(v any) bool { return v == false }),
		"filter": {0, func(v, _ any) (bool, error) {
			name, _ := v.(string)
			_, ok := filters[name]
			return ok, nil
		}},
		"float":    is("float"),
		"in":       {1, func(v, x any) (bool, error) { return contains(x, v) }},
		"integer":  is("int"),
		"iterable": is("str", "list", "tuple", "dict", "Undefined", "LoopContext"),
		"lower": of(func(v any) bool {
			s := str(v)
			return s == strings.ToLower(s) && strings.ContainsFunc(s, unicode.IsLetter)
		}),
		"mapping": is("dict"),
		"none":    is("NoneType"),
		"number":  is("int", "float", "bool"),
		"odd":     parity(1),
		"sameas": {1, func(v, x any) (bool, error) {
			switch v.(type) {
			case nil, bool, string, int64:
				return v == x, nil
			case *List, *Dict, *namespace:
				return v == x, nil // the same pointer
			}
			return false, errors.New("only None, bools, strings, integers, lists and dictionaries can be compared")
		}},
		"sequence":  is("str", "list", "tuple", "dict", "Undefined"),
		"string":    is("str"),
		"true":      of(func(v any) bool { return v == true }),
		"undefined": is("Undefined"),
		"upper": of(func(v any) bool {
			s := str(v)
			return s == strings.ToUpper(s) && strings.ContainsFunc(s, unicode.IsLetter)
		}),
		"test": {0, func(v, _ any) (bool, error) {
			name, _ := v.(string)
			_, ok := tests[name]
			return ok, nil
		}},
		"eq": comparing("=="), "equalto": comparing("=="), "==": comparing("=="),
		"ne": comparing("!="), "!=": comparing("!="),
		"lt": comparing("<"), "lessthan": comparing("<"), "<": comparing("<"),
		"le": comparing("<="), "<=": comparing("<="),
		"gt": comparing(">"), "greaterthan": comparing(">"), ">": comparing(">"),
		"ge": comparing(">="), ">=": comparing(">="),
	}
}
