package jinja

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestTemplatesThatGoTooFarHaveErrors(t *testing.T) {
	var size SizeError
	var depth *DepthError
	var raised *RaisedError
	var syntax *SyntaxError
	for name, c := range map[string]struct {
		template string
		as       any // the error's type
		want     string
	}{
		"a macro that calls itself":    {"\n{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", &depth, "line 2: the template's calls are nested more than 1000 deep"},
		"macros that call each other":  {"{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}", &depth, ""},
		"a caller that calls":          {"{% macro f() %}{{ caller() }}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{% call f() %}x{% endcall %}", nil, ""},
		"a huge product":               {"{{ 'x' * 1000000000000 }}", &size, "line 1: the template makes a value of more than 64 MiB"},
		"a huge product of lists":      {"{{ [1] * 1000000000000 }}", &size, ""},
		"a doubling text":              {"{% set n = namespace(s='xxxxxxxx') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}", &size, ""},
		"a doubling list":              {"{% set n = namespace(s=[1]) %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}", &size, ""},
		"replacing by a long text":     {"{{ ('x' * 100000) | replace('x', 'y' * 100000) }}", &size, ""},
		"replacing nothing":            {"{{ ('x' * 1000000).replace('', 'y' * 100000) }}", &size, ""},
		"joining with a long text":     {"{{ range(100000) | join('y' * 100000) }}", &size, ""},
		"indenting far":                {"{{ 'a\\nb' | indent(100000000000) }}", &size, ""},
		"a list that grows as JSON":    {"{% set n = namespace(s='x' * 1000000) %}{% for i in range(60) %}{% set n.s = [n.s, n.s] %}{% endfor %}{{ n.s | tojson }}", &size, ""},
		"a long output":                {"{% for i in range(100000) %}{{ 'x' * 1000000 }}{% endfor %}", &size, ""},
		"a giant range":                {"{% for i in range(10000000000) %}x{% endfor %}", nil, "line 1: range is longer than 100000"},
		"a huge power":                 {"{{ 9 ** 99999999999 }}", nil, "64 bits"},
		"powers of one":                {"{{ 1 ** 9223372036854775807 }}{{ (-1) ** 9223372036854775807 }}{{ raise_exception('done') }}", &raised, "line 1: done"},
		"deep brackets":                {"{{ " + strings.Repeat("(", 100000) + "1" + strings.Repeat(")", 100000) + " }}", &syntax, "nested more than 100 deep"},
		"many signs":                   {"{{ " + strings.Repeat("-", 100000) + "1 }}", &syntax, "nested"},
		"many nots":                    {"{{ " + strings.Repeat("not ", 100000) + "1 }}", &syntax, "nested"},
		"deep blocks":                  {strings.Repeat("{% if 1 %}", 100000), &syntax, "nested"},
		"a chain of conditions":        {"{{ " + strings.Repeat("1 if 0 else ", 10000) + "1 }}", &syntax, "nested"},
		"a long chain of sums":         {"{{ 1" + strings.Repeat(" + 1", 100000) + " }}", &depth, ""},
		"a long chain of attributes":   {"{{ x" + strings.Repeat(".x", 100000) + " }}", &depth, ""},
		"an include":                   {"{% include '/etc/passwd' %}", &syntax, `line 1: "include" would read another file, and a chat template has none`},
		"an import":                    {"{% import '/etc/passwd' as p %}", &syntax, "another file"},
		"a from":                       {"{% from 'x' import y %}", &syntax, "another file"},
		"a parent":                     {"{% extends 'base.html' %}", &syntax, "another file"},
		"classes of Python":            {"{{ ''.__class__.__mro__[1].__subclasses__() }}", nil, "undefined"},
		"globals of a function":        {"{{ range.__globals__['os'] }}", nil, "undefined"},
		"a change of the conversation": {"{{ messages.append(1) }}", nil, "list.append is not allowed"},
		"an unknown module":            {"{{ os.system('true') }}", nil, `line 1: "os" is undefined`},
		"a template's own refusal":     {"\n\n{{ raise_exception('Roles must alternate!') }}", &raised, "line 3: Roles must alternate!"},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			_, err := renderCase(oracleCase{Template: c.template, Variables: []byte(`{"messages":[1]}`)})
			if err == nil {
				t.Fatal("no error")
			}
			if c.as != nil && !errors.As(err, c.as) {
				t.Errorf("error %v (%T), want one of type %T", err, err, c.as)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, want %q in it", err, c.want)
			}
			if took := time.Since(begin); took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestJSONKeepsTheOrderOfKeysAndTheKindsOfNumbers(t *testing.T) {
	const text = `{"b": 1, "a": [1.0, 1e-07, 123456789012345678901234567890, true, null, "é\"\\"], "c": {}}`
	v, err := DecodeJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got, err := encodeJSON(v, jsonStyle{item: ", ", key: ": ", limit: maxValue})
	if err != nil || got != text {
		t.Errorf("%s became %s (%v)", text, got, err)
	}
	for _, bad := range []string{"", "{", `{"a"`, `{"a":1`, "[1", "1 2", `{"a":}`, "nul", strings.Repeat("[", 100000)} {
		if v, err := DecodeJSON([]byte(bad)); err == nil {
			t.Errorf("%.20s… became %v", bad, v)
		}
	}
}

// FuzzParse looks for templates that crash the parser, or the rendering of which
// does.
func FuzzParse(f *testing.F) {
	for _, c := range oracleCases(f) {
		f.Add(c.Template)
	}
	f.Add("{{ ''.split }}{{ x.y[1:2:3] | map('e', 1) | list }}{%- raw -%}{{{%- endraw")
	f.Fuzz(func(t *testing.T, source string) {
		if strings.Count(source, "range") > 1 || strings.Count(source, "{% for") > 2 || strings.Contains(source, "macro") || len(source) > 4000 {
			return // may only take long
		}
		text, err := renderCase(oracleCase{Template: source, Variables: []byte(`{"messages":[{"role":"user","content":"a"}],"x":{"y":[1,2]}}`)})
		if err != nil && text != "" {
			t.Errorf("a text %q with the error %v", text, err)
		}
	})
}

// FuzzDecodeJSON looks for texts that crash the reader, or that come out
// otherwise when written and read again.
func FuzzDecodeJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5,"x",null,true]}`, `[]`, `"\ud800"`, `1e999`, `-0`, `{"a":1,"a":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := DecodeJSON(data)
		if err != nil {
			return
		}
		text, err := encodeJSON(v, jsonStyle{item: ", ", key: ": ", limit: maxValue})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text, "Infinity") {
			return // Python's name, which is no JSON
		}
		again, err := DecodeJSON([]byte(text))
		if err != nil || !equal(v, again) {
			t.Errorf("%s was written as %s and read as %v (%v)", data, text, again, err)
		}
	})
}
