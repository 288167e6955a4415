package chat

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A LimitError says that a template was stopped, and by which limit.
type LimitError struct{ Limit string }

// Error implements error.
func (e *LimitError) Error() string {
	return fmt.Sprintf("the template was stopped: it needs more than %s", e.Limit)
}

// A RefusedError is what a template says of a dialogue that it does not render, by
// raise_exception. What reads dialogues finds it by errors.As, and knows their place.
type RefusedError struct {
	Message string // the template's reason
	Line    int    // of the template, 0 where it is not known
}

// Error implements error.
func (e *RefusedError) Error() string {
	place := ""
	if e.Line > 0 {
		place = fmt.Sprintf(" (line %d of the template)", e.Line)
	}
	return fmt.Sprintf("the template refuses the dialogue: %s%s; change the dialogue, such as by putting what a system message says into the user's turn, or take it out", e.Message, place)
}

// newRefused takes the line from what package jinja says.
func newRefused(said string) *RefusedError {
	e := &RefusedError{Message: said}
	if line, reason, ok := strings.Cut(strings.TrimPrefix(said, "line "), ": "); ok {
		if n, err := strconv.Atoi(line); err == nil {
			e.Line, e.Message = n, reason
		}
	}
	return e
}

// renderer renders templates in a child process. It may be used by many
// goroutines, one of which renders at a time.
type renderer struct {
	mu      sync.Mutex
	running *child
}

// shared is the program's one renderer. Its child ends with the program: the
// pipe that it reads from is then closed.
var shared = &renderer{}

// child is a process that renders.
type child struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	errors *head
}

// inChild is set in the environment of a child: one that is asked to render
// without serving, a program that does not know Verb, must not start another.
const inChild = "ALMA_RENDERS_TEMPLATES"

// startTime is how long a child may take to be ready. It is generous: the machine
// may be busy, and no template runs yet.
const startTime = 60 * time.Second

// maxReply bounds the bytes of an answer of the child.
const maxReply = 512 << 20

// render renders a template, given its variables as a JSON object.
func (r *renderer) render(template string, variables json.RawMessage, now time.Time) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running == nil {
		c, err := start()
		if err != nil {
			return "", fmt.Errorf("starting the process that renders chat templates: %w", err)
		}
		r.running = c
	}
	line, err := json.Marshal(request{template, variables, now})
	if err != nil {
		return "", fmt.Errorf("writing a request to render: %w", err)
	}
	answer, err := r.running.ask(append(line, '\n'), MaxWait)
	if err != nil {
		r.running = nil // it has ended
		return "", err
	}
	switch {
	case answer.Refused:
		return "", newRefused(answer.Error)
	case answer.Error != "":
		return "", errors.New(answer.Error)
	}
	return answer.Text, nil
}

// start starts a child and waits until it is ready.
func start() (*child, error) {
	if os.Getenv(inChild) != "" {
		return nil, fmt.Errorf("this process is such a child already, and does not serve; the program must call chat.Serve when it is started with %q", Verb)
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(program, Verb), errors: &head{}}
	c.cmd.Env = []string{inChild + "=1", "GOMAXPROCS=2"}
	c.cmd.Stderr = c.errors
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReaderSize(out, 64<<10)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	answer, err := c.ask(nil, startTime)
	if err == nil && !answer.Ready {
		err = errors.New("it answers otherwise than expected")
		c.end()
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", program, Verb, err)
	}
	return c, nil
}

// ask writes a request, if there is one, and reads the answer. After an error the
// child has ended.
func (c *child) ask(line []byte, limit time.Duration) (reply, error) {
	timer := time.AfterFunc(limit, func() { c.cmd.Process.Kill() })
	var answer reply
	_, err := c.in.Write(line)
	if err == nil {
		var text []byte
		if text, err = readReply(c.out); err == nil {
			err = json.Unmarshal(text, &answer)
		}
	}
	inTime := timer.Stop()
	if err == nil {
		return answer, nil
	}
	c.end()
	said := c.errors.String()
	switch {
	case !inTime:
		return reply{}, &LimitError{fmt.Sprintf("%v of waiting", limit)}
	case c.cmd.ProcessState.ExitCode() == noTime:
		return reply{}, &LimitError{fmt.Sprintf("%v of time", MaxTime)}
	case c.cmd.ProcessState.ExitCode() == noMemory, slices.ContainsFunc(memorySigns, func(sign string) bool { return strings.Contains(said, sign) }):
		return reply{}, &LimitError{fmt.Sprintf("%d MiB of memory", MaxMemory>>20)}
	case strings.Contains(said, "stack exceeds"), strings.Contains(said, "stack overflow"):
		return reply{}, &LimitError{fmt.Sprintf("%d MiB of stack", MaxStack>>20)}
	}
	return reply{}, fmt.Errorf("the process that renders ended (%v)%s", c.cmd.ProcessState, c.errors.quoted())
}

// memorySigns are what Go's runtime says when the system's limit of memory is
// reached before the child saw it: also that it has none for another thread.
var memorySigns = []string{
	"out of memory", "cannot allocate memory", "cannot reserve arena",
	"failed to create new OS thread", "pthread_create failed",
}

// end ends the child.
func (c *child) end() {
	c.in.Close()
	c.cmd.Process.Kill()
	// How a killed process ended is no error, and ask looks at how the others did.
	_ = c.cmd.Wait()
}

func readReply(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxReply {
			return nil, fmt.Errorf("the answer is longer than %d bytes", maxReply)
		}
		line = append(line, part...)
		if err != bufio.ErrBufferFull {
			return line, err
		}
	}
}

// head keeps the beginning of what a child says on standard error: a crash of
// Go's begins with its reason.
type head struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (t *head) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if room := 2048 - t.text.Len(); room > 0 {
		t.text.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// String is what was kept.
func (t *head) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// quoted is the first line of what was kept, for the end of an error.
func (t *head) quoted() string {
	line, _, _ := strings.Cut(strings.TrimSpace(t.String()), "\n")
	if line == "" {
		return ""
	}
	return fmt.Sprintf("; it says %q", line)
}
