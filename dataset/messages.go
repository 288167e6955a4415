package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/rows"
)

// The names of roles in people's files, beside chat's own.
var roles = map[string]string{
	chat.System: chat.System, "developer": chat.System,
	chat.User: chat.User, "human": chat.User, "prompter": chat.User,
	chat.Assistant: chat.Assistant, "gpt": chat.Assistant, "chatgpt": chat.Assistant, "bot": chat.Assistant, "bard": chat.Assistant, "bing": chat.Assistant, "model": chat.Assistant,
	chat.Tool: chat.Tool, "observation": chat.Tool, "function": chat.Tool, "function_response": chat.Tool, "ipython": chat.Tool,
}

// conversation is an array of messages as it was read.
type conversation struct {
	messages []chat.Message
	tools    chat.JSON // that a message brought
	shape    string
}

// readMessages reads an array of messages in the forms that people's files have:
// role and content (OpenAI, with content a string or parts of text), from and value
// (ShareGPT), either with tool calls. An object in place of the array is one message.
func readMessages(key string, value json.RawMessage) (c conversation, err error) {
	if inner, ok := inString(value); ok {
		value = inner
	}
	var list []json.RawMessage
	if bytes.HasPrefix(value, []byte("{")) {
		list = []json.RawMessage{value}
	} else if err := json.Unmarshal(value, &list); err != nil {
		return c, notA(key, value, "an array of messages")
	}
	for i, item := range list {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(item, &object); err != nil {
			return c, fmt.Errorf("message %d: %w", i, notA(key+" element", item, "an object"))
		}
		m, shape, err := readMessage(object)
		if err != nil {
			return c, fmt.Errorf("message %d: %w", i, err)
		}
		if c.shape == "" {
			c.shape = shape
		}
		for _, name := range []string{"tools", "functions"} {
			if tools, err := readTools(object[name]); err != nil {
				return c, fmt.Errorf("message %d: %w", i, err)
			} else if tools != "" {
				c.tools = tools
			}
		}
		c.messages = append(c.messages, m)
	}
	return c, nil
}

func readMessage(object map[string]json.RawMessage) (m chat.Message, shape string, err error) {
	f := fields{rows.Row{Fields: object}}
	role, content, shape := "role", "content", "messages"
	if !f.Has("role") && f.Has("from") {
		role, content, shape = "from", "value", "ShareGPT"
	}
	name, err := f.text(role)
	if err != nil {
		return m, "", err
	}
	if name == "" {
		return m, "", errors.New(`no "role"; a message is {"role":"user","content":"…"}`)
	}
	call := name == "function_call"
	if m.Role = roles[name]; m.Role == "" {
		if m.Role = name; call {
			m.Role = chat.Assistant
		}
	}
	value, _ := f.Value(content)
	if m.Content, err = contentText(content, value); err != nil {
		return m, "", err
	}
	if m.Prefill, err = f.text("prefill"); err != nil {
		return m, "", err
	}
	for _, key := range []string{"reasoning_content", "reasoning"} {
		if f.isText(key) && m.Reasoning == "" {
			if m.Reasoning, err = f.text(key); err != nil {
				return m, "", err
			}
		}
	}
	calls := object["tool_calls"]
	if older := object["function_call"]; len(older) > 0 && string(older) != "null" {
		calls = older
	}
	if m.ToolCalls, err = readCalls(calls); err != nil {
		return m, "", err
	}
	if call { // ShareGPT's: the value is the call
		if m.ToolCalls, err = readCalls(json.RawMessage(m.Content)); err != nil || m.ToolCalls == "" {
			return m, "", fmt.Errorf("the value of a function_call is no JSON of name and arguments: %.60q", m.Content)
		}
		m.Content = ""
	}
	for key, to := range map[string]*string{"tool_call_id": &m.ToolCallID, "name": &m.Name} {
		if f.isText(key) && m.Role == chat.Tool {
			if *to, err = f.text(key); err != nil {
				return m, "", err
			}
		}
	}
	for _, key := range []string{"weight", "ignored", "train"} {
		if m.Role != chat.Assistant || object[key] == nil {
			continue
		}
		switch value := strings.Trim(string(object[key]), `"`); value {
		case "0", "0.0", "false":
			m.Ignored = m.Ignored || key != "ignored"
		case "1", "1.0", "true":
			m.Ignored = m.Ignored || key == "ignored"
		case "null", "":
		default:
			return m, "", fmt.Errorf("%q is %.20s; a turn is learned (1) or not (0)", key, value)
		}
	}
	return m, shape, nil
}

