package jinja

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write testdata/golden.json anew, from Python's jinja2")

// oracleNow is what strftime_now tells.
var oracleNow = time.Date(2025, 3, 9, 14, 5, 7, 0, time.UTC)

// oracleCase is a template with its variables, and a name for messages.
type oracleCase struct {
	Name      string          `json:"name"`
	Template  string          `json:"template"`
	Variables json.RawMessage `json:"variables"`
}

// oracleAnswer is what Python made of it: a text, or an error.
type oracleAnswer struct {
	Text  *string `json:"text,omitempty"`
	Error string  `json:"error,omitempty"`
}

// templateNames are the files of testdata/templates.
func templateNames(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "templates", "*.jinja"))
	if err != nil || len(files) < 8 {
		t.Fatalf("found templates %v (%v)", files, err)
	}
	return files
}

// oracleCases are all conversations in all templates, then the lines of
// language.txt.
func oracleCases(t testing.TB) []oracleCase {
	t.Helper()
	read := func(name string) []byte {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	var conversations []struct {
		Name      string
		Messages  json.RawMessage
		Tools     json.RawMessage
		Prompt    bool                       `json:"add_generation_prompt"`
		Variables map[string]json.RawMessage // further ones
	}
	if err := json.Unmarshal(read(filepath.Join("testdata", "conversations.json")), &conversations); err != nil {
		t.Fatal(err)
	}
	var cases []oracleCase
	for _, file := range templateNames(t) {
		for _, c := range conversations {
			variables := map[string]any{"messages": c.Messages, "add_generation_prompt": c.Prompt, "bos_token": "<s>", "eos_token": "</s>"}
			if c.Tools != nil {
				variables["tools"] = c.Tools
			}
			for name, value := range c.Variables {
				variables[name] = value
			}
			var b bytes.Buffer
			e := json.NewEncoder(&b)
			e.SetEscapeHTML(false)
			if err := e.Encode(variables); err != nil {
				t.Fatal(err)
			}
			cases = append(cases, oracleCase{filepath.Base(file) + ": " + c.Name, string(read(file)), b.Bytes()})
		}
	}
	const variables = `{"messages":[{"role":"user","content":"Hi <b>é</b> 'q'"},{"role":"assistant","content":{"parts":[{"n":1}]}}],` +
		`"numbers":[1,1.0,1e3,-0.0,123456789012345678901234567890,true,null],"x":null}`
	for i, line := range strings.Split(strings.TrimSuffix(string(read(filepath.Join("testdata", "language.txt"))), "\n"), "\n") {
		// In the file \n and \r are line ends where they stand outside of tags.
		cases = append(cases, oracleCase{fmt.Sprintf("language.txt:%d", i+1), lineEnds(line), json.RawMessage(variables)})
	}
	return cases
}

// lineEnds replaces \n, \r and \t by what they stand for, outside of {{ }}.
func lineEnds(line string) string {
	var b strings.Builder
	inside := false
	for i := 0; i < len(line); i++ {
		rest := line[i:]
		switch {
		case strings.HasPrefix(rest, "{{"):
			inside = true
		case strings.HasPrefix(rest, "}}"):
			inside = false
		case !inside && rest[0] == '\\' && len(rest) > 1:
			if at := strings.IndexByte("nrt", rest[1]); at >= 0 {
				b.WriteByte("\n\r\t"[at])
				i++
				continue
			}
		}
		b.WriteByte(line[i])
	}
	return b.String()
}

// renderCase is our answer to a case.
func renderCase(c oracleCase) (string, error) {
	template, err := Parse(c.Template)
	if err != nil {
		return "", err
	}
	variables, err := DecodeJSON(c.Variables)
	if err != nil {
		return "", err
	}
	return template.Render(variables.(*Dict), oracleNow)
}

func checkAnswers(t *testing.T, cases []oracleCase, answers []oracleAnswer) {
	t.Helper()
	if len(answers) != len(cases) {
		t.Fatalf("%d answers for %d cases", len(answers), len(cases))
	}
	wrong := 0
	for i, c := range cases {
		got, err := renderCase(c)
		want := answers[i]
		switch {
		case want.Text == nil && err == nil:
			t.Errorf("%s: rendered %q, and Python says %s\ntemplate: %s", c.Name, got, want.Error, short(c.Template))
		case want.Text != nil && err != nil:
			t.Errorf("%s: %v, and Python renders %q\ntemplate: %s", c.Name, err, *want.Text, short(c.Template))
		case want.Text != nil && got != *want.Text:
			t.Errorf("%s: rendered\n%q, and Python\n%q\ntemplate: %s", c.Name, got, *want.Text, short(c.Template))
		default:
			continue
		}
		wrong++
	}
	t.Logf("%d of %d renderings are Python's", len(cases)-wrong, len(cases))
}

func short(s string) string {
	if len(s) > 400 {
		return s[:400] + "…"
	}
	return s
}

func TestRenderingsAreThoseOfPython(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var answers []oracleAnswer
	if err := json.Unmarshal(data, &answers); err != nil {
		t.Fatal(err)
	}
	checkAnswers(t, oracleCases(t), answers)
}

// TestAgainstPython asks the real thing. It needs Python with jinja2; with
// ALMA_ORACLE=1 it installs that into a temporary virtual environment.
func TestAgainstPython(t *testing.T) {
	python := findPython(t)
	cases := oracleCases(t)
	answers := askPython(t, python, cases)
	checkAnswers(t, cases, answers)
	if !*update || t.Failed() {
		return
	}
	var b bytes.Buffer
	b.WriteString("[\n")
	for i, a := range answers {
		var line bytes.Buffer
		e := json.NewEncoder(&line)
		e.SetEscapeHTML(false)
		if err := e.Encode(a); err != nil {
			t.Fatal(err)
		}
		b.Write(bytes.TrimSpace(line.Bytes()))
		if i < len(answers)-1 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	b.WriteString("]\n")
	if err := os.WriteFile(filepath.Join("testdata", "golden.json"), b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// findPython returns a Python that has jinja2: the one that ALMA_JINJA_PYTHON
// names, python3, or, with ALMA_ORACLE=1, a new environment. The test is skipped
// where there is none.
func findPython(t *testing.T) string {
	t.Helper()
	has := func(python string) bool { return exec.Command(python, "-c", "import jinja2").Run() == nil }
	if python := os.Getenv("ALMA_JINJA_PYTHON"); python != "" {
		return python
	}
	if has("python3") {
		return "python3"
	}
	if os.Getenv("ALMA_ORACLE") != "1" {
		t.Skip("no Python with jinja2; ALMA_ORACLE=1 installs one")
	}
	dir := t.TempDir()
	if out, err := exec.Command("python3", "-m", "venv", dir).CombinedOutput(); err != nil {
		t.Skipf("python3 -m venv: %v\n%s", err, out)
	}
	python := filepath.Join(dir, "bin", "python")
	if runtime.GOOS == "windows" {
		python = filepath.Join(dir, "Scripts", "python.exe")
	}
	if out, err := exec.Command(python, "-m", "pip", "install", "-q", "jinja2>=3.1.6").CombinedOutput(); err != nil {
		t.Skipf("installing jinja2: %v\n%s", err, out)
	}
	return python
}

func askPython(t *testing.T, python string, cases []oracleCase) []oracleAnswer {
	t.Helper()
	now := []int{oracleNow.Year(), int(oracleNow.Month()), oracleNow.Day(), oracleNow.Hour(), oracleNow.Minute(), oracleNow.Second()}
	in, err := json.Marshal(map[string]any{"now": now, "cases": cases})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "oracle.py"))
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("oracle.py: %v\n%s", err, stderr.String())
	}
	var answers []oracleAnswer
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatalf("oracle.py's answer: %v", err)
	}
	return answers
}
