package gguf

import (
	"sort"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// Value returns the value of a metadata key and whether the file has it.
func (f *File) Value(key string) (any, bool) {
	i := sort.Search(len(f.keys), func(i int) bool { return f.entries[f.keys[i]].Key >= key })
	if i == len(f.keys) || f.entries[f.keys[i]].Key != key {
		return nil, false
	}
	return f.entries[f.keys[i]].Value, true
}

func (f *File) missing(key string) error {
	return artifact.Errorf(artifact.ErrCorrupt, "reading %s: metadata entry %q is missing", f.name, key)
}

func (f *File) mistyped(key string, value any, want string) error {
	return artifact.Errorf(artifact.ErrCorrupt, "reading %s: metadata entry %q is of type %T, want %s", f.name, key, value, want)
}

// Has reports whether the file has a metadata key.
func (f *File) Has(key string) bool {
	_, ok := f.Value(key)
	return ok
}

// Text returns a string. A missing key or a value of another type is an
// [artifact.ErrCorrupt], as for all that follow.
func (f *File) Text(key string) (string, error) {
	value, ok := f.Value(key)
	if !ok {
		return "", f.missing(key)
	}
	text, ok := value.(string)
	if !ok {
		return "", f.mistyped(key, value, "a string")
	}
	return text, nil
}

// Bool returns a boolean.
func (f *File) Bool(key string) (bool, error) {
	value, ok := f.Value(key)
	if !ok {
		return false, f.missing(key)
	}
	b, ok := value.(bool)
	if !ok {
		return false, f.mistyped(key, value, "a boolean")
	}
	return b, nil
}

// maxInt bounds whole numbers: what fits every integer type of the format.
const maxInt = 1<<31 - 1

// Int returns a whole number from 0 to 2³¹−1, whichever integer type it has in
// the file.
func (f *File) Int(key string) (int, error) {
	value, ok := f.Value(key)
	if !ok {
		return 0, f.missing(key)
	}
	n, ok := whole(value)
	if !ok {
		return 0, f.mistyped(key, value, "an integer")
	}
	if n < 0 || n > maxInt {
		return 0, artifact.Errorf(artifact.ErrCorrupt, "reading %s: metadata entry %q is %v, want 0 to %d", f.name, key, value, maxInt)
	}
	return int(n), nil
}

// whole returns the value of an integer of any type; those above 2⁶³−1 as −1.
func whole(value any) (int64, bool) {
	switch v := value.(type) {
	case uint8:
		return int64(v), true
	case int8:
		return int64(v), true
	case uint16:
		return int64(v), true
	case int16:
		return int64(v), true
	case uint32:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case uint64:
		if v > 1<<63-1 {
			return -1, true
		}
		return int64(v), true
	}
	return 0, false
}

// Float returns a number of either floating-point type.
func (f *File) Float(key string) (float64, error) {
	value, ok := f.Value(key)
	if !ok {
		return 0, f.missing(key)
	}
	switch v := value.(type) {
	case float32:
		return float64(v), nil
	case float64:
		return v, nil
	}
	return 0, f.mistyped(key, value, "a floating-point number")
}

// Texts returns an array of strings.
func (f *File) Texts(key string) ([]string, error) {
	return array[string](f, key, "an array of strings")
}

// Int32s returns an array of int32 or uint32, whose values must fit.
func (f *File) Int32s(key string) ([]int32, error) {
	if value, _ := f.Value(key); value != nil {
		if unsigned, ok := value.([]uint32); ok {
			values := make([]int32, len(unsigned))
			for i, v := range unsigned {
				if v > maxInt {
					return nil, artifact.Errorf(artifact.ErrCorrupt, "reading %s: metadata entry %q: value %d is %d, above %d", f.name, key, i, v, maxInt)
				}
				values[i] = int32(v)
			}
			return values, nil
		}
	}
	return array[int32](f, key, "an array of int32")
}

// Float32s returns an array of float32.
func (f *File) Float32s(key string) ([]float32, error) {
	return array[float32](f, key, "an array of float32")
}

func array[T any](f *File, key, want string) ([]T, error) {
	value, ok := f.Value(key)
	if !ok {
		return nil, f.missing(key)
	}
	values, ok := value.([]T)
	if !ok {
		return nil, f.mistyped(key, value, want)
	}
	return values, nil
}
