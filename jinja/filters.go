package jinja

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// filter applies the filter of this name. That there is none is seen here, not
// by the parser: a template may ask for filters where it is never run.
func (r *run) filter(name string, v any, a values) (any, error) {
	apply, ok := filters[name]
	if !ok {
		return nil, fmt.Errorf("there is no filter %q", name)
	}
	result, err := apply(r, v, a)
	if err != nil {
		return nil, fmt.Errorf("filter %s: %w", name, err)
	}
	return result, nil
}

// filters by name; each takes the value before the bar and the arguments. They
// are set by init, since map and select look filters up themselves.
var filters map[string]func(r *run, v any, a values) (any, error)

func init() {
	// onText makes a filter without arguments of a function of texts.
	onText := func(f func(string) string) func(*run, any, values) (any, error) {
		return func(_ *run, v any, a values) (any, error) {
			_, err := a.bind("it")
			return f(str(v)), err
		}
	}
	filters = map[string]func(r *run, v any, a values) (any, error){
		"abs":        absFilter,
		"batch":      batchFilter,
		"capitalize": onText(capitalized),
		"count":      lengthFilter,
		"d":          defaultFilter,
		"default":    defaultFilter,
		"dictsort":   dictsortFilter,
		"e":          onText(escaped),
		"escape":     onText(escaped),
		"first":      func(_ *run, v any, a values) (any, error) { return end(v, a, false) },
		"float":      floatFilter,
		"format": func(_ *run, v any, a values) (any, error) {
			return formatPercent(str(v), &List{Items: a.positional, Tuple: true})
		},
		"indent": indentFilter,
		"int":    intFilter,
		"items":  itemsFilter,
		"join":   joinFilter,
		"last":   func(_ *run, v any, a values) (any, error) { return end(v, a, true) },
		"length": lengthFilter,
		"list": func(_ *run, v any, _ values) (any, error) {
			items, err := iterate(v)
			return &List{Items: slices.Clone(items)}, err
		},
		"lower": onText(strings.ToLower),
		"map":   mapFilter,
		"max":   func(_ *run, v any, a values) (any, error) { return extreme(v, a, 1) },
		"min":   func(_ *run, v any, a values) (any, error) { return extreme(v, a, -1) },
		"reject": func(r *run, v any, a values) (any, error) {
			return r.selected(v, a, false, false)
		},
		"rejectattr": func(r *run, v any, a values) (any, error) { return r.selected(v, a, true, false) },
		"replace":    replaceFilter,
		"reverse":    reverseFilter,
		"round":      roundFilter,
		"safe":       func(_ *run, v any, _ values) (any, error) { return str(v), nil },
		"select":     func(r *run, v any, a values) (any, error) { return r.selected(v, a, false, true) },
		"selectattr": func(r *run, v any, a values) (any, error) { return r.selected(v, a, true, true) },
		"sort":       sortFilter,
		"string":     onText(func(s string) string { return s }),
		"sum":        sumFilter,
		"title":      onText(titleFilter),
		"tojson":     tojsonFilter,
		"trim":       func(_ *run, v any, a values) (any, error) { return stripped(str(v), a, true, true) },
		"unique":     uniqueFilter,
		"upper":      onText(strings.ToUpper),
		"wordcount": func(_ *run, v any, _ values) (any, error) {
			words := strings.FieldsFunc(str(v), func(r rune) bool {
				return r != '_' && !unicode.IsLetter(r) && !unicode.IsNumber(r)
			})
			return int64(len(words)), nil
		},
	}
}

func absFilter(_ *run, v any, _ values) (any, error) {
	if n, ok := integer(v); ok {
		if n < 0 {
			return unaryOperation("-", n)
		}
		return n, nil
	}
	if f, ok := v.(float64); ok {
		return math.Abs(f), nil
	}
	return nil, fmt.Errorf("a %s has no absolute value", typeName(v))
}

