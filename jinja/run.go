package jinja

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// run is one rendering.
type run struct {
	now   time.Time
	depth int
}

// maxDepth is how deep macros may call one another and expressions may nest.
const maxDepth = 1000

// A DepthError says that a template's macros call one another without an end,
// as Python's RecursionError does.
type DepthError struct{}

// Error implements error.
func (*DepthError) Error() string {
	return fmt.Sprintf("the template's calls are nested more than %d deep", maxDepth)
}

// lineError names the line of a statement.
type lineError struct {
	line int
	err  error
}

// Error implements error.
func (e *lineError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }

// Unwrap returns what happened there.
func (e *lineError) Unwrap() error { return e.err }

// at names the line of the innermost statement that failed.
func at(line int, err error) error {
	var inner *lineError
	if err == nil || errors.As(err, &inner) {
		return err
	}
	return &lineError{line, err}
}

// scope holds the names of a block.
type scope struct {
	names  map[string]any
	parent *scope
}

func (s *scope) inner() *scope { return &scope{names: map[string]any{}, parent: s} }

func (s *scope) get(name string) (any, bool) {
	for ; s != nil; s = s.parent {
		if v, ok := s.names[name]; ok {
			return v, true
		}
	}
	return nil, false
}

// output is the text that statements make.
type output struct{ text strings.Builder }

func (o *output) write(s string) error {
	if o.text.Len()+len(s) > maxValue {
		return SizeError{}
	}
	o.text.WriteString(s)
	return nil
}

// flow says how a body ended.
type flow uint8

const (
	onward flow = iota
	broken      // by break
	again       // by continue
)

func (r *run) statements(body []statement, s *scope, out *output) (flow, error) {
	for _, one := range body {
		how, err := r.statement(one, s, out)
		if how != onward || err != nil {
			return how, err
		}
	}
	return onward, nil
}

func (r *run) statement(one statement, s *scope, out *output) (flow, error) {
	switch n := one.(type) {
	case dataStatement:
		return onward, out.write(n.text)
	case *outputStatement:
		v, err := r.value(n.value, s)
		if err == nil {
			err = out.write(str(v))
		}
		return onward, at(n.line, err)
	case *ifStatement:
		for _, b := range n.branches {
			yes := true
			if b.condition != nil {
				v, err := r.value(b.condition, s)
				if err != nil {
					return onward, at(n.line, err)
				}
				yes = truth(v)
			}
			if yes {
				return r.statements(b.body, s, out)
			}
		}
		return onward, nil
	case *forStatement:
		how, err := r.loop(n, s, out)
		return how, at(n.line, err)
	case *setStatement:
		return onward, at(n.line, r.set(n, s))
	case *setBlock:
		text, err := r.text(n.body, s.inner())
		if err != nil {
			return onward, at(n.line, err)
		}
		s.names[n.target], err = r.filtered(text, n.filters, s)
		return onward, at(n.line, err)
	case *filterBlock:
		text, err := r.text(n.body, s.inner())
		if err != nil {
			return onward, at(n.line, err)
		}
		v, err := r.filtered(text, n.filters, s)
		if err == nil {
			err = out.write(str(v))
		}
		return onward, at(n.line, err)
	case *macroStatement:
		s.names[n.name] = r.macro(n.name, n.parameters, n.body, s)
		return onward, nil
	case *callBlock:
		callee, err := r.value(n.call.callee, s)
		if err != nil {
			return onward, at(n.line, err)
		}
		a, err := r.values(n.call.arguments, s)
		if err != nil {
			return onward, at(n.line, err)
		}
		a.named = append(a.named, namedValue{"caller", r.macro("caller", n.parameters, n.body, s)})
		v, err := r.call(callee, a)
		if err == nil {
			err = out.write(str(v))
		}
		return onward, at(n.line, err)
	case *scoped:
		_, err := r.statements(n.body, s.inner(), out)
		return onward, err
	case breakStatement:
		return broken, nil
	case continueStatement:
		return again, nil
	}
	panic(fmt.Sprintf("jinja: a statement of type %T", one))
}

