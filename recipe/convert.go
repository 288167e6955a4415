package recipe

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// mismatch says what stands where something else is needed.
func mismatch(found string, l limits, t reflect.Type) error {
	return fmt.Errorf("found %s, needs %s", found, l.allowed(t))
}

// describe names the type of a YAML value and shows it: `the string "four"`.
func describe(node ast.Node) string {
	switch n := node.(type) {
	case nil:
		return "nothing"
	case *ast.NullNode:
		return "nothing"
	case *ast.BoolNode:
		return "the boolean " + strconv.FormatBool(n.Value)
	case *ast.IntegerNode:
		return "the integer " + shorten(tokenText(n))
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "the number " + shorten(tokenText(n))
	case *ast.StringNode:
		return "the string " + strconv.Quote(shorten(n.Value))
	case *ast.LiteralNode:
		return "a block of text"
	case *ast.SequenceNode:
		return fmt.Sprintf("a list of %d", len(n.Values))
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a section"
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return "an anchor or alias, which recipes do not use (write the value out)"
	case *ast.TagNode:
		return "an explicit type tag, which recipes do not use (leave it out)"
	}
	return "a " + strings.ToLower(node.Type().String())
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:57]) + "..."
	}
	return s
}

func tokenText(node ast.Node) string {
	if t := node.GetToken(); t != nil {
		return t.Value
	}
	return ""
}

// convertScalar sets v from a YAML scalar.
func convertScalar(node ast.Node, v reflect.Value, l limits) error {
	t := v.Type()
	wrong := func() error { return mismatch(describe(node), l, t) }
	switch {
	case t == durationType, isText(t), t.Kind() == reflect.String:
		text, ok := stringOf(node)
		if n, isInt := node.(*ast.IntegerNode); !ok && isInt && t == durationType && tokenText(n) == "0" {
			text, ok = "0", true
		}
		if !ok && t == boundType && isScalar(node) {
			text, ok = tokenText(node), true
		}
		if !ok {
			if t.Kind() == reflect.String && isScalar(node) {
				return fmt.Errorf("%w (quote it if it is meant as text)", wrong())
			}
			return wrong()
		}
		return convertText(text, v, l)
	case t.Kind() == reflect.Bool:
		b, ok := node.(*ast.BoolNode)
		if !ok {
			return wrong()
		}
		v.SetBool(b.Value)
	default:
		if !setNumber(node, v) {
			return wrong()
		}
	}
	if !l.check(v) {
		return wrong()
	}
	return nil
}

func isScalar(node ast.Node) bool {
	switch node.(type) {
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return true
	}
	return false
}

func isString(node ast.Node) bool {
	_, ok := stringOf(node)
	return ok
}

func stringOf(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	}
	return "", false
}

// convertText sets a string, a duration or a type that reads text.
func convertText(text string, v reflect.Value, l limits) error {
	wrong := func() error { return mismatch("the string "+strconv.Quote(shorten(text)), l, v.Type()) }
	switch {
	case v.Type() == durationType:
		d, err := time.ParseDuration(text)
		if err != nil {
			return wrong()
		}
		v.SetInt(int64(d))
	case isText(v.Type()):
		if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
			return fmt.Errorf("found the string %s: %w", strconv.Quote(shorten(text)), err)
		}
	default:
		v.SetString(text)
	}
	if !l.check(v) {
		return wrong()
	}
	return nil
}

// setNumber sets an integer or float. An integer may be written as a float
// without fraction (2e6); a float may be written as an integer. Floats such as
// 1e-4, which YAML 1.1 takes for strings, count as numbers unless quoted.
func setNumber(node ast.Node, v reflect.Value) bool {
	switch n := node.(type) {
	case *ast.IntegerNode:
		switch i := n.Value.(type) {
		case int64:
			return setInteger(i, v)
		case uint64:
			if i <= math.MaxInt64 {
				return setInteger(int64(i), v)
			}
			if v.CanUint() && !v.OverflowUint(i) {
				v.SetUint(i)
				return true
			}
		}
		return false
	case *ast.FloatNode:
		return setFloat(n.Value, v)
	case *ast.StringNode:
		if n.Token == nil || n.Token.Type != token.StringType {
			return false
		}
		x, err := strconv.ParseFloat(n.Value, 64)
		return err == nil && setFloat(x, v)
	}
	return false
}

func setInteger(i int64, v reflect.Value) bool {
	switch {
	case v.CanInt() && !v.OverflowInt(i):
		v.SetInt(i)
	case v.CanUint() && i >= 0 && !v.OverflowUint(uint64(i)):
		v.SetUint(uint64(i))
	case v.CanFloat():
		v.SetFloat(float64(i))
	default:
		return false
	}
	return true
}

func setFloat(x float64, v reflect.Value) bool {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return false
	}
	if v.CanFloat() {
		if v.OverflowFloat(x) {
			return false
		}
		v.SetFloat(x)
		return true
	}
	// Beyond 2⁵³ a float no longer names one integer.
	return x == math.Trunc(x) && math.Abs(x) <= 1<<53 && setInteger(int64(x), v)
}

// convertAny sets v from a Go value that a derivation returned.
func convertAny(x any, v reflect.Value, l limits) error {
	from := reflect.ValueOf(x)
	wrong := func() error {
		if !from.IsValid() {
			return mismatch("nothing", l, v.Type())
		}
		return mismatch(fmt.Sprintf("%v of type %v", x, from.Type()), l, v.Type())
	}
	ok := false
	switch {
	case !from.IsValid():
	case from.Type().AssignableTo(v.Type()):
		v.Set(from)
		ok = true
	case v.Type() == durationType || from.Type() == durationType:
	case from.CanInt():
		ok = setInteger(from.Int(), v)
	case from.CanUint() && from.Uint() <= math.MaxInt64:
		ok = setInteger(int64(from.Uint()), v)
	case from.CanFloat():
		ok = setFloat(from.Float(), v)
	}
	if !ok || !l.check(v) {
		return wrong()
	}
	return nil
}
