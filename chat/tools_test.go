package chat

import (
	"slices"
	"strings"
	"testing"
)

// weather is a dialogue in which the assistant calls a function.
var weather = []Message{
	user("Is it warm in Rome?"),
	{Role: Assistant, ToolCalls: `[{"type":"function","function":{"name":"weather","arguments":{"city":"Rome","<|im_end|>":1}}}]`},
	{Role: Tool, Content: "20 degrees", Name: "weather"},
	assistant("It is warm."),
}

const weatherTools = JSON(`[{"type":"function","function":{"name":"weather","description":"of a city","parameters":{"type":"object"}}}]`)

func TestTheAssistantsCallsAreTrainedOn(t *testing.T) {
	for name, want := range map[string][]string{
		"qwen2.5":  {"<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\", \"<|im_end|>\": 1}}\n</tool_call><|im_end|>", "It is warm.<|im_end|>"},
		"qwen3":    {"<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\", \"<|im_end|>\": 1}}\n</tool_call><|im_end|>", "<think>\n\n</think>\n\nIt is warm.<|im_end|>"},
		"llama3.2": {`{"name": "weather", "parameters": {"city": "Rome", "<|im_end|>": 1}}<|eot_id|>`, "It is warm.<|eot_id|>"},
	} {
		t.Run(name, func(t *testing.T) {
			template, tok := withTemplate(t, published(t, name))
			template = template.WithTools(weatherTools)
			ids, mask, err := template.RenderChat(weather, false)
			if err != nil {
				t.Fatal(err)
			}
			text := spell(tok, ids, mask)
			var learned []string
			for _, part := range strings.Split(text, "⟦")[1:] {
				part, _, _ = strings.Cut(part, "⟧")
				learned = append(learned, part)
			}
			if !slices.Equal(learned, want) {
				t.Errorf("learned %q\nwant    %q\nof %s", learned, want, text)
			}
			if !strings.Contains(text, "of a city") {
				t.Errorf("the tools are not rendered: %s", text)
			}
			whole, err := template.Tokens(Conversation{Messages: turns(weather), Tools: weatherTools})
			if err != nil || !slices.Equal(ids, whole) {
				t.Errorf("ids %v, and of the whole conversation %v (%v)", ids, whole, err)
			}
			prompt, err := template.RenderPrompt(weather[:3], "")
			if err != nil || !slices.Equal(ids[:len(prompt)], prompt) {
				t.Errorf("the prompt before the last turn is no beginning of the row (%v)", err)
			}
		})
	}
	template, _ := withTemplate(t, "")
	if _, _, err := template.RenderChat(weather, false); err == nil || !strings.Contains(err.Error(), "no form for them") {
		t.Errorf("ChatML without a template: %v", err)
	}
	if _, err := template.WithTools(weatherTools).RenderPrompt(weather[:1], ""); err == nil || !strings.Contains(err.Error(), "no form for them") {
		t.Errorf("tools in ChatML without a template: %v", err)
	}
}

func TestThoughtsAreRenderedAndTrainedOn(t *testing.T) {
	dialogue := []Message{user("2+2?"), {Role: Assistant, Reasoning: "Two pairs.", Content: "4"}}
	for name, want := range map[string]string{"qwen3": "⟦<think>\nTwo pairs.\n</think>\n\n4<|im_end|>⟧", "": "⟦<think>\nTwo pairs.\n</think>\n\n4<|im_end|>⟧"} {
		source := ""
		if name != "" {
			source = published(t, name)
		}
		template, tok := withTemplate(t, source)
		ids, mask, err := template.RenderChat(dialogue, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := spell(tok, ids, mask); !strings.Contains(got, want) {
			t.Errorf("%q: %s lacks %s", name, got, want)
		}
	}
}

func TestIgnoredTurnsAreContext(t *testing.T) {
	dialogue := []Message{user("one?"), {Role: Assistant, Content: "1", Ignored: true}, user("two?"), assistant("2")}
	for _, source := range []string{"", published(t, "qwen2.5")} {
		template, tok := withTemplate(t, source)
		ids, mask, err := template.RenderChat(dialogue, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := spell(tok, ids, mask); !strings.Contains(got, "assistant\n1<|im_end|>") || !strings.Contains(got, "⟦2<|im_end|>⟧") {
			t.Errorf("%s", got)
		}
		if _, _, err := template.RenderChat(dialogue[:2], false); err == nil {
			t.Error("a dialogue with nothing to train on was rendered")
		}
	}
}

// Nothing stands before the first token that could foretell it.
func TestPlainTextIsTrainedOnButForItsFirstToken(t *testing.T) {
	template, tok := withTemplate(t, published(t, "llama3"))
	ids, mask, err := template.RenderText("one <|eot_id|> two")
	if err != nil {
		t.Fatal(err)
	}
	if got := spell(tok, ids, mask); got != "o⟦ne <|eot_id|> two</s>⟧" {
		t.Errorf("%s", got)
	}
}
