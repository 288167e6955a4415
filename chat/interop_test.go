package chat

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// TestInteropConversationsAreTextAndTokensAsWithTransformers needs a Python with
// transformers, which scripts/interop.sh installs.
func TestInteropConversationsAreTextAndTokensAsWithTransformers(t *testing.T) {
	python := interopPython(t)
	data, err := os.ReadFile(filepath.Join("..", "jinja", "testdata", "conversations.json"))
	if err != nil {
		t.Fatal(err)
	}
	var conversations []struct {
		Name      string
		Messages  json.RawMessage
		Tools     json.RawMessage
		Prompt    bool `json:"add_generation_prompt"`
		Variables map[string]any
	}
	if err := json.Unmarshal(data, &conversations); err != nil {
		t.Fatal(err)
	}
	folders := make(map[string]string)
	templates := make(map[string]*Template)
	for _, name := range names {
		template, tok := withTemplate(t, published(t, name))
		files, err := tok.Files()
		if err != nil {
			t.Fatal(err)
		}
		folders[name], templates[name] = t.TempDir(), template.At(time.Now()) // transformers tells today's date
		for file, data := range files {
			if err := os.WriteFile(filepath.Join(folders[name], file), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	answers := askTransformers(t, python, folders, data)
	texts, rows := 0, 0
	for _, name := range names {
		for i, c := range conversations {
			want := answers[name][i]
			conversation := Conversation{Messages: c.Messages, Prompt: c.Prompt, Variables: c.Variables}
			if c.Tools != nil {
				conversation.Tools = c.Tools
			}
			text, err := templates[name].Text(conversation)
			if (err == nil) != (want.Error == "") || text != want.Text {
				t.Errorf("%s, %s: %q (%v), transformers %q (%s)", name, c.Name, text, err, want.Text, want.Error)
				continue
			}
			texts++
			if err != nil || strings.Contains(c.Name, "special tokens") { // which transformers takes for tokens
				continue
			}
			ids, err := templates[name].Tokens(conversation)
			if err != nil || !slices.Equal(ids, want.IDs) {
				t.Errorf("%s, %s: ids %v (%v), transformers %v", name, c.Name, ids, err, want.IDs)
				continue
			}
			rows++
		}
	}
	t.Logf("%d conversations in %d templates: %d texts and %d rows of tokens as with transformers", len(conversations), len(names), texts, rows)
}

// TestInteropChatMLIsRenderedAsWithTransformers holds testdata/chatml.json against
// transformers.
func TestInteropChatMLIsRenderedAsWithTransformers(t *testing.T) {
	python := interopPython(t)
	_, tok := chatML(t)
	files, err := tok.Files()
	if err != nil {
		t.Fatal(err)
	}
	files[tokenizer.TemplateFile] = []byte(ChatML)
	dir := t.TempDir()
	for file, data := range files {
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	all := goldenDialogues(t)
	conversations, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	for i, answer := range askTransformers(t, python, map[string]string{"chatml": dir}, conversations)["chatml"] {
		all[i].Text, all[i].IDs = answer.Text, answer.IDs
	}
	if *update {
		data, err := json.MarshalIndent(all, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("testdata", "chatml.json"), append(data, '\n'), 0o666); err != nil {
			t.Fatal(err)
		}
	} else if want := goldenDialogues(t); !reflect.DeepEqual(all, want) {
		t.Errorf("transformers says %v; the file has %v; -update writes it anew", all, want)
	}
}

// transformed is what transformers makes of a conversation.
type transformed struct {
	Text, Error string
	IDs         []int32
}

// interopPython names a Python with transformers, or the test is skipped.
func interopPython(t *testing.T) string {
	t.Helper()
	python := os.Getenv("ALMA_INTEROP_PYTHON")
	if python == "" {
		t.Skip("ALMA_INTEROP_PYTHON names no Python with transformers; scripts/interop.sh runs this test")
	}
	return python
}

// askTransformers has conversations rendered with the templates of folders, by
// name.
func askTransformers(t *testing.T, python string, folders map[string]string, conversations json.RawMessage) map[string][]transformed {
	t.Helper()
	request, err := json.Marshal(map[string]any{"folders": folders, "conversations": conversations})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "apply.py"))
	cmd.Stdin = bytes.NewReader(request)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("apply.py: %v\n%s", err, stderr.String())
	}
	var answers map[string][]transformed
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatal(err)
	}
	return answers
}