// text runs a body for its text alone.
func (r *run) text(body []statement, s *scope) (string, error) {
	out := &output{}
	_, err := r.statements(body, s, out)
	return out.text.String(), err
}

func (r *run) filtered(text string, calls []filterCall, s *scope) (any, error) {
	var v any = text
	for _, f := range calls {
		a, err := r.values(f.arguments, s)
		if err != nil {
			return nil, err
		}
		if v, err = r.filter(f.name, v, a); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (r *run) set(n *setStatement, s *scope) error {
	v, err := r.value(n.value, s)
	if err != nil {
		return err
	}
	if n.attribute != "" {
		holder, _ := s.get(n.targets[0])
		ns, ok := holder.(*namespace)
		if !ok {
			return fmt.Errorf("cannot set %s.%s: %s is no namespace", n.targets[0], n.attribute, n.targets[0])
		}
		ns.attributes.Set(n.attribute, v)
		return nil
	}
	return assign(s, n.targets, v)
}

// assign gives names their values: one name the value, several its parts.
func assign(s *scope, names []string, v any) error {
	if len(names) == 1 {
		s.names[names[0]] = v
		return nil
	}
	items, err := iterate(v)
	if err != nil {
		return err
	}
	if len(items) != len(names) {
		return fmt.Errorf("%d names for %d values", len(names), len(items))
	}
	for i, name := range names {
		s.names[name] = items[i]
	}
	return nil
}

// loop is the variable loop of a for statement.
type loop struct {
	items []any
	index int
	depth int
	// changed holds the arguments of the last call of loop.changed.
	changed *List
}

func (l *loop) get(name string) (any, bool) {
	n, i := len(l.items), l.index
	neighbour := func(at int) any {
		if at < 0 || at >= n {
			return undefined{"there is no " + name + ": it"}
		}
		return l.items[at]
	}
	switch name {
	case "index":
		return int64(i + 1), true
	case "index0":
		return int64(i), true
	case "revindex":
		return int64(n - i), true
	case "revindex0":
		return int64(n - i - 1), true
	case "first":
		return i == 0, true
	case "last":
		return i == n-1, true
	case "length":
		return int64(n), true
	case "depth":
		return int64(l.depth), true
	case "depth0":
		return int64(l.depth - 1), true
	case "previtem":
		return neighbour(i - 1), true
	case "nextitem":
		return neighbour(i + 1), true
	case "cycle":
		return &function{"loop.cycle", func(_ *run, a values) (any, error) {
			if len(a.positional) == 0 {
				return nil, errors.New("loop.cycle has no items")
			}
			return a.positional[i%len(a.positional)], nil
		}}, true
	case "changed":
		return &function{"loop.changed", func(_ *run, a values) (any, error) {
			now := &List{Items: a.positional}
			same := l.changed != nil && equal(l.changed, now)
			l.changed = now
			return !same, nil
		}}, true
	}
	return nil, false
}

func (r *run) loop(n *forStatement, s *scope, out *output) (flow, error) {
	over, err := r.value(n.over, s)
	if err != nil {
		return onward, err
	}
	items, err := iterate(over)
	if err != nil {
		return onward, err
	}
	if n.filter != nil {
		var kept []any
		for _, x := range items {
			inner := s.inner()
			if err := assign(inner, n.targets, x); err != nil {
				return onward, err
			}
			v, err := r.value(n.filter, inner)
			if err != nil {
				return onward, err
			}
			if truth(v) {
				kept = append(kept, x)
			}
		}
		items = kept
	}
	if len(items) == 0 {
		return r.statements(n.empty, s.inner(), out)
	}
	l := &loop{items: items, depth: 1}
	for i, x := range items {
		l.index = i
		inner := s.inner()
		inner.names["loop"] = l
		if err := assign(inner, n.targets, x); err != nil {
			return onward, err
		}
		how, err := r.statements(n.body, inner, out)
		if err != nil {
			return onward, err
		}
		if how == broken {
			break
		}
	}
	return onward, nil
}

// macro makes a function of a body.
func (r *run) macro(name string, parameters []parameter, body []statement, s *scope) *function {
	return &function{name, func(r *run, a values) (any, error) {
		inner := s.inner()
		given := a.named
		rest := given[:0:0]
		for _, n := range given { // a call block's body, whatever the parameters
			if n.name == "caller" {
				inner.names["caller"] = n.value
			} else {
				rest = append(rest, n)
			}
		}
		a.named = rest
		names := make([]string, len(parameters))
		for i, p := range parameters {
			names[i] = p.name
		}
		bound, err := a.bind("macro "+name, names...)
		if err != nil {
			return nil, err
		}
		for i, p := range parameters {
			switch {
			case bound[i] != (absent{}):
				inner.names[p.name] = bound[i]
			case p.value != nil:
				if inner.names[p.name], err = r.value(p.value, inner); err != nil {
					return nil, err
				}
			default:
				inner.names[p.name] = undefined{fmt.Sprintf("parameter %q of macro %s", p.name, name)}
			}
		}
		return r.text(body, inner)
	}}
}

// call calls a value.
func (r *run) call(callee any, a values) (any, error) {
	switch f := callee.(type) {
	case *function:
		if r.depth += 4; r.depth > maxDepth { // a call costs Python some frames
			return nil, &DepthError{}
		}
		defer func() { r.depth -= 4 }()
		return f.call(r, a)
	case undefined:
		return nil, f.fail()
	}
	return nil, fmt.Errorf("a %s cannot be called", typeName(callee))
}

func (r *run) values(a arguments, s *scope) (values, error) {
	var out values
	for _, e := range a.positional {
		v, err := r.value(e, s)
		if err != nil {
			return out, err
		}
		out.positional = append(out.positional, v)
	}
	for _, n := range a.named {
		v, err := r.value(n.value, s)
		if err != nil {
			return out, err
		}
		out.named = append(out.named, namedValue{n.name, v})
	}
	return out, nil
}

// value evaluates an expression.
func (r *run) value(e expression, s *scope) (any, error) {
	if r.depth++; r.depth > maxDepth {
		return nil, &DepthError{}
	}
	defer func() { r.depth-- }()
	switch n := e.(type) {
	case literal:
		return n.value, nil
	case *nameExpression:
		if v, ok := s.get(n.name); ok {
			return v, nil
		}
		return undefined{fmt.Sprintf("%q", n.name)}, nil
	case *listExpression:
		list := &List{Items: make([]any, len(n.items)), Tuple: n.tuple}
		for i, x := range n.items {
			var err error
			if list.Items[i], err = r.value(x, s); err != nil {
				return nil, err
			}
		}
		return list, nil
	case *dictExpression:
		d := NewDict()
		for i := range n.keys {
			key, err := r.value(n.keys[i], s)
			if err == nil {
				err = hashable(key)
			}
			if err != nil {
				return nil, err
			}
			v, err := r.value(n.values[i], s)
			if err != nil {
				return nil, err
			}
			d.Set(key, v)
		}
		return d, nil
	case *attribute:
		of, err := r.value(n.of, s)
		if err != nil {
			return nil, err
		}
		return getAttribute(of, n.name)
	case *item:
		of, err := r.value(n.of, s)
		if err != nil {
			return nil, err
		}
		key, err := r.value(n.key, s)
		if err != nil {
			return nil, err
		}
		return getItem(of, key)
	case *slice:
		return r.slice(n, s)
	case *callExpression:
		callee, err := r.value(n.callee, s)
		if err != nil {
			return nil, err
		}
		a, err := r.values(n.arguments, s)
		if err != nil {
			return nil, err
		}
		return r.call(callee, a)
	case *filterExpression:
		of, err := r.value(n.of, s)
		if err != nil {
			return nil, err
		}
		a, err := r.values(n.arguments, s)
		if err != nil {
			return nil, err
		}
		return r.filter(n.name, of, a)
	case *testExpression:
		of, err := r.value(n.of, s)
		if err != nil {
			return nil, err
		}
		a, err := r.values(n.arguments, s)
		if err != nil {
			return nil, err
		}
		return r.test(n.name, of, a)
	case *conditional:
		c, err := r.value(n.condition, s)
		switch {
		case err != nil:
			return nil, err
		case truth(c):
			return r.value(n.yes, s)
		case n.no != nil:
			return r.value(n.no, s)
		}
		return undefined{"the inline if-expression without else evaluated to false and"}, nil
	case *unary:
		v, err := r.value(n.operand, s)
		if err != nil {
			return nil, err
		}
		return unaryOperation(n.operator, v)
	case *binary:
		left, err := r.value(n.left, s)
		if err != nil {
			return nil, err
		}
		if n.operator == "and" && !truth(left) || n.operator == "or" && truth(left) {
			return left, nil
		}
		right, err := r.value(n.right, s)
		if err != nil || n.operator == "and" || n.operator == "or" {
			return right, err
		}
		return binaryOperation(n.operator, left, right)
	case *comparison:
		return r.comparison(n, s)
	}
	panic(fmt.Sprintf("jinja: an expression of type %T", e))
}

func (r *run) comparison(n *comparison, s *scope) (any, error) {
	left, err := r.value(n.first, s)
	if err != nil {
		return nil, err
	}
	for i, operator := range n.operators {
		right, err := r.value(n.others[i], s)
		if err != nil {
			return nil, err
		}
		yes, err := compares(operator, left, right)
		if err != nil || !yes {
			return false, err
		}
		left = right
	}
	return true, nil
}

func compares(operator string, left, right any) (bool, error) {
	switch operator {
	case "==":
		return equal(left, right), nil
	case "!=":
		return !equal(left, right), nil
	case "in":
		return contains(right, left)
	case "not in":
		yes, err := contains(right, left)
		return !yes, err
	}
	order, err := compare(left, right)
	switch operator {
	case "<":
		return order < 0, err
	case "<=":
		return order <= 0, err
	case ">":
		return order > 0, err
	}
	return order >= 0, err
}

// getAttribute is of.name: an attribute or method, else an item.
func getAttribute(of any, name string) (any, error) {
	if u, ok := of.(undefined); ok {
		return nil, u.fail()
	}
	if m, ok := method(of, name); ok {
		return m, nil
	}
	switch of := of.(type) {
	case *Dict:
		if v, ok := of.Get(name); ok {
			return v, nil
		}
	case *namespace:
		if v, ok := of.attributes.Get(name); ok {
			return v, nil
		}
	case *loop:
		if v, ok := of.get(name); ok {
			return v, nil
		}
	}
	return undefined{fmt.Sprintf("attribute %q of a %s", name, typeName(of))}, nil
}

// getItem is of[key]: an item, else an attribute.
func getItem(of, key any) (any, error) {
	missing := func() (any, error) {
		if name, ok := key.(string); ok {
			return getAttribute(of, name)
		}
		return undefined{fmt.Sprintf("item %s of a %s", str(key), typeName(of))}, nil
	}
	switch of := of.(type) {
	case undefined:
		return nil, of.fail()
	case *Dict:
		if hashable(key) == nil {
			if v, ok := of.Get(key); ok {
				return v, nil
			}
		}
	case *List:
		if i, ok := integer(key); ok {
			if i < 0 {
				i += int64(len(of.Items))
			}
			if i >= 0 && i < int64(len(of.Items)) {
				return of.Items[i], nil
			}
		}
	case string:
		if i, ok := integer(key); ok {
			if i < 0 {
				n, _ := length(of)
				i += int64(n)
			}
			if i >= 0 {
				for _, r := range of {
					if i == 0 {
						return string(r), nil
					}
					i--
				}
			}
		}
	}
	return missing()
}

func (r *run) slice(n *slice, s *scope) (any, error) {
	of, err := r.value(n.of, s)
	if err != nil {
		return nil, err
	}
	var bounds [3]*int64
	for i, e := range []expression{n.start, n.stop, n.step} {
		if e == nil {
			continue
		}
		v, err := r.value(e, s)
		if err != nil {
			return nil, err
		}
		if v == nil {
			continue
		}
		x, ok := integer(v)
		if !ok {
			return nil, fmt.Errorf("a slice has a bound of type %s", typeName(v))
		}
		bounds[i] = &x
	}
	switch of := of.(type) {
	case undefined:
		return nil, of.fail()
	case string:
		runes := []rune(of)
		indices, err := sliceIndices(bounds, len(runes))
		if err != nil {
			return nil, err
		}
		out := make([]rune, len(indices))
		for i, x := range indices {
			out[i] = runes[x]
		}
		return string(out), nil
	case *List:
		indices, err := sliceIndices(bounds, len(of.Items))
		if err != nil {
			return nil, err
		}
		out := &List{Items: make([]any, len(indices)), Tuple: of.Tuple}
		for i, x := range indices {
			out.Items[i] = of.Items[x]
		}
		return out, nil
	}
	return undefined{fmt.Sprintf("a slice of a %s", typeName(of))}, nil
}

// sliceIndices lists the indices that start:stop:step chooses among n.
func sliceIndices(bounds [3]*int64, n int) ([]int, error) {
	step := int64(1)
	if bounds[2] != nil {
		step = *bounds[2]
	}
	if step == 0 {
		return nil, errors.New("a slice has the step 0")
	}
	least, most := int64(0), int64(n)
	if step < 0 {
		least, most = -1, int64(n)-1
	}
	bound := func(b *int64, other int64) int64 {
		if b == nil {
			return other
		}
		x := *b
		if x < 0 {
			x += int64(n)
		}
		return min(max(x, least), most)
	}
	start, stop := bound(bounds[0], least), bound(bounds[1], most)
	if step < 0 {
		start, stop = bound(bounds[0], most), bound(bounds[1], least)
	}
	var indices []int
	if step > 0 {
		for i := start; i < stop; i += min(step, int64(n)+1) {
			indices = append(indices, int(i))
		}
		return indices, nil
	}
	for i := start; i > stop; i += max(step, -int64(n)-1) {
		indices = append(indices, int(i))
	}
	return indices, nil
}

func unaryOperation(operator string, v any) (any, error) {
	if operator == "not" {
		return !truth(v), nil
	}
	if u, ok := v.(undefined); ok {
		return nil, u.fail()
	}
	if n, ok := integer(v); ok {
		switch {
		case operator == "+":
			return n, nil
		case n == math.MinInt64:
			return nil, errOverflow
		}
		return -n, nil
	}
	if f, ok := v.(float64); ok {
		if operator == "-" {
			f = -f
		}
		return f, nil
	}
	return nil, fmt.Errorf("%s has no operand of type %s", operator, typeName(v))
}

var errOverflow = errors.New("an integer does not fit into 64 bits")

func binaryOperation(operator string, left, right any) (any, error) {
	if operator == "~" {
		a, b := str(left), str(right)
		if len(a)+len(b) > maxValue {
			return nil, SizeError{}
		}
		return a + b, nil
	}
	for _, v := range []any{left, right} {
		if u, ok := v.(undefined); ok {
			return nil, u.fail()
		}
	}
	switch a := left.(type) {
	case string:
		switch b := right.(type) {
		case string:
			if operator == "+" {
				if len(a)+len(b) > maxValue {
					return nil, SizeError{}
				}
				return a + b, nil
			}
		case int64:
			if operator == "*" {
				return repeat(a, b)
			}
		}
		if operator == "%" {
			return formatPercent(a, right)
		}
	case *List:
		switch b := right.(type) {
		case *List:
			if operator == "+" && a.Tuple == b.Tuple {
				if err := checkSize(int64(len(a.Items)+len(b.Items)), 16); err != nil {
					return nil, err
				}
				return &List{Items: append(a.Items[:len(a.Items):len(a.Items)], b.Items...), Tuple: a.Tuple}, nil
			}
		case int64:
			if operator == "*" {
				return repeatList(a, b)
			}
		}
	case int64:
		if operator == "*" {
			switch b := right.(type) {
			case string:
				return repeat(b, a)
			case *List:
				return repeatList(b, a)
			}
		}
	}
	x, ok1 := integer(left)
	y, ok2 := integer(right)
	if ok1 && ok2 && operator != "/" && !(operator == "**" && y < 0) {
		return integerOperation(operator, x, y)
	}
	f, ok1 := number(left)
	g, ok2 := number(right)
	if !ok1 || !ok2 {
		return nil, fmt.Errorf("%s has no operands of types %s and %s", operator, typeName(left), typeName(right))
	}
	if g == 0 && (operator == "/" || operator == "//" || operator == "%") || f == 0 && g < 0 && operator == "**" {
		return nil, errors.New("division by zero")
	}
	switch operator {
	case "+":
		return f + g, nil
	case "-":
		return f - g, nil
	case "*":
		return f * g, nil
	case "/":
		return f / g, nil
	case "//":
		return math.Floor(f / g), nil
	case "%":
		m := math.Mod(f, g)
		if m != 0 && (m < 0) != (g < 0) {
			m += g
		}
		return m, nil
	}
	return math.Pow(f, g), nil
}

func integerOperation(operator string, x, y int64) (any, error) {
	switch operator {
	case "+":
		if sum := x + y; (sum > x) == (y > 0) {
			return sum, nil
		}
		return nil, errOverflow
	case "-":
		if difference := x - y; (difference < x) == (y > 0) {
			return difference, nil
		}
		return nil, errOverflow
	case "*":
		return multiply(x, y)
	case "**":
		result := int64(1)
		for range y {
			v, err := multiply(result, x)
			if err != nil {
				return nil, err
			}
			result = v.(int64)
			if result == 0 || result == 1 && x == 1 {
				break
			}
			if x == -1 && y > 1 {
				y %= 2
				return 1 - 2*y, nil
			}
		}
		return result, nil
	}
	if y == 0 {
		return nil, errors.New("division by zero")
	}
	if y == -1 { // the one quotient that may not fit
		if operator == "%" {
			return int64(0), nil
		}
		return multiply(x, -1)
	}
	quotient, remainder := x/y, x%y
	if remainder != 0 && (remainder < 0) != (y < 0) { // Python rounds down
		quotient--
		remainder += y
	}
	if operator == "%" {
		return remainder, nil
	}
	return quotient, nil
}

func multiply(x, y int64) (any, error) {
	if x == 0 || y == 0 {
		return int64(0), nil
	}
	product := x * y
	if product/y != x || x == math.MinInt64 && y == -1 || y == math.MinInt64 && x == -1 {
		return nil, errOverflow
	}
	return product, nil
}

func repeat(s string, n int64) (any, error) {
	if n <= 0 || s == "" {
		return "", nil
	}
	if err := checkSize(n, int64(len(s))); err != nil {
		return nil, err
	}
	return strings.Repeat(s, int(n)), nil
}

func repeatList(l *List, n int64) (any, error) {
	out := &List{Tuple: l.Tuple}
	if n <= 0 || len(l.Items) == 0 {
		return out, nil
	}
	if err := checkSize(n, 16*int64(len(l.Items))); err != nil {
		return nil, err
	}
	out.Items = slices.Repeat(l.Items, int(n))
	return out, nil
}
