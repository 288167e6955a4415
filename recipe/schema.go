package recipe

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/seed-b72bdb6c/alma/stage"
)

// Schema is the JSON Schema (draft 2020-12) of recipes, for editors: made of what the
// stages say of themselves.
func Schema() ([]byte, error) {
	s, err := schemaOf(Stages)
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding the schema of recipes: %w", err)
	}
	return append(text, '\n'), nil
}

func schemaOf(kinds []*stage.Stage) (*jsonschema.Schema, error) {
	head := &field{value: reflect.ValueOf(&Head{Seed: 1, Precision: "fp32"}).Elem(), section: true}
	if err := head.buildSection(); err != nil {
		return nil, err
	}
	root := head.object()
	root.Schema, root.Title = "https://json-schema.org/draft/2020-12/schema", "A recipe of alma"
	var names []any
	of := &jsonschema.Schema{Type: "object", Required: []string{"use"}}
	for _, s := range kinds {
		names = append(names, s.Kind)
		section, err := newSection("stage", s)
		if err != nil {
			return nil, err
		}
		object := section.object()
		object.Description = s.Does
		for _, in := range s.Inputs {
			if in.Required {
				object.Required = append(object.Required, in.Name)
			}
			p := object.Properties[in.Name]
			p.Description = in.Doc + ": a stage that makes " + kindNames(in.Kinds) + ", or a path"
			p.Default = nil
		}
		use := any(s.Kind)
		object.Properties["use"] = &jsonschema.Schema{Const: &use, Description: s.Does}
		of.AllOf = append(of.AllOf, &jsonschema.Schema{
			If:   &jsonschema.Schema{Properties: map[string]*jsonschema.Schema{"use": {Const: &use}}, Required: []string{"use"}},
			Then: object,
		})
	}
	of.Properties = map[string]*jsonschema.Schema{"use": {Enum: names, Description: "the kind of stage"}}
	root.Properties["stages"] = &jsonschema.Schema{
		Type: "object", Description: "the stages by name", PropertyNames: &jsonschema.Schema{Pattern: "^[a-z0-9][a-z0-9_-]*$"}, AdditionalProperties: of,
	}
	root.Required = []string{"stages"}
	return root, nil
}

// object is the schema of a section.
func (f *field) object() *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "object", Properties: map[string]*jsonschema.Schema{}, AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}}}
	for _, c := range f.children {
		if c.stages {
			continue
		}
		if c.section {
			s.Properties[c.name] = c.object()
		} else {
			s.Properties[c.name] = c.scalar()
		}
		s.PropertyOrder = append(s.PropertyOrder, c.name)
	}
	return s
}

// scalar is the schema of a value or a list.
func (f *field) scalar() *jsonschema.Schema {
	t := f.value.Type()
	s := f.limits.schema(t)
	if f.input && t.Kind() == reflect.Slice { // one need not be a list
		s = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string"}, s}}
	}
	s.Description = f.doc
	if t.Kind() != reflect.Slice && t != boundType {
		if text, err := json.Marshal(f.value.Interface()); err == nil && t != durationType {
			s.Default = text
		} else if t == durationType {
			s.Default, _ = json.Marshal(scalarText(f.value))
		}
	}
	return s
}

// schema is that of a value of a type within the limits.
func (l limits) schema(t reflect.Type) *jsonschema.Schema {
	s := &jsonschema.Schema{}
	switch {
	case t == durationType:
		s.Type, s.Pattern = "string", `^[0-9].*(h|m|s)$`
	case t == boundType:
		s.Type = "number"
	case isText(t):
		s.Type = "string"
	case t.Kind() == reflect.Slice:
		s.Type = "array"
		if element := t.Elem(); element.Kind() == reflect.Struct && !isText(element) {
			probe := &field{value: reflect.New(element).Elem(), section: true}
			if probe.buildSection() == nil { // the type was described without fault before
				s.Items = probe.object()
			}
		} else {
			s.Items = l.schema(element)
		}
		return s
	case t.Kind() == reflect.Bool:
		s.Type = "boolean"
	case t.Kind() == reflect.String:
		s.Type = "string"
	case isInteger(t):
		s.Type = "integer"
	default:
		s.Type = "number"
	}
	for _, e := range l.enum {
		s.Enum = append(s.Enum, e)
	}
	if t != durationType {
		s.Minimum, s.Maximum, s.ExclusiveMinimum = l.min, l.max, l.above
	}
	return s
}
