package jinja

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// method returns the method of a value that has this name, bound to the value.
func method(of any, name string) (*function, bool) {
	var call func(a values) (any, error)
	mutable := false
	switch v := of.(type) {
	case string:
		m, ok := stringMethods[name]
		if !ok {
			return nil, false
		}
		call = func(a values) (any, error) { return m(v, a) }
	case *Dict:
		m, ok := dictMethods[name]
		mutable = slices.Contains([]string{"clear", "pop", "popitem", "setdefault", "update"}, name)
		if !ok && !mutable {
			return nil, false
		}
		call = func(a values) (any, error) { return m(v, a) }
	case *List:
		m, ok := listMethods[name]
		mutable = !v.Tuple && slices.Contains([]string{"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"}, name)
		if !ok && !mutable {
			return nil, false
		}
		call = func(a values) (any, error) { return m(v, a) }
	default:
		return nil, false
	}
	name = typeName(of) + "." + name
	if mutable {
		call = func(values) (any, error) {
			return nil, fmt.Errorf("%s is not allowed: a template cannot change its values", name)
		}
	}
	return &function{name, func(_ *run, a values) (any, error) {
		v, err := call(a)
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
		return v, err
	}}, true
}

var dictMethods = map[string]func(d *Dict, a values) (any, error){
	"items": func(d *Dict, _ values) (any, error) { return items(d), nil },
	"keys":  func(d *Dict, _ values) (any, error) { return &List{Items: d.keys}, nil },
	"values": func(d *Dict, _ values) (any, error) {
		list := &List{}
		for _, key := range d.keys {
			list.Items = append(list.Items, d.values[hashed(key)])
		}
		return list, nil
	},
	"get": func(d *Dict, a values) (any, error) {
		bound, err := a.bind("get", "key", "default")
		if err != nil {
			return nil, err
		}
		if err := hashable(bound[0]); err != nil {
			return nil, err
		}
		if v, ok := d.Get(bound[0]); ok {
			return v, nil
		}
		return orElse(bound[1], nil), nil
	},
	"copy": func(d *Dict, _ values) (any, error) { return d, nil }, // nothing can change it
}

// items are the pairs of a dictionary.
func items(d *Dict) *List {
	list := &List{}
	for _, key := range d.keys {
		list.Items = append(list.Items, &List{Items: []any{key, d.values[hashed(key)]}, Tuple: true})
	}
	return list
}

var listMethods = map[string]func(l *List, a values) (any, error){
	"copy": func(l *List, _ values) (any, error) { return l, nil },
	"count": func(l *List, a values) (any, error) {
		bound, err := a.bind("count", "value")
		n := int64(0)
		for _, x := range l.Items {
			if err == nil && equal(x, bound[0]) {
				n++
			}
		}
		return n, err
	},
	"index": func(l *List, a values) (any, error) {
		bound, err := a.bind("index", "value")
		if err != nil {
			return nil, err
		}
		for i, x := range l.Items {
			if equal(x, bound[0]) {
				return int64(i), nil
			}
		}
		return nil, errors.New("the value is not in the list")
	},
}

