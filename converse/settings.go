package converse

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/generate"
	"github.com/seed-b72bdb6c/alma/model"
)

// Own are the settings that nobody else gives, for a person at a terminal. At
// temperature 1 small models say what is not coherent, and at low ones they repeat
// themselves (docs/log.md has what was tried).
var Own = generate.Sampling{Temperature: .5, TopP: 1, MinP: .1, RepetitionPenalty: 1.1, MaxTokens: 256}

// ownOrigin is where the settings of Own come from.
const ownOrigin = "alma's own"

// Settings are how answers are sampled, and where each value comes from.
type Settings struct {
	generate.Sampling
	origins map[string]string // by name
}

// A setting is one value by its name, which is that of the flag.
type setting struct {
	name string
	of   func(*generate.Sampling) any // a *float64, *int or *uint64
}

var settings = []setting{
	{"temp", func(s *generate.Sampling) any { return &s.Temperature }},
	{"top-k", func(s *generate.Sampling) any { return &s.TopK }},
	{"top-p", func(s *generate.Sampling) any { return &s.TopP }},
	{"min-p", func(s *generate.Sampling) any { return &s.MinP }},
	{"repeat-penalty", func(s *generate.Sampling) any { return &s.RepetitionPenalty }},
	{"max-tokens", func(s *generate.Sampling) any { return &s.MaxTokens }},
	{"seed", func(s *generate.Sampling) any { return &s.Seed }},
}

// SettingNames lists the names that Set knows.
func SettingNames() []string {
	names := make([]string, len(settings))
	for i, s := range settings {
		names[i] = s.name
	}
	return names
}

// Recommended are alma's own settings, or those that a model's files recommend, which
// from names. What a recommendation leaves open stays without effect: its makers tried
// what they say, and nothing of ours beside it. A temperature of 1 alone, which most
// files have that say nothing, is none.
func Recommended(g model.Generation, from string) *Settings {
	s := &Settings{Own, map[string]string{}}
	for _, name := range SettingNames() {
		s.origins[name] = ownOrigin
	}
	one := func(v *float64) bool { return v == nil || *v == 1 }
	zero := func(v *float64) bool { return v == nil || *v == 0 }
	if one(g.Temperature) && one(g.TopP) && (g.TopK == nil || *g.TopK == 0) && zero(g.MinP) && one(g.RepetitionPenalty) {
		return s
	}
	s.Temperature, s.TopK, s.TopP, s.MinP, s.RepetitionPenalty = 1, 0, 1, 0, 1
	for name, said := range map[string]*float64{"temp": g.Temperature, "top-p": g.TopP, "min-p": g.MinP, "repeat-penalty": g.RepetitionPenalty} {
		if s.origins[name] = "off"; said != nil {
			*named(name).of(&s.Sampling).(*float64), s.origins[name] = *said, from
		}
	}
	if s.origins["top-k"] = "off"; g.TopK != nil {
		s.TopK, s.origins["top-k"] = *g.TopK, from
	}
	return s
}

// named is the setting of a name, nil if there is none.
func named(name string) *setting {
	for i := range settings {
		if settings[i].name == name {
			return &settings[i]
		}
	}
	return nil
}

// Set changes the setting of a name to a value, as text; from says who does. It is
// an artifact.ErrUsage if there is no such setting or it cannot have the value, and
// nothing is changed then.
func (s *Settings) Set(name, value, from string) error {
	of := named(name)
	if of == nil {
		hint := ""
		if near := nearest(name, SettingNames()); near != "" {
			hint = fmt.Sprintf("did you mean %s? ", near)
		}
		return artifact.Errorf(artifact.ErrUsage, "setting %s: there is no such setting; %sthere are %s", name, hint, strings.Join(SettingNames(), ", "))
	}
	next := s.Sampling
	var err error
	want := "a whole number"
	switch into := of.of(&next).(type) {
	case *float64:
		*into, err = strconv.ParseFloat(value, 64)
		if want = "a number"; math.IsNaN(*into) {
			err = strconv.ErrSyntax
		}
	case *int:
		*into, err = strconv.Atoi(value)
	case *uint64:
		*into, err = strconv.ParseUint(value, 10, 64)
	}
	if err != nil {
		return artifact.Errorf(artifact.ErrUsage, "setting %s: %q is not %s", name, value, want)
	}
	if err := next.Validate(); err != nil {
		return err
	}
	s.Sampling, s.origins[name] = next, from
	return nil
}

// value is a setting's value as text.
func (s *Settings) value(of setting) string {
	switch v := of.of(&s.Sampling).(type) {
	case *float64:
		return strconv.FormatFloat(*v, 'g', -1, 64)
	case *int:
		return strconv.Itoa(*v)
	case *uint64:
		return strconv.FormatUint(*v, 10)
	}
	panic("converse: setting " + of.name + " is of no type that has a text")
}

// Line tells the settings in one line, those of one origin together. What nobody gave
// and has no effect is left out.
func (s *Settings) Line() string {
	var origins []string
	values := map[string][]string{}
	for _, of := range settings {
		from := s.origins[of.name]
		if from == "off" || from == ownOrigin && slices.Contains([]string{"top-k 0", "top-p 1", "seed 0"}, of.name+" "+s.value(of)) {
			continue
		}
		if values[from] == nil {
			origins = append(origins, from)
		}
		values[from] = append(values[from], of.name+" "+s.value(of))
	}
	parts := make([]string, len(origins))
	for i, from := range origins {
		parts[i] = fmt.Sprintf("%s (%s)", strings.Join(values[from], ", "), from)
	}
	return "sampling: " + strings.Join(parts, "; ")
}

// Table tells each setting in a line of its own, with where it comes from.
func (s *Settings) Table() string {
	var b strings.Builder
	for _, of := range settings {
		fmt.Fprintf(&b, "%-15s %-8s %s\n", of.name, s.value(of), s.origins[of.name])
	}
	return b.String()
}

// nearest is the candidate that a mistyped name probably means, "" if none is near:
// one that it begins, or that two changes of a character make of it.
func nearest(name string, candidates []string) string {
	best, most := "", 3
	if name == "" {
		return best
	}
	for _, candidate := range candidates {
		d := distance(name, candidate)
		if strings.HasPrefix(candidate, name) {
			d = 0
		}
		if d < most && d < max(2, len(candidate)/2+1) {
			best, most = candidate, d
		}
	}
	return best
}

// distance is how many characters must be put in, taken out or changed to make one
// text of the other (Levenshtein 1965).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0] // of the row before
		row[0] = i + 1
		for j := range len(b) {
			d := corner
			if a[i] != b[j] {
				d = 1 + min(corner, row[j], row[j+1])
			}
			corner, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}
