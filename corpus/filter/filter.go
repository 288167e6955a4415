package filter

import (
	"fmt"
	"slices"
)

// Kind says what kind of text a document is, since rules for prose would refuse
// every program.
type Kind string

// The kinds. An empty Kind stands for Prose.
const (
	Prose Kind = "prose"
	Code  Kind = "code"
)

// Facts are what is known about a document beside its text. All are optional.
type Facts struct {
	// ID is the document's name; of code, a path that ends in the file's name.
	ID string
	// URL is where it was found.
	URL string
	// Language is a code of ISO 639-1. Where it is empty, package langid tells it.
	Language string
	Kind     Kind
	// Licence is what the document may be used under, an identifier of SPDX.
	Licence string
}

// A Value is one thing that a filter measured, beside its limit.
type Value struct {
	// Reason is why a text beyond the limit is refused, the same string for
	// every text: the filter's name, a colon, a few words.
	Reason string `json:"reason"`
	// Setting is the name of the limit in the filter's configuration.
	Setting string  `json:"setting"`
	Value   float64 `json:"value"`
	Limit   float64 `json:"limit"`
	// Least says that the limit is the least allowed, not the most.
	Least bool `json:"least,omitempty"`
	// Found is what was found, where the value does not say it: a word, a domain,
	// a language.
	Found string `json:"found,omitempty"`
}

// Beyond reports whether the value is beyond its limit. A value that is no
// number is.
func (v Value) Beyond() bool {
	if v.Least {
		return !(v.Value >= v.Limit)
	}
	return !(v.Value <= v.Limit)
}

// String says what was measured and what was allowed.
func (v Value) String() string {
	bound := "at most"
	if v.Least {
		bound = "at least"
	}
	text := fmt.Sprintf("%s: %.4g, and %s is %s %.4g", v.Reason, v.Value, v.Setting, bound, v.Limit)
	if v.Found != "" {
		text += fmt.Sprintf(" (%s)", v.Found)
	}
	return text
}

// A Refusal is the value for which a text was refused.
type Refusal struct {
	// Filter is the name of the filter that refused.
	Filter string `json:"filter"`
	Value
}

// A Filter judges texts. It is safe for several goroutines, and judges the same
// text in the same way whatever came before it.
type Filter struct {
	name string
	// judge gives each what it measures, in the order in which the paper's rules
	// are applied, and returns the text that stays, t itself where it stays as it
	// is. Where each returns false it stops, and what it returns is not used.
	judge func(t *Text, each func(Value) bool) *Text
	// concerns reports whether the filter has something to say about the text.
	concerns func(t *Text) bool
}

// Name is the filter's name in recipes and reports.
func (f Filter) Name() string { return f.name }

// Apply returns the text that stays, or the reason for which none does.
func (f Filter) Apply(t *Text) (*Text, *Refusal) {
	if f.concerns != nil && !f.concerns(t) {
		return t, nil
	}
	var refusal *Refusal
	left := f.judge(t, func(v Value) bool {
		if v.Beyond() {
			refusal = &Refusal{f.name, v}
		}
		return refusal == nil
	})
	if refusal != nil {
		return nil, refusal
	}
	return left, nil
}

// Explain returns everything that the filter measures of the text, whether or
// not it is beyond its limit. It is empty for a text that the filter does not
// concern.
func (f Filter) Explain(t *Text) []Value {
	if f.concerns != nil && !f.concerns(t) {
		return nil
	}
	var values []Value
	f.judge(t, func(v Value) bool {
		values = append(values, v)
		return true
	})
	return values
}

// A List applies its filters one after the other.
type List []Filter

// Apply returns what the filters leave of a text, or the first refusal.
func (l List) Apply(text string, facts Facts) (string, *Refusal) {
	t := NewText(text, facts)
	defer func() { t.free() }()
	for _, f := range l {
		left, refusal := f.Apply(t)
		if refusal != nil {
			return "", refusal
		}
		if left != t {
			t.free()
			t = left
		}
	}
	return t.text, nil
}