var stringMethods = map[string]func(s string, a values) (any, error){
	"strip":  func(s string, a values) (any, error) { return stripped(s, a, true, true) },
	"lstrip": func(s string, a values) (any, error) { return stripped(s, a, true, false) },
	"rstrip": func(s string, a values) (any, error) { return stripped(s, a, false, true) },
	"split":  func(s string, a values) (any, error) { return split(s, a, false) },
	"rsplit": func(s string, a values) (any, error) { return split(s, a, true) },
	"splitlines": func(s string, a values) (any, error) {
		if len(a.positional)+len(a.named) > 0 {
			return nil, errors.New("arguments are not supported")
		}
		return splitLines(s), nil
	},
	"partition":  func(s string, a values) (any, error) { return partition(s, a, strings.Index) },
	"rpartition": func(s string, a values) (any, error) { return partition(s, a, strings.LastIndex) },
	"startswith": func(s string, a values) (any, error) { return affix(s, a, strings.HasPrefix) },
	"endswith":   func(s string, a values) (any, error) { return affix(s, a, strings.HasSuffix) },
	"removeprefix": func(s string, a values) (any, error) {
		x, err := text(a)
		return strings.TrimPrefix(s, x), err
	},
	"removesuffix": func(s string, a values) (any, error) {
		x, err := text(a)
		return strings.TrimSuffix(s, x), err
	},
	"replace": func(s string, a values) (any, error) {
		bound, err := a.bind("replace", "old", "new", "count")
		if err != nil {
			return nil, err
		}
		old, ok1 := bound[0].(string)
		other, ok2 := bound[1].(string)
		count, err := or(bound[2], int64(-1))
		if !ok1 || !ok2 || err != nil {
			return nil, errors.New("it takes two strings and perhaps a count")
		}
		return replace(s, old, other, count)
	},
	"find":  func(s string, a values) (any, error) { return find(s, a, strings.Index) },
	"rfind": func(s string, a values) (any, error) { return find(s, a, strings.LastIndex) },
	"index": func(s string, a values) (any, error) {
		at, err := find(s, a, strings.Index)
		if at == int64(-1) && err == nil {
			err = errors.New("the text is not there")
		}
		return at, err
	},
	"count": func(s string, a values) (any, error) {
		x, err := text(a)
		return int64(strings.Count(s, x)), err
	},
	"join": func(s string, a values) (any, error) {
		bound, err := a.bind("join", "items")
		if err != nil {
			return nil, err
		}
		list, err := iterate(bound[0])
		if err != nil {
			return nil, err
		}
		parts := make([]string, len(list))
		for i, x := range list {
			part, ok := x.(string)
			if !ok {
				return nil, fmt.Errorf("item %d is a %s", i, typeName(x))
			}
			parts[i] = part
		}
		return joined(parts, s)
	},
	"format": func(s string, a values) (any, error) { return formatBraces(s, a) },
	"upper":  func(s string, _ values) (any, error) { return strings.ToUpper(s), nil },
	"lower":  func(s string, _ values) (any, error) { return strings.ToLower(s), nil },
	"title":  func(s string, _ values) (any, error) { return titled(s), nil },
	"capitalize": func(s string, _ values) (any, error) {
		return capitalized(s), nil
	},
	"isdigit":   func(s string, _ values) (any, error) { return all(s, unicode.IsDigit), nil },
	"isdecimal": func(s string, _ values) (any, error) { return all(s, unicode.IsDigit), nil },
	"isalpha":   func(s string, _ values) (any, error) { return all(s, unicode.IsLetter), nil },
	"isalnum": func(s string, _ values) (any, error) {
		return all(s, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }), nil
	},
	"isspace": func(s string, _ values) (any, error) { return all(s, isSpace), nil },
	"isupper": func(s string, _ values) (any, error) {
		return s == strings.ToUpper(s) && s != strings.ToLower(s), nil
	},
	"islower": func(s string, _ values) (any, error) {
		return s == strings.ToLower(s) && s != strings.ToUpper(s), nil
	},
}

// all tells whether s has characters and all are of a kind.
func all(s string, kind func(rune) bool) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return !kind(r) }) < 0
}

// text is the one argument of a method, a string.
func text(a values) (string, error) {
	bound, err := a.bind("the method", "text")
	if err != nil {
		return "", err
	}
	s, ok := bound[0].(string)
	if !ok {
		return "", errors.New("it takes a string")
	}
	return s, nil
}

func stripped(s string, a values, left, right bool) (any, error) {
	bound, err := a.bind("strip", "chars")
	if err != nil {
		return nil, err
	}
	cut := isSpace
	switch chars := bound[0].(type) {
	case absent, nil:
	case string:
		cut = func(r rune) bool { return strings.ContainsRune(chars, r) }
	default:
		return nil, errors.New("it takes a string")
	}
	if left {
		s = strings.TrimLeftFunc(s, cut)
	}
	if right {
		s = strings.TrimRightFunc(s, cut)
	}
	return s, nil
}