func batchFilter(_ *run, v any, a values) (any, error) {
	bound, err := a.bind("batch", "linecount", "fill_with")
	if err != nil {
		return nil, err
	}
	n, err := or(bound[0], int64(0))
	if err != nil || n < 1 {
		return nil, errors.New("linecount must be 1 or more")
	}
	fill := orElse(bound[1], nil)
	items, err := iterate(v)
	out := &List{}
	for at := 0; at < len(items); {
		size := int(min(n, int64(len(items)-at)))
		row := slices.Clone(items[at : at+size])
		at += size
		for fill != nil && int64(len(row)) < n {
			if err := checkSize(int64(len(row)), 16); err != nil {
				return nil, err
			}
			row = append(row, fill)
		}
		out.Items = append(out.Items, &List{Items: row})
	}
	return out, err
}

func defaultFilter(_ *run, v any, a values) (any, error) {
	bound, err := a.bind("default", "default_value", "boolean")
	if err != nil {
		return nil, err
	}
	falsy := bound[1] != (absent{}) && truth(bound[1])
	if _, missing := v.(undefined); missing || falsy && !truth(v) {
		return orElse(bound[0], ""), nil
	}
	return v, nil
}

// sortKey is what texts are ordered by unless case counts.
func sortKey(v any, caseSensitive bool) any {
	if s, ok := v.(string); ok && !caseSensitive {
		return strings.ToLower(s)
	}
	return v
}

// sorted orders items by their keys, stably.
func sorted(items []any, reverse bool, key func(any) (any, error)) ([]any, error) {
	type keyed struct{ key, item any }
	all := make([]keyed, len(items))
	for i, x := range items {
		k, err := key(x)
		if err != nil {
			return nil, err
		}
		all[i] = keyed{k, x}
	}
	var err error
	slices.SortStableFunc(all, func(x, y keyed) int {
		order, e := compare(x.key, y.key)
		if e != nil {
			err = e
		}
		if reverse {
			return -order
		}
		return order
	})
	out := make([]any, len(all))
	for i, k := range all {
		out[i] = k.item
	}
	return out, err
}

func dictsortFilter(_ *run, v any, a values) (any, error) {
	bound, err := a.bind("dictsort", "case_sensitive", "by", "reverse")
	if err != nil {
		return nil, err
	}
	d, ok := v.(*Dict)
	if !ok {
		return nil, fmt.Errorf("a %s is no dict", typeName(v))
	}
	by, err := or(bound[1], "key")
	if err != nil {
		return nil, err
	}
	at, ok := map[string]int{"key": 0, "value": 1}[by]
	if !ok {
		return nil, fmt.Errorf(`by is %q; allowed are "key" and "value"`, by)
	}
	pairs, err := sorted(items(d).Items, given(bound[2]), func(pair any) (any, error) {
		return sortKey(pair.(*List).Items[at], given(bound[0])), nil
	})
	return &List{Items: pairs}, err
}

// given is the truth of an argument, false if it is absent.
func given(v any) bool { return v != (absent{}) && truth(v) }

func sortFilter(_ *run, v any, a values) (any, error) {
	bound, err := a.bind("sort", "reverse", "case_sensitive", "attribute")
	if err != nil {
		return nil, err
	}
	items, err := iterate(v)
	if err != nil {
		return nil, err
	}
	list, err := sorted(items, given(bound[0]), func(x any) (any, error) {
		x, err := attributeOf(x, bound[2])
		return sortKey(x, given(bound[1])), err
	})
	return &List{Items: list}, err
}

// attributeOf follows an attribute argument: a name with dots, or an index;
// absent or None is the value itself.
func attributeOf(v, path any) (any, error) {
	switch path := path.(type) {
	case absent, nil:
		return v, nil
	case string:
		var err error
		for part := range strings.SplitSeq(path, ".") {
			var key any = part
			if n, e := strconv.ParseInt(part, 10, 64); e == nil {
				key = n
			}
			if v, err = getItem(v, key); err != nil {
				return nil, err
			}
		}
		return v, nil
	}
	return getItem(v, path)
}

