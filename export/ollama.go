package export

import (
	"fmt"
	"slices"
	"strings"
	"text/template"

	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// ollama renders dialogues with Go's text/template (docs/template.md of
// github.com/ollama/ollama), not with Jinja. forms are dialogues' forms in that
// language; each is tried on the conversations against the model's own template,
// and written only if all come out the same.
var forms = []string{
	// ChatML
	`{{ range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
`,
	// Llama 3
	`{{ range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>

{{ .Content }}<|eot_id|>{{ end }}<|start_header_id|>assistant<|end_header_id|>

`,
}

// ollamaMessage is what ollama's templates see of a message.
type ollamaMessage struct{ Role, Content string }

// modelfile is ollama's Modelfile for the weights at a path, of a type. why tells the
// reason where no TEMPLATE could be written.
func modelfile(from, kind string, tok *tokenizer.Tokenizer, t *chat.Template, m *model.Model) (text []byte, why string) {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s, weights %s\nFROM %s\n", mark, kind, from)
	form, why := ollamaTemplate(t)
	if why == "" {
		fmt.Fprintf(&b, "TEMPLATE \"\"\"%s\"\"\"\n", form)
	}
	for _, id := range chat.Ends(tok, t, m.EndTokens()...) {
		if tok.HasToken(id) {
			fmt.Fprintf(&b, "PARAMETER stop %q\n", tok.TokenBytes(id))
		}
	}
	for _, text := range m.Generation.StopStrings {
		fmt.Fprintf(&b, "PARAMETER stop %q\n", text)
	}
	if g := m.Generation; g.Temperature != nil && *g.Temperature != 1 {
		fmt.Fprintf(&b, "PARAMETER temperature %g\n", *g.Temperature)
	}
	if k := m.Generation.TopK; k != nil {
		fmt.Fprintf(&b, "PARAMETER top_k %d\n", *k)
	}
	if p := m.Generation.TopP; p != nil && *p != 1 {
		fmt.Fprintf(&b, "PARAMETER top_p %g\n", *p)
	}
	if p := m.Generation.MinP; p != nil {
		fmt.Fprintf(&b, "PARAMETER min_p %g\n", *p)
	}
	if p := m.Generation.RepetitionPenalty; p != nil { // of all tokens; ollama's own is of the last 64
		fmt.Fprintf(&b, "PARAMETER repeat_penalty %g\nPARAMETER repeat_last_n -1\n", *p)
	}
	return []byte(b.String()), why
}

// ollamaTemplate finds the form that renders as the model's template does. What
// that puts before a dialogue without a system message is found by rendering
// one.
func ollamaTemplate(t *chat.Template) (form, why string) {
	const none = "left out: the model's chat template renders dialogues as none of the forms that alma knows in ollama's language; ollama takes the template of a GGUF file itself"
	var tried []chat.Conversation // those that end with the turn of the assistant, which ollama always begins
	for _, c := range conversations {
		if c.Prompt {
			tried = append(tried, c)
		}
	}
	for _, form := range forms {
		opening, ok := openingOf(t, form, tried[0])
		if !ok || strings.Contains(opening, `"""`) || strings.Contains(opening, "{{") {
			continue
		}
		if opening != "" {
			form = `{{ if ne (index .Messages 0).Role "system" }}` + opening + `{{ end }}` + form
		}
		if !slices.ContainsFunc(tried, func(c chat.Conversation) bool { return !same(t, form, c) }) {
			return form, ""
		}
	}
	return "", none
}

// openingOf returns what the template writes before the form, for one
// conversation.
func openingOf(t *chat.Template, form string, c chat.Conversation) (string, bool) {
	want, err := t.Text(c)
	if err != nil {
		return "", false
	}
	got, err := renderForm(form, c)
	if err != nil {
		return "", false
	}
	return strings.CutSuffix(want, got)
}

func same(t *chat.Template, form string, c chat.Conversation) bool {
	want, err := t.Text(c)
	if err != nil {
		return false
	}
	got, err := renderForm(form, c)
	return err == nil && got == want
}

func renderForm(form string, c chat.Conversation) (string, error) {
	parsed, err := template.New("ollama").Parse(form)
	if err != nil {
		return "", err
	}
	var messages []ollamaMessage
	for _, m := range c.Messages.([]chat.Message) {
		messages = append(messages, ollamaMessage{m.Role, m.Content})
	}
	var b strings.Builder
	err = parsed.Execute(&b, map[string]any{"Messages": messages})
	return b.String(), err
}