// split is str.split and, from the end, str.rsplit.
func split(s string, a values, fromEnd bool) (any, error) {
	bound, err := a.bind("split", "sep", "maxsplit")
	if err != nil {
		return nil, err
	}
	most, err := or(bound[1], int64(-1))
	if err != nil {
		return nil, err
	}
	limit := int(min(most, int64(len(s)))) // cuts, negative for all
	var parts []string
	switch sep := bound[0].(type) {
	case absent, nil:
		parts = splitSpace(s, limit, fromEnd)
	case string:
		if sep == "" {
			return nil, errors.New("the separator is empty")
		}
		switch {
		case limit < 0:
			parts = strings.Split(s, sep)
		case !fromEnd:
			parts = strings.SplitN(s, sep, limit+1)
		default:
			for ; limit > 0; limit-- {
				at := strings.LastIndex(s, sep)
				if at < 0 {
					break
				}
				parts = append(parts, s[at+len(sep):])
				s = s[:at]
			}
			parts = append(parts, s)
			slices.Reverse(parts)
		}
	default:
		return nil, errors.New("the separator is no string")
	}
	return texts(parts), nil
}

// splitSpace cuts at runs of white space.
func splitSpace(s string, limit int, fromEnd bool) []string {
	var parts []string
	for {
		if fromEnd {
			s = strings.TrimRightFunc(s, isSpace)
		} else {
			s = strings.TrimLeftFunc(s, isSpace)
		}
		if s == "" {
			break
		}
		at := strings.IndexFunc(s, isSpace)
		if fromEnd {
			at = strings.LastIndexFunc(s, isSpace)
		}
		if at < 0 || limit == 0 {
			parts = append(parts, s)
			break
		}
		limit--
		if fromEnd {
			_, n := utf8.DecodeRuneInString(s[at:])
			parts = append(parts, s[at+n:])
			s = s[:at]
		} else {
			parts = append(parts, s[:at])
			s = s[at:]
		}
	}
	if fromEnd {
		slices.Reverse(parts)
	}
	return parts
}

func splitLines(s string) *List {
	var parts []string
	for s != "" {
		at := strings.IndexAny(s, "\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029")
		if at < 0 {
			parts = append(parts, s)
			break
		}
		parts = append(parts, s[:at])
		_, n := utf8.DecodeRuneInString(s[at:])
		if strings.HasPrefix(s[at:], "\r\n") {
			n = 2
		}
		s = s[at+n:]
	}
	return texts(parts)
}

func texts(parts []string) *List {
	list := &List{Items: make([]any, len(parts))}
	for i, part := range parts {
		list.Items[i] = part
	}
	return list
}

func partition(s string, a values, index func(s, sep string) int) (any, error) {
	sep, err := text(a)
	if err != nil {
		return nil, err
	}
	if sep == "" {
		return nil, errors.New("the separator is empty")
	}
	parts := []string{s, "", ""}
	if at := index(s, sep); at >= 0 {
		parts = []string{s[:at], sep, s[at+len(sep):]}
	} else if index("aa", "a") == 1 { // from the end, what is left stands last
		parts = []string{"", "", s}
	}
	list := texts(parts)
	list.Tuple = true
	return list, nil
}

// affix is startswith and endswith, which take a string or a tuple of them.
func affix(s string, a values, has func(s, x string) bool) (any, error) {
	bound, err := a.bind("the method", "text")
	if err != nil {
		return nil, err
	}
	candidates := []any{bound[0]}
	if list, ok := bound[0].(*List); ok && list.Tuple {
		candidates = list.Items
	}
	for _, c := range candidates {
		x, ok := c.(string)
		if !ok {
			return nil, errors.New("it takes a string or a tuple of strings")
		}
		if has(s, x) {
			return true, nil
		}
	}
	return false, nil
}