func uniqueFilter(_ *run, v any, a values) (any, error) {
	bound, err := a.bind("unique", "case_sensitive", "attribute")
	if err != nil {
		return nil, err
	}
	items, err := iterate(v)
	if err != nil {
		return nil, err
	}
	seen, out := NewDict(), &List{}
	for _, x := range items {
		key, err := attributeOf(x, bound[1])
		if err != nil {
			return nil, err
		}
		key = sortKey(key, given(bound[0]))
		if err := hashable(key); err != nil {
			return nil, err
		}
		if _, ok := seen.Get(key); !ok {
			seen.Set(key, nil)
			out.Items = append(out.Items, x)
		}
	}
	return out, nil
}

func escaped(s string) string {
	return strings.NewReplacer("&", "&amp;", ">", "&gt;", "<", "&lt;", "'", "&#39;", `"`, "&#34;").Replace(s)
}

// end is the first or last of what can be iterated over.
func end(v any, a values, last bool) (any, error) {
	if _, err := a.bind("it"); err != nil {
		return nil, err
	}
	items, err := iterate(v)
	if err != nil {
		return nil, err
	}
	switch {
	case len(items) == 0:
		return undefined{"an item of an empty sequence"}, nil
	case last:
		return items[len(items)-1], nil
	}
	return items[0], nil
}

func extreme(v any, a values, sign int) (any, error) {
	bound, err := a.bind("it", "case_sensitive", "attribute")
	if err != nil {
		return nil, err
	}
	items, err := iterate(v)
	if err != nil {
		return nil, err
	}
	var best, bestKey any = undefined{"an item of an empty sequence"}, nil
	for i, x := range items {
		key, err := attributeOf(x, bound[1])
		if err != nil {
			return nil, err
		}
		key = sortKey(key, given(bound[0]))
		if i > 0 {
			order, err := compare(key, bestKey)
			if err != nil {
				return nil, err
			}
			if order*sign <= 0 {
				continue
			}
		}
		best, bestKey = x, key
	}
	return best, nil
}

func floatFilter(_ *run, v any, a values) (any, error) {
	bound, err := a.bind("float", "default")
	if err != nil {
		return nil, err
	}
	if f, ok := number(v); ok {
		return f, nil
	}
	if s, ok := v.(string); ok {
		if f, err := strconv.ParseFloat(strings.TrimFunc(s, isSpace), 64); err == nil {
			return f, nil
		}
	}
	return orElse(bound[0], 0.0), nil
}

func intFilter(_ *run, v any, a values) (any, error) {
	bound, err := a.bind("int", "default", "base")
	if err != nil {
		return nil, err
	}
	base, err := or(bound[1], int64(10))
	if err != nil {
		return nil, err
	}
	switch x := v.(type) {
	case undefined:
		return nil, x.fail()
	case string:
		s := strings.ToLower(strings.TrimFunc(x, isSpace))
		s = strings.TrimPrefix(s, map[int64]string{2: "0b", 8: "0o", 16: "0x"}[base])
		if base == 0 || base >= 2 && base <= 36 {
			if n, err := strconv.ParseInt(s, int(base), 64); err == nil {
				return n, nil
			}
		}
		if f, err := strconv.ParseFloat(s, 64); err == nil && math.Abs(f) < 1<<62 {
			return int64(f), nil
		}
	case float64:
		if math.Abs(x) < 1<<62 {
			return int64(x), nil
		}
	default:
		if n, ok := integer(v); ok {
			return n, nil
		}
	}
	return orElse(bound[0], int64(0)), nil
}

