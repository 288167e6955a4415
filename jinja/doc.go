// Package jinja renders chat templates: the part of the Jinja language (Jinja2
// 3.1) in which models say how a conversation becomes text, with the settings
// that Hugging Face's transformers renders them with. The text is the one that
// Python makes, byte for byte; docs/formats/chat-templates.md says what is not
// there.
//
//	t, err := jinja.Parse("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
//	variables, err := jinja.DecodeJSON([]byte(`{"messages":[{"role":"user","content":"Hi."}]}`))
//	text, err := t.Render(variables.(*jinja.Dict), time.Now())
//
// # Settings
//
// trim_blocks and lstrip_blocks are on, undefined values behave as Jinja's
// Undefined, the sandbox is the immutable one (a template cannot change a list
// or a dictionary, names that begin with an underscore are closed), break and
// continue are there, tojson writes what json.dumps writes with
// ensure_ascii=False, raise_exception fails with the template's own words,
// strftime_now tells the time that Render is given, and the generation tag is
// read and has no effect.
//
// # Values
//
// A value is nil (None), bool, int64, float64, string, *List, *Dict, or
// something that only templates make: undefined values, namespaces, macros, loops
// and functions. Dictionaries keep the order of their keys.
//
// # What it is not
//
// A template is a program. This package bounds the depth of its calls and the
// size of any one value, so that the usual accidents have clear errors, but not
// its time: package chat runs it in a process of its own, which has hard limits.
// There is no inheritance, include or import: a chat template is one file.
package jinja