func find(s string, a values, index func(s, x string) int) (any, error) {
	x, err := text(a)
	if err != nil {
		return nil, err
	}
	at := index(s, x)
	if at > 0 {
		at = utf8.RuneCountInString(s[:at])
	}
	return int64(at), nil
}

func replace(s, old, other string, count int64) (any, error) {
	n := int64(strings.Count(s, old))
	if count >= 0 {
		n = min(n, count)
	}
	if err := checkSize(n, int64(len(other))); err != nil {
		return nil, err
	}
	return strings.Replace(s, old, other, int(n)), nil
}

func joined(parts []string, separator string) (any, error) {
	size := int64(0)
	for _, part := range parts {
		if size += int64(len(part) + len(separator)); size > maxValue {
			return nil, SizeError{}
		}
	}
	return strings.Join(parts, separator), nil
}

// titled is str.title: every run of letters begins with a capital.
func titled(s string) string {
	inWord := false
	return strings.Map(func(r rune) rune {
		letter := unicode.IsLetter(r)
		defer func() { inWord = letter }()
		switch {
		case !letter:
			return r
		case inWord:
			return unicode.ToLower(r)
		}
		return unicode.ToTitle(r)
	}, s)
}

func capitalized(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return strings.ToUpper(s[:n]) + strings.ToLower(s[n:])
}

// formatBraces is str.format with fields {}, {0} and {name}, without attributes,
// conversions or format specifications.
func formatBraces(s string, a values) (any, error) {
	var b strings.Builder
	next := 0
	for s != "" {
		at := strings.IndexAny(s, "{}")
		if at < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:at])
		if len(s) > at+1 && s[at+1] == s[at] {
			b.WriteByte(s[at])
			s = s[at+2:]
			continue
		}
		field, rest, ok := strings.Cut(s[at+1:], "}")
		if s[at] == '}' || !ok {
			return nil, errors.New("a brace has no partner")
		}
		v, err := formatField(field, &next, a)
		if err != nil {
			return nil, err
		}
		text := str(v)
		if b.Len()+len(text) > maxValue {
			return nil, SizeError{}
		}
		b.WriteString(text)
		s = rest
	}
	return b.String(), nil
}

func formatField(field string, next *int, a values) (any, error) {
	for _, n := range a.named {
		if n.name == field {
			return n.value, nil
		}
	}
	at := *next
	if field != "" {
		if _, err := fmt.Sscanf(field, "%d", &at); err != nil || fmt.Sprint(at) != field {
			return nil, fmt.Errorf("the field {%s} is not supported or has no value", field)
		}
	} else {
		*next++
	}
	if at < 0 || at >= len(a.positional) {
		return nil, fmt.Errorf("the field {%s} has no value", field)
	}
	return a.positional[at], nil
}

// formatPercent is the % of strings with %s, %d, %r and %%.
func formatPercent(s string, v any) (any, error) {
	arguments := []any{v}
	if list, ok := v.(*List); ok && list.Tuple {
		arguments = list.Items
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i++; i == len(s) {
			return nil, errors.New("the format ends with %")
		}
		if s[i] == '%' {
			b.WriteByte('%')
			continue
		}
		if len(arguments) == 0 {
			return nil, errors.New("the format has more fields than there are values")
		}
		x := arguments[0]
		arguments = arguments[1:]
		switch s[i] {
		case 's':
			b.WriteString(str(x))
		case 'r':
			writeRepr(&b, x)
		case 'd', 'i':
			n, ok := integer(x)
			if !ok {
				return nil, fmt.Errorf("the format's %%%c has a %s", s[i], typeName(x))
			}
			fmt.Fprint(&b, n)
		default:
			return nil, fmt.Errorf("the format's %%%c is not supported", s[i])
		}
		if b.Len() > maxValue {
			return nil, SizeError{}
		}
	}
	if _, dict := v.(*Dict); len(arguments) > 0 && !dict {
		return nil, errors.New("the format has fewer fields than there are values")
	}
	return b.String(), nil
}