// contentText returns the text of a message's content: a string, or an array of
// parts whose texts are put together.
func contentText(key string, value json.RawMessage) (string, error) {
	if len(value) == 0 || string(value) == "null" {
		return "", nil
	}
	var text string
	if value[0] == '"' {
		return text, json.Unmarshal(value, &text)
	}
	var parts []json.RawMessage
	if value[0] != '[' || json.Unmarshal(value, &parts) != nil {
		return "", notA(key, value, "a string, or an array of parts")
	}
	var b strings.Builder
	for _, part := range parts {
		if part[0] == '"' {
			if err := json.Unmarshal(part, &text); err != nil {
				return "", err
			}
			b.WriteString(text)
			continue
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(part, &object) != nil {
			return "", notA(key+" element", part, "an object")
		}
		var kind string
		if object["type"] != nil && json.Unmarshal(object["type"], &kind) != nil {
			return "", notA("type", object["type"], "a string")
		}
		value, ok := object["text"]
		if kind != "" && kind != "text" && kind != "input_text" && kind != "output_text" || !ok || json.Unmarshal(value, &text) != nil {
			return "", fmt.Errorf("%q has a part of type %q; alma reads text alone", key, kind)
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// readTools reads descriptions of functions: an array, or JSON of one in a string.
func readTools(value json.RawMessage) (chat.JSON, error) {
	if inner, ok := inString(value); ok {
		value = inner
	}
	var list []json.RawMessage
	switch {
	case len(value) == 0, string(value) == "null", string(value) == `""`:
		return "", nil
	case json.Unmarshal(value, &list) != nil:
		return "", notA("tools", value, "an array of functions")
	case len(list) == 0:
		return "", nil
	}
	return compact(value), nil
}

// readFunctions reads OpenAI's older "functions": what "tools" hold, without the object
// around each.
func readFunctions(value json.RawMessage) (chat.JSON, error) {
	tools, err := readTools(value)
	if err != nil || tools == "" {
		return "", err
	}
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(tools), &list); err != nil {
		return "", err
	}
	for i, one := range list {
		list[i] = json.RawMessage(`{"type":"function","function":` + string(one) + `}`)
	}
	out, err := json.Marshal(list)
	return chat.JSON(out), err
}

// readCalls reads an assistant's calls: an array of OpenAI's objects or of the
// functions alone, one of them, or JSON of these in a string. Arguments that are
// JSON in a string, as OpenAI's answers have them, become the JSON: templates write
// them as JSON themselves.
func readCalls(value json.RawMessage) (chat.JSON, error) {
	if inner, ok := inString(value); ok {
		value = inner
	}
	if len(value) == 0 || string(value) == "null" || string(value) == `""` {
		return "", nil
	}
	var list []map[string]json.RawMessage
	if value[0] == '{' {
		value = append(append(json.RawMessage{'['}, value...), ']')
	}
	if err := json.Unmarshal(value, &list); err != nil {
		return "", notA("tool_calls", value, "an array of calls")
	}
	if len(list) == 0 {
		return "", nil
	}
	var out bytes.Buffer
	out.WriteByte('[')
	for i, call := range list {
		function := call["function"]
		if function == nil {
			function, _ = json.Marshal(map[string]json.RawMessage{"name": call["name"], "arguments": call["arguments"]})
		}
		var f map[string]json.RawMessage
		if json.Unmarshal(function, &f) != nil || len(f["name"]) == 0 || f["name"][0] != '"' {
			return "", fmt.Errorf(`call %d names no function; a call is {"function":{"name":"…","arguments":{…}}}`, i)
		}
		arguments := f["arguments"]
		if inner, ok := inString(arguments); ok {
			arguments = inner
		}
		if len(arguments) == 0 || string(arguments) == "null" || string(arguments) == `""` {
			arguments = json.RawMessage("{}")
		}
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteByte('{')
		if id := call["id"]; len(id) > 0 && id[0] == '"' {
			fmt.Fprintf(&out, `"id":%s,`, id)
		}
		fmt.Fprintf(&out, `"type":"function","function":{"name":%s,"arguments":%s}}`, f["name"], compact(arguments))
	}
	out.WriteByte(']')
	return chat.JSON(out.String()), nil
}

// compact is JSON without white space between its parts.
func compact(value json.RawMessage) chat.JSON {
	var b bytes.Buffer
	if json.Compact(&b, value) != nil {
		return chat.JSON(value)
	}
	return chat.JSON(b.String())
}

// The keys of a question and its answer, in the order in which they are looked for.
var (
	questionKeys = []string{"prompt", "question", "query", "input"}
	answerKeys   = []string{"completion", "response", "answer", "output"}
)

// readConversation reads a row as a dialogue, in whatever shape it has. A row of the
// shape of self-instruct holds several. unanswered allows one without an answer.
func readConversation(f fields, unanswered bool) (all []chat.Dialogue, shape string, err error) {
	tools, _ := f.Value("tools")
	given, err := readTools(tools)
	if functions, ok := f.Value("functions"); ok && given == "" && err == nil {
		given, err = readFunctions(functions)
	}
	if err != nil {
		return nil, "", err
	}
	one := func(c conversation, shape string) ([]chat.Dialogue, string, error) {
		if given == "" {
			given = c.tools
		}
		return []chat.Dialogue{{Messages: c.messages, Tools: given}}, shape, nil
	}
	if key := f.any("messages", "conversations", "conversation"); key != "" {
		value, _ := f.Value(key)
		c, err := readMessages(key, value)
		if err != nil {
			return nil, "", err
		}
		if c.shape == "" || c.shape == "messages" {
			c.shape = key
		}
		if system, err := f.text("system"); err != nil {
			return nil, "", err
		} else if system != "" && len(c.messages) > 0 && c.messages[0].Role != chat.System {
			c.messages = append([]chat.Message{{Role: chat.System, Content: system}}, c.messages...)
		}
		return one(c, c.shape)
	}
	if f.Has("instruction") {
		return readInstruction(f, given, unanswered)
	}
	question, answer := f.any(questionKeys...), f.any(answerKeys...)
	if question == "input" && answer != "output" && !unanswered {
		question = ""
	}
	if question != "" && (answer != "" || unanswered) {
		c := conversation{}
		if c.messages, err = f.turns(question, chat.User); err != nil {
			return nil, "", err
		}
		shape = question
		if answer != "" {
			more, err := f.turns(answer, chat.Assistant)
			if err != nil {
				return nil, "", err
			}
			c.messages = append(c.messages, more...)
			shape += " and " + answer
		}
		if system, err := f.text("system"); err != nil {
			return nil, "", err
		} else if system != "" && c.messages[0].Role != chat.System {
			c.messages = append([]chat.Message{{Role: chat.System, Content: system}}, c.messages...)
		}
		return one(c, shape)
	}
	if f.isText("text") && !unanswered {
		text, err := f.text("text")
		return []chat.Dialogue{{Text: text}}, "text", err
	}
	return nil, "", nil
}

// turns are the messages of a key: a string is one of the role.
func (f fields) turns(key, role string) ([]chat.Message, error) {
	value, _ := f.Value(key)
	if f.isText(key) {
		text, err := f.text(key)
		return []chat.Message{{Role: role, Content: text}}, err
	}
	c, err := readMessages(key, value)
	return c.messages, err
}

// readInstruction reads the shapes of Alpaca (instruction, input, output, and
// LLaMA-Factory's system and history), Dolly (context, response) and self-instruct
// (instances). The input stands below the instruction, a line end between.
func readInstruction(f fields, tools chat.JSON, unanswered bool) (all []chat.Dialogue, shape string, err error) {
	instruction, err := f.text("instruction")
	if err != nil {
		return nil, "", err
	}
	var before []chat.Message
	if system, err := f.text("system"); err != nil {
		return nil, "", err
	} else if system != "" {
		before = append(before, chat.Message{Role: chat.System, Content: system})
	}
	if f.Has("history") {
		var history [][]string
		if err := f.list("history", &history, "an array of pairs"); err != nil {
			return nil, "", err
		}
		for i, turn := range history {
			if len(turn) != 2 {
				return nil, "", fmt.Errorf(`pair %d of "history" has %d strings, want a question and its answer`, i, len(turn))
			}
			before = append(before, chat.Message{Role: chat.User, Content: turn[0]}, chat.Message{Role: chat.Assistant, Content: turn[1]})
		}
	}
	add := func(input, output string) {
		asked := instruction
		if strings.TrimSpace(input) != "" {
			asked += "\n" + input
		}
		messages := append(before[:len(before):len(before)], chat.Message{Role: chat.User, Content: asked})
		if output != "" || !unanswered {
			messages = append(messages, chat.Message{Role: chat.Assistant, Content: output})
		}
		all = append(all, chat.Dialogue{Messages: messages, Tools: tools})
	}
	if f.Has("instances") && f.isList("instances") {
		var instances []struct{ Input, Output string }
		if err := f.list("instances", &instances, "an array of input and output"); err != nil {
			return nil, "", err
		}
		for _, i := range instances {
			if i.Output != "" || unanswered || len(instances) == 1 {
				add(i.Input, i.Output)
			}
		}
		return all, "self-instruct", nil
	}
	var input, output string
	for _, key := range []string{"input", "context"} {
		if input == "" && f.Has(key) {
			if input, err = f.text(key); err != nil {
				return nil, "", err
			}
		}
	}
	if key := f.any("output", "response", "completion", "answer"); key != "" {
		if output, err = f.text(key); err != nil {
			return nil, "", err
		}
	} else if !unanswered {
		return nil, "", f.unknown(`an "instruction" without "output"`)
	}
	add(input, output)
	return all, "Alpaca", nil
}
