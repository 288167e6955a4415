package jinja

import (
	"fmt"
	"time"
)

// A Template is a parsed chat template. It does not change; its methods may be
// called from many goroutines at once.
type Template struct{ body []statement }

// Parse reads a template. Its error is a *SyntaxError.
func Parse(source string) (*Template, error) {
	body, err := parse(source)
	if err != nil {
		return nil, err
	}
	return &Template{body}, nil
}

// A RaisedError is what a template says with raise_exception.
type RaisedError struct{ Message string }

// Error implements error.
func (e *RaisedError) Error() string { return e.Message }

// Render runs the template. variables are the names that it finds; now is what
// strftime_now tells. An error names the line of the statement that failed; it
// wraps a *RaisedError where the template itself refuses, a *DepthError or a
// SizeError where a limit is passed.
func (t *Template) Render(variables *Dict, now time.Time) (string, error) {
	r := &run{now: now}
	top := &scope{names: map[string]any{}, parent: &scope{names: globals}}
	for _, key := range variables.Keys() {
		name, ok := key.(string)
		if !ok {
			return "", fmt.Errorf("a variable's name is a %s", typeName(key))
		}
		top.names[name], _ = variables.Get(key)
	}
	out := &output{}
	if _, err := r.statements(t.body, top, out); err != nil {
		return "", err
	}
	return out.text.String(), nil
}
