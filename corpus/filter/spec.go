package filter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// A Spec is a filter with its settings, as it is written in a recipe or on a command
// line: the filter's name, and behind it settings that differ from its defaults.
//
//	gopher_quality
//	gopher_quality min_words=30 max_symbols=0.2
//	language languages=en,zh min_probability=0.5
type Spec struct {
	text   string
	filter Filter
}

// ParseSpec reads a filter with its settings. What it does not know, or a value beyond
// what a setting may be, is an error that says what is known.
func ParseSpec(text string) (Spec, error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return Spec{}, fmt.Errorf("a filter has a name; there are %s", strings.Join(names(), ", "))
	}
	entry, ok := EntryOf(words[0])
	if !ok {
		return Spec{}, fmt.Errorf("there is no filter %q; there are %s", words[0], strings.Join(names(), ", "))
	}
	config := entry.Defaults()
	for _, word := range words[1:] {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			return Spec{}, fmt.Errorf("filter %s: %q is no setting, KEY=VALUE", entry.Name, word)
		}
		if err := set(config, key, value); err != nil {
			return Spec{}, fmt.Errorf("filter %s: %w", entry.Name, err)
		}
	}
	f, err := config.Filter()
	return Spec{strings.Join(words, " "), f}, err
}

// Filter is the filter that the text describes.
func (s Spec) Filter() Filter { return s.filter }

// String returns the text that was read.
func (s Spec) String() string { return s.text }

// MarshalText implements encoding.TextMarshaler.
func (s Spec) MarshalText() ([]byte, error) { return []byte(s.text), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Spec) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSpec(string(text))
	return err
}

func names() (list []string) {
	for _, e := range Entries {
		list = append(list, e.Name)
	}
	return list
}

// set gives a setting of a configuration a value: a number, true or false, a word, or
// a list of words with commas between.
func set(config Config, key, value string) error {
	v := reflect.ValueOf(config).Elem()
	var known []string
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		name, _, _ := strings.Cut(tag.Get("json"), ",")
		if known = append(known, name); name != key {
			continue
		}
		field := v.Field(i)
		text := []byte(value)
		switch field.Kind() {
		case reflect.Slice:
			text, _ = json.Marshal(strings.Split(value, ","))
		case reflect.String:
			text, _ = json.Marshal(value)
		}
		d := json.NewDecoder(bytes.NewReader(text))
		if err := d.Decode(field.Addr().Interface()); err != nil || d.More() {
			return fmt.Errorf("%s is %q, which is no %s", key, value, field.Type())
		}
		return within(key, field, tag)
	}
	slices.Sort(known)
	return fmt.Errorf("there is no setting %q; there are %s", key, strings.Join(known, ", "))
}

// within holds a number against the bounds that its tag gives.
func within(key string, field reflect.Value, tag reflect.StructTag) error {
	var x float64
	switch {
	case field.CanInt():
		x = float64(field.Int())
	case field.CanFloat():
		x = field.Float()
	default:
		return nil
	}
	for name, holds := range map[string]func(bound float64) bool{
		"min":   func(bound float64) bool { return x >= bound },
		"max":   func(bound float64) bool { return x <= bound },
		"above": func(bound float64) bool { return x > bound },
	} {
		if bound, err := strconv.ParseFloat(tag.Get(name), 64); err == nil && !holds(bound) {
			return fmt.Errorf("%s is %g, and its %s is %g", key, x, name, bound)
		}
	}
	return nil
}