// An Explained is what one filter of a list measured.
type Explained struct {
	Filter string  `json:"filter"`
	Values []Value `json:"values"`
	// Refused says that one of the values is beyond its limit.
	Refused bool `json:"refused"`
	// Changed says that the filter changes the text.
	Changed bool `json:"changed,omitempty"`
}

// Explain returns what every filter of the list measures, those after a refusal
// too, which then see the text as the refusing filter saw it.
func (l List) Explain(text string, facts Facts) []Explained {
	t := NewText(text, facts)
	var all []Explained
	for _, f := range l {
		left, refusal := f.Apply(t)
		e := Explained{Filter: f.name, Values: f.Explain(t), Refused: refusal != nil}
		if refusal == nil {
			e.Changed = left.text != t.text
			t = left
		}
		all = append(all, e)
	}
	return all
}

// A Config is the configuration of one filter: a struct of limits.
type Config interface {
	// Filter makes the filter, or says what is wrong with the configuration.
	Filter() (Filter, error)
}

// An Entry is a filter as recipes name it.
type Entry struct {
	Name string
	// Does is one line on what it refuses or changes.
	Does string
	// Paper is where its rules come from.
	Paper string
	// Defaults returns a pointer to its configuration as the paper has it.
	Defaults func() Config
}

// Entries lists the filters that need nothing but their configuration, in the
// order in which they are best applied: cheap ones before dear ones, those that
// change the text after those that judge it as it was.
var Entries = []Entry{
	{"urls", "refuses by address", "Penedo et al. 2023 (RefinedWeb)", func() Config { c := DefaultURLs(); return &c }},
	{"code", "refuses program text that is generated, minified or not free", "Kocetkov et al. 2022 (The Stack); Chen et al. 2021 (Codex)", func() Config { c := DefaultProgram(); return &c }},
	{"language", "refuses what is in none of the languages wanted", "Joulin et al. 2016; Wenzek et al. 2019 (CCNet)", func() Config { c := DefaultLanguage(); return &c }},
	{"gopher_repetition", "refuses what repeats itself", "Rae et al. 2021 (Gopher), table A1", func() Config { c := DefaultGopherRepetition(); return &c }},
	{"gopher_quality", "refuses what is no prose", "Rae et al. 2021 (Gopher), section A1.1", func() Config { c := DefaultGopherQuality(); return &c }},
	{"c4", "cuts lines that are no sentences, refuses what is left with too few", "Raffel et al. 2020 (C4)", func() Config { c := DefaultC4(); return &c }},
	{"fineweb", "refuses lists and menus", "Penedo et al. 2024 (FineWeb)", func() Config { c := DefaultFineWebRules(); return &c }},
	{"chinese", "refuses what is no Chinese prose", "after Gopher and FineWeb; limits of our own", func() Config { c := DefaultChinese(); return &c }},
	{"harmful", "refuses texts full of words that harm", "Gehman et al. 2020; Raffel et al. 2020", func() Config { c := DefaultHarmful(); return &c }},
	{"personal", "replaces addresses and numbers of people, refuses lists of them", "Penedo et al. 2024 (FineWeb); Soldaini et al. 2024 (Dolma)", func() Config { c := DefaultPersonal(); return &c }},
}

// EntryOf returns the filter of that name.
func EntryOf(name string) (Entry, bool) {
	i := slices.IndexFunc(Entries, func(e Entry) bool { return e.Name == name })
	if i < 0 {
		return Entry{}, false
	}
	return Entries[i], true
}

// FineWeb returns the filters of FineWeb in its order, with its limits: addresses,
// language, repetition, quality, C4, FineWeb's own, personal data.
func FineWeb() (List, error) {
	var list List
	for _, name := range []string{"urls", "language", "gopher_repetition", "gopher_quality", "c4", "fineweb", "personal"} {
		e, _ := EntryOf(name)
		f, err := e.Defaults().Filter()
		if err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, nil
}

// spaced concerns prose in a language that puts spaces between its words.
func spaced(t *Text) bool {
	if t.Kind == Code {
		return false
	}
	switch t.Language() {
	case "zh", "ja", "th":
		return false
	}
	return true
}

// share is part / whole, 0 of nothing.
func share(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
