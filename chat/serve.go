package chat

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"github.com/seed-b72bdb6c/alma/jinja"
)

// Verb is the argument with which the program is started to render templates.
const Verb = "render-template"

// The limits of the process that renders.
const (
	MaxMemory = 512 << 20 // bytes
	MaxStack  = 64 << 20  // bytes
	// MaxTime is that of the processors, by which the same template is stopped
	// on a busy machine and on an idle one.
	MaxTime = 2 * time.Second
	// MaxWait is the time that a rendering may take by the clock.
	MaxWait = time.Minute
)

// request is a line that the child reads.
type request struct {
	Template  string          `json:"template"`
	Variables json.RawMessage `json:"variables"`
	Now       time.Time       `json:"now"`
}

// reply is a line that the child writes: the first says that it is ready.
type reply struct {
	Ready bool   `json:"ready,omitempty"`
	Text  string `json:"text,omitempty"`
	Error string `json:"error,omitempty"`
	// Refused is set where the template itself raised the error.
	Refused bool `json:"refused,omitempty"`
}

// The exit codes of a child that has used up its memory or its time.
const (
	noMemory = 77
	noTime   = 78
)

// Serve renders the requests of standard input, one JSON object a line, to
// standard output until the input ends. Before that it confines its process for
// good, so nothing else may be done there.
func Serve() error {
	// A terminal's Ctrl-C reaches every process that it started. What it means is for
	// the parent to say, with whose end the input ends.
	signal.Ignore(os.Interrupt)
	debug.SetMaxStack(MaxStack)
	debug.SetMemoryLimit(MaxMemory * 3 / 4)
	// The first timer that is waited for opens files of the runtime's, which it
	// cannot later.
	time.Sleep(time.Nanosecond)
	if err := confine(); err != nil {
		return fmt.Errorf("confining the process that renders chat templates: %w", err)
	}
	begun := &atomic.Int64{}
	begun.Store(idle)
	go watch(begun)
	return serve(os.Stdin, os.Stdout, begun)
}

// watch ends the process when it uses more than MaxMemory: a clear end before the
// system's, and the only one where the system has no limit. It also ends it when a
// rendering, begun at a [processorTime] (idle: none is under way), has taken its
// time.
func watch(begun *atomic.Int64) {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	for range time.Tick(5 * time.Millisecond) {
		metrics.Read(samples)
		if samples[0].Value.Uint64()-samples[1].Value.Uint64() > MaxMemory {
			os.Exit(noMemory)
		}
		if at := begun.Load(); at != idle && processorTime()-time.Duration(at) > MaxTime {
			os.Exit(noTime)
		}
	}
}

// idle stands for the beginning of a rendering where none is under way.
const idle = -1

// maxCached is how many parsed templates a child keeps.
const maxCached = 16

func serve(in io.Reader, out io.Writer, begun *atomic.Int64) error {
	write := func(r reply) error {
		line, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("writing a rendering: %w", err)
		}
		if _, err := out.Write(append(line, '\n')); err != nil {
			return fmt.Errorf("writing a rendering: %w", err)
		}
		return nil
	}
	if err := write(reply{Ready: true}); err != nil {
		return err
	}
	parsed := make(map[string]*jinja.Template)
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading a request to render: %w", err)
		}
		begun.Store(int64(processorTime()))
		text, err := render(line, parsed)
		begun.Store(idle)
		answer := reply{Text: text}
		if err != nil {
			var raised *jinja.RaisedError
			answer = reply{Error: err.Error(), Refused: errors.As(err, &raised)}
		}
		if err := write(answer); err != nil {
			return err
		}
	}
}

func render(line []byte, parsed map[string]*jinja.Template) (string, error) {
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		return "", fmt.Errorf("reading a request to render: %w", err)
	}
	template, ok := parsed[r.Template]
	if !ok {
		var err error
		if template, err = jinja.Parse(r.Template); err != nil {
			return "", err
		}
		if len(parsed) >= maxCached {
			clear(parsed)
		}
		parsed[r.Template] = template
	}
	v, err := jinja.DecodeJSON(r.Variables)
	if err != nil {
		return "", err
	}
	variables, ok := v.(*jinja.Dict)
	if !ok {
		return "", errors.New("the variables are no object")
	}
	if messages, ok := variables.Get("messages"); ok {
		variables.Set("messages", normalized(messages))
	}
	return template.Render(variables, r.Now)
}

// normalized returns messages as apply_chat_template of transformers 5 hands them
// to templates: without keys that have no value (content: null beside tool_calls),
// and with an assistant's thoughts, under whichever of three names they come, as
// reasoning_content and thinking.
func normalized(messages any) any {
	list, ok := messages.(*jinja.List)
	if !ok {
		return messages
	}
	out := &jinja.List{Items: make([]any, len(list.Items))}
	for i, x := range list.Items {
		out.Items[i] = x
		message, ok := x.(*jinja.Dict)
		if !ok {
			continue
		}
		var thoughts any
		for _, key := range []string{"reasoning", "thinking", "reasoning_content"} { // the last goes first
			if v, _ := message.Get(key); v != nil {
				thoughts = v
			}
		}
		fresh := jinja.NewDict()
		if thoughts != nil {
			fresh.Set("thinking", thoughts)
		}
		for _, key := range message.Keys() {
			if v, _ := message.Get(key); v != nil {
				fresh.Set(key, v)
			}
		}
		if thoughts != nil {
			fresh.Set("reasoning_content", thoughts)
		}
		out.Items[i] = fresh
	}
	return out
}