func indentFilter(_ *run, v any, a values) (any, error) {
	bound, err := a.bind("indent", "width", "first", "blank")
	if err != nil {
		return nil, err
	}
	s, margin := str(v), "    "
	switch width := bound[0].(type) {
	case absent:
	case int64:
		if err := checkSize(width, int64(1+strings.Count(s, "\n"))); err != nil {
			return nil, err
		}
		margin = strings.Repeat(" ", int(max(width, 0)))
	case string:
		if err := checkSize(int64(len(width)), int64(1+strings.Count(s, "\n"))); err != nil {
			return nil, err
		}
		margin = width
	default:
		return nil, fmt.Errorf("its width is a %s", typeName(width))
	}
	lines := splitLines(s + "\n").Items // as Jinja, which so keeps a last empty line
	var b strings.Builder
	for i, line := range lines {
		if i > 0 {
			b.WriteByte('\n')
			if line != "" || given(bound[2]) {
				b.WriteString(margin)
			}
		} else if given(bound[1]) {
			b.WriteString(margin)
		}
		b.WriteString(line.(string))
	}
	return b.String(), nil
}

func itemsFilter(_ *run, v any, _ values) (any, error) {
	switch v := v.(type) {
	case undefined:
		return &List{}, nil
	case *Dict:
		return items(v), nil
	}
	return nil, errors.New("can only get item pairs from a mapping")
}

func joinFilter(_ *run, v any, a values) (any, error) {
	bound, err := a.bind("join", "d", "attribute")
	if err != nil {
		return nil, err
	}
	separator := ""
	if bound[0] != (absent{}) {
		separator = str(bound[0])
	}
	items, err := iterate(v)
	if err != nil {
		return nil, err
	}
	parts := make([]string, len(items))
	for i, x := range items {
		if x, err = attributeOf(x, bound[1]); err != nil {
			return nil, err
		}
		parts[i] = str(x)
	}
	return joined(parts, separator)
}

func lengthFilter(_ *run, v any, _ values) (any, error) {
	n, err := length(v)
	return int64(n), err
}

