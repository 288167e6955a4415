package jinja

import (
	"errors"
	"fmt"
)

// maxRange is how long a range may be, as in Jinja's sandbox.
const maxRange = 100000

// globals are the functions that every template finds.
var globals = map[string]any{
	"range":     &function{"range", rangeOf},
	"namespace": &function{"namespace", newNamespace},
	"dict": &function{"dict", func(_ *run, a values) (any, error) {
		return dictOf(a)
	}},
	"raise_exception": &function{"raise_exception", func(_ *run, a values) (any, error) {
		bound, err := a.bind("raise_exception", "message")
		if err != nil {
			return nil, err
		}
		return nil, &RaisedError{str(bound[0])}
	}},
	"strftime_now": &function{"strftime_now", func(r *run, a values) (any, error) {
		bound, err := a.bind("strftime_now", "format")
		if err != nil {
			return nil, err
		}
		format, ok := bound[0].(string)
		if !ok {
			return nil, errors.New("strftime_now takes a format, a string")
		}
		return strftime(r.now, format)
	}},
	"joiner": &function{"joiner", func(_ *run, a values) (any, error) {
		bound, err := a.bind("joiner", "sep")
		if err != nil {
			return nil, err
		}
		separator := orElse(bound[0], ", ")
		used := false
		return &function{"joiner", func(*run, values) (any, error) {
			if !used {
				used = true
				return "", nil
			}
			return separator, nil
		}}, err
	}},
}

func rangeOf(_ *run, a values) (any, error) {
	bound, err := a.bind("range", "start", "stop", "step")
	if err != nil {
		return nil, err
	}
	numbers := [3]int64{0, 0, 1}
	for i, b := range bound {
		if b == (absent{}) {
			continue
		}
		n, ok := integer(b)
		if !ok {
			return nil, fmt.Errorf("range takes integers, and one is a %s", typeName(b))
		}
		numbers[i] = n
	}
	start, stop, step := numbers[0], numbers[1], numbers[2]
	switch {
	case bound[0] == (absent{}):
		return nil, errors.New("range needs an end")
	case bound[1] == (absent{}):
		start, stop = 0, start
	case step == 0:
		return nil, errors.New("range has the step 0")
	}
	list := &List{}
	for i := start; step > 0 && i < stop || step < 0 && i > stop; {
		if len(list.Items) == maxRange {
			return nil, fmt.Errorf("range is longer than %d", maxRange)
		}
		list.Items = append(list.Items, i)
		next := i + step
		if (next > i) != (step > 0) { // past 64 bits
			break
		}
		i = next
	}
	return list, nil
}

// dictOf makes a dictionary of named arguments, after those of another
// dictionary or of pairs.
func dictOf(a values) (*Dict, error) {
	d := NewDict()
	if len(a.positional) > 1 {
		return nil, errors.New("a dictionary takes one argument without a name")
	}
	for _, v := range a.positional {
		if other, ok := v.(*Dict); ok {
			v = items(other)
		}
		pairs, err := iterate(v)
		if err != nil {
			return nil, err
		}
		for _, p := range pairs {
			pair, err := iterate(p)
			if err != nil {
				return nil, err
			}
			if len(pair) != 2 {
				return nil, fmt.Errorf("a dictionary takes pairs, and one has %d parts", len(pair))
			}
			if err := hashable(pair[0]); err != nil {
				return nil, err
			}
			d.Set(pair[0], pair[1])
		}
	}
	for _, n := range a.named {
		d.Set(n.name, n.value)
	}
	return d, nil
}

func newNamespace(_ *run, a values) (any, error) {
	d, err := dictOf(a)
	if err != nil {
		return nil, err
	}
	return &namespace{d}, nil
}
