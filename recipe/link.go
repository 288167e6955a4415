package recipe

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/seed-b72bdb6c/alma/stage"
)

// link finds what the inputs of the stages name, and puts the stages in an order
// in which each comes after those that it reads from: as written, unless an input
// names a later one.
func (r *reader) link(recipe *Recipe) {
	for _, s := range recipe.Steps {
		for _, in := range s.Stage.Inputs {
			f := s.section.child(in.Name)
			var texts []string
			if in.Many {
				texts = f.value.Interface().([]string)
			} else if f.value.String() != "" {
				texts = []string{f.value.String()}
			}
			if len(texts) == 0 && in.Required {
				r.fail(s.at, f.key, fmt.Sprintf("is missing: %s; give a stage that makes %s, or a path", in.Doc, kindNames(in.Kinds)))
			}
			for _, text := range texts {
				if ref, ok := r.reference(recipe, s, in, f, text); ok {
					s.Inputs[in.Name] = append(s.Inputs[in.Name], ref)
				}
			}
		}
	}
	for _, s := range recipe.Steps {
		for name, refs := range s.Inputs {
			for _, ref := range refs {
				r.partIsLeft(s.section.child(name), ref)
			}
		}
	}
	if len(r.errs) == 0 {
		r.order(recipe)
	}
}

// partIsLeft refuses a part that its stage does not leave as it is configured: token
// shards of a pretraining that reads shards.
func (r *reader) partIsLeft(f *field, ref Ref) {
	if ref.Step == nil || ref.Output.Of == "" {
		return
	}
	for _, source := range ref.Step.Inputs[ref.Output.Of] {
		var kind stage.Kind
		name := source.Path
		if source.Step != nil {
			kind, name = source.Output.Kind, source.Step.Name
		} else if kinds, _ := KindsOf(source.Path); len(kinds) > 0 {
			kind = kinds[0]
		}
		if kind != "" && kind != ref.Output.FromKind {
			r.fail(f.at, f.key, fmt.Sprintf("stage %s leaves no part %q here, as it reads %s; name %s.%s", ref.Step.Name, ref.Output.Part, article(kind), name, ref.Output.Part))
		}
	}
}

// reference reads an input: the name of a stage, of a part of one (STAGE.PART), or
// a path.
func (r *reader) reference(recipe *Recipe, from *Step, in stage.Input, f *field, text string) (Ref, bool) {
	ref := Ref{Text: text}
	name, part, dotted := strings.Cut(text, ".")
	step := recipe.Step(name)
	if step == nil {
		ref.Path = text
		return ref, true
	}
	fail := func(format string, args ...any) (Ref, bool) {
		e := r.fail(f.at, f.key, fmt.Sprintf(format, args...))
		if f.at == nil { // it was set on the command line
			e.Set = f.key + "=" + text
		}
		return ref, false
	}
	if step == from {
		return fail("found %q, the stage itself", text)
	}
	outputs := step.Stage.Outputs(step.Config)
	if dotted {
		var parts []string
		for i, o := range outputs {
			if o.Part == part {
				ref.Step, ref.Output = step, &outputs[i]
			}
			if o.Part != "" {
				parts = append(parts, name+"."+o.Part)
			}
		}
		if ref.Output == nil {
			if _, err := os.Stat(text); err == nil { // a file that is called like a stage
				ref.Path = text
				return ref, true
			}
			if len(parts) == 0 {
				return fail("stage %s (%s) has no part %q, and none at all", name, step.Stage.Kind, part)
			}
			near := nearest(part, partNames(outputs))
			if near != "" {
				near = name + "." + near
			}
			return fail("stage %s (%s) has no part %q%s it has %s", name, step.Stage.Kind, part, didYouMean(near), strings.Join(parts, ", "))
		}
		if !in.Accepts(ref.Output.Kind) {
			return fail("%s is %s, needs %s", text, article(ref.Output.Kind), kindNames(in.Kinds))
		}
		return ref, true
	}
	// The stage's name alone: its first output that the input takes.
	for i, o := range outputs {
		if in.Accepts(o.Kind) {
			ref.Step, ref.Output = step, &outputs[i]
			return ref, true
		}
	}
	var makes []string
	for _, o := range outputs {
		makes = append(makes, article(o.Kind))
	}
	hint := ""
	var fitting []string
	for _, other := range recipe.Steps {
		if other != from && slices.ContainsFunc(other.Stage.Outputs(other.Config), func(o stage.Output) bool { return in.Accepts(o.Kind) }) {
			fitting = append(fitting, other.Name)
		}
	}
	if len(fitting) > 0 {
		hint = fmt.Sprintf("; %s would do", strings.Join(fitting, ", "))
	}
	return fail("stage %s (%s) makes %s, needs %s%s", name, step.Stage.Kind, strings.Join(makes, ", "), kindNames(in.Kinds), hint)
}

func partNames(outputs []stage.Output) []string {
	var names []string
	for _, o := range outputs {
		if o.Part != "" {
			names = append(names, o.Part)
		}
	}
	return names
}

// kindNames writes "a language model or a reward model".
func kindNames(kinds []stage.Kind) string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = article(k)
	}
	return strings.Join(names, " or ")
}

// article puts one before a kind that has a singular.
func article(k stage.Kind) string {
	switch s := string(k); {
	case strings.HasSuffix(s, "s") && !strings.HasSuffix(s, "corpus"), k == stage.PlainText:
		return s
	case strings.ContainsRune("aeio", rune(s[0])):
		return "an " + s
	default:
		return "a " + s
	}
}

// order sorts the steps, and finds cycles.
func (r *reader) order(recipe *Recipe) {
	var sorted, path []*Step
	done := map[*Step]bool{}
	var visit func(s *Step) bool
	visit = func(s *Step) bool {
		if done[s] {
			return true
		}
		if i := slices.Index(path, s); i >= 0 {
			var names []string
			for _, p := range path[i:] {
				names = append(names, p.Name)
			}
			r.fail(s.at, s.Name, fmt.Sprintf("reads from itself by way of others: %s → %s; a stage cannot come before what it reads", strings.Join(names, " → "), s.Name))
			return false
		}
		path = append(path, s)
		for _, in := range s.Stage.Inputs {
			for _, ref := range s.Inputs[in.Name] {
				if ref.Step != nil && !visit(ref.Step) {
					return false
				}
			}
		}
		path = path[:len(path)-1]
		done[s] = true
		sorted = append(sorted, s)
		return true
	}
	for _, s := range recipe.Steps {
		if !visit(s) {
			return
		}
	}
	recipe.Steps = sorted
}

// String writes what the input names, and for a stage what kind of artifact it is.
func (ref Ref) String() string {
	if ref.Step == nil {
		return ref.Text
	}
	return fmt.Sprintf("%s (%s of stage %s)", ref.Text, ref.Output.Kind, ref.Step.Name)
}