// mapFilter is map(attribute="name") or map("filter", its arguments).
func mapFilter(r *run, v any, a values) (any, error) {
	apply := func(any) (any, error) { return nil, errors.New("it needs the name of a filter") }
	if len(a.positional) == 0 && len(a.named) > 0 {
		bound, err := a.bind("map", "attribute", "default")
		if err != nil {
			return nil, err
		}
		apply = func(x any) (any, error) {
			x, err := attributeOf(x, bound[0])
			if _, missing := x.(undefined); missing && bound[1] != (absent{}) {
				return bound[1], err
			}
			return x, err
		}
	} else if len(a.positional) > 0 {
		name, _ := a.positional[0].(string)
		apply = func(x any) (any, error) {
			return r.filter(name, x, values{a.positional[1:], a.named})
		}
	}
	items, err := iterate(v)
	if err != nil {
		return nil, err
	}
	out := &List{Items: make([]any, len(items))}
	for i, x := range items {
		if out.Items[i], err = apply(x); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// selected is select and reject and, if byAttribute is set, selectattr and
// rejectattr: the items that pass a test, or are true where none is named.
func (r *run) selected(v any, a values, byAttribute, want bool) (any, error) {
	var path any = absent{}
	if byAttribute {
		if len(a.positional) == 0 {
			return nil, errors.New("it needs the name of an attribute")
		}
		path, a.positional = a.positional[0], a.positional[1:]
	}
	pass := func(x any) (bool, error) { return truth(x), nil }
	if len(a.positional) > 0 {
		name, _ := a.positional[0].(string)
		pass = func(x any) (bool, error) {
			return r.test(name, x, values{a.positional[1:], a.named})
		}
	}
	items, err := iterate(v)
	if err != nil {
		return nil, err
	}
	out := &List{}
	for _, x := range items {
		y, err := attributeOf(x, path)
		if err != nil {
			return nil, err
		}
		yes, err := pass(y)
		if err != nil {
			return nil, err
		}
		if yes == want {
			out.Items = append(out.Items, x)
		}
	}
	return out, nil
}

func replaceFilter(_ *run, v any, a values) (any, error) {
	bound, err := a.bind("replace", "old", "new", "count")
	if err != nil {
		return nil, err
	}
	if bound[0] == (absent{}) || bound[1] == (absent{}) {
		return nil, errors.New("it needs the old and the new text")
	}
	count := int64(-1)
	if n, ok := integer(bound[2]); ok {
		count = n
	}
	return replace(str(v), str(bound[0]), str(bound[1]), count)
}

func reverseFilter(_ *run, v any, _ values) (any, error) {
	items, err := iterate(v)
	if err != nil {
		return nil, err
	}
	items = slices.Clone(items)
	slices.Reverse(items)
	if _, ok := v.(string); ok {
		return joinFilter(nil, &List{Items: items}, values{})
	}
	return &List{Items: items}, nil
}

func roundFilter(_ *run, v any, a values) (any, error) {
	bound, err := a.bind("round", "precision", "method")
	if err != nil {
		return nil, err
	}
	precision, err := or(bound[0], int64(0))
	if err != nil {
		return nil, err
	}
	how, err := or(bound[1], "common")
	if err != nil {
		return nil, err
	}
	f, ok := number(v)
	if !ok || precision < -300 || precision > 300 {
		return nil, fmt.Errorf("cannot round a %s to %d places", typeName(v), precision)
	}
	scale := math.Pow(10, float64(precision))
	if n, whole := integer(v); whole && how == "common" { // Python rounds an int to an int
		if precision < 0 && precision > -16 {
			n = int64(math.RoundToEven(float64(n)*scale) / scale)
		}
		return n, nil
	}
	switch how {
	case "ceil":
		return math.Ceil(f*scale) / scale, nil
	case "floor":
		return math.Floor(f*scale) / scale, nil
	case "common":
		if precision < 0 {
			return math.RoundToEven(f*scale) / scale, nil
		}
		// As Python rounds: the exact value of f, half to even.
		rounded, err := strconv.ParseFloat(strconv.FormatFloat(f, 'f', int(precision), 64), 64)
		return rounded, err
	}
	return nil, fmt.Errorf(`the method is %q; allowed are "common", "ceil" and "floor"`, how)
}

func sumFilter(_ *run, v any, a values) (any, error) {
	bound, err := a.bind("sum", "attribute", "start")
	if err != nil {
		return nil, err
	}
	total := orElse(bound[1], int64(0))
	items, err := iterate(v)
	if err != nil {
		return nil, err
	}
	for _, x := range items {
		if x, err = attributeOf(x, bound[0]); err != nil {
			return nil, err
		}
		if total, err = binaryOperation("+", total, x); err != nil {
			return nil, err
		}
	}
	return total, nil
}

// titleFilter is Jinja's title: capitals after white space and ([{<-.
func titleFilter(s string) string {
	first := true
	return strings.Map(func(r rune) rune {
		was := first
		first = isSpace(r) || strings.ContainsRune("-({[<", r)
		if was {
			return unicode.ToUpper(r)
		}
		return unicode.ToLower(r)
	}, s)
}

// tojsonFilter is the tojson of transformers: json.dumps, without the escapes
// of HTML that Jinja's own writes.
func tojsonFilter(_ *run, v any, a values) (any, error) {
	bound, err := a.bind("tojson", "ensure_ascii", "indent", "separators", "sort_keys")
	if err != nil {
		return nil, err
	}
	s := jsonStyle{ascii: given(bound[0]), sorted: given(bound[3]), item: ", ", key: ": ", limit: maxValue}
	switch indent := bound[1].(type) {
	case absent, nil:
	case string:
		s.indented, s.indent, s.item = true, indent, ","
	default:
		n, ok := integer(indent)
		if !ok || n > 100 {
			return nil, fmt.Errorf("indent is %s", str(indent))
		}
		s.indented, s.indent, s.item = true, strings.Repeat(" ", int(max(n, 0))), ","
	}
	switch separators := bound[2].(type) {
	case absent, nil:
	case *List:
		if len(separators.Items) != 2 {
			return nil, errors.New("separators must be two strings")
		}
		s.item, s.key = str(separators.Items[0]), str(separators.Items[1])
	default:
		return nil, errors.New("separators must be two strings")
	}
	return encodeJSON(v, s)
}
