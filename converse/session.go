package converse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/progress"
)

// Session is a conversation with a person who reads the answers as they are written,
// and who can speak to the program by commands.
type Session struct {
	Talk     *Conversation
	Settings *Settings
	Lines    LineReader
	Out      io.Writer
	// Interrupts tell of Ctrl-C where it comes as a signal: in an answer, and at the
	// prompt of a terminal that edits no lines.
	Interrupts <-chan struct{}

	prefill string // of the next line: the question that is edited
	editing bool
	warned  bool // of what the next Ctrl-C does
	err     error
}

// errQuit is how a command ends the session. It is no failure.
var errQuit = errors.New("the user leaves")

// Run talks until the person leaves (nil), twice in a row presses Ctrl-C at an empty
// prompt (an artifact.ErrInterrupted), the context ends (its cause) or the model fails.
// What the person can mend is said and does not end it.
func (s *Session) Run(ctx context.Context) error {
	s.printf("%s\n/help tells the commands; Ctrl-C ends an answer, Ctrl-D the chat.\n", s.Settings.Line())
	for {
		s.printf("\n")
		entered, err := s.read(ctx)
		switch {
		case err == nil:
			s.warned = false
			err = s.enter(ctx, entered)
		case errors.Is(err, ErrDropped):
			s.warned, s.editing, s.prefill, err = false, false, "", nil
		case errors.Is(err, ErrInterrupt):
			if s.warned {
				return artifact.ErrInterrupted
			}
			s.warned, s.editing, s.prefill, err = true, false, "", nil
			s.printf("Ctrl-C once more ends the chat, as do Ctrl-D and /quit.\n")
		}
		switch {
		case errors.Is(err, errQuit), errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, artifact.ErrUsage):
			s.printf("%s\n", progress.Printable(err.Error()))
		case err != nil:
			return err
		}
		if s.err != nil {
			return s.err
		}
	}
}

// printf writes to the person; the first error ends the session.
func (s *Session) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(s.Out, format, args...); err != nil && s.err == nil {
		s.err = err
	}
}

// read waits for what the person enters next. A signal need not wait for it.
func (s *Session) read(ctx context.Context) (entry, error) {
	type read struct {
		entry
		err error
	}
	done := make(chan read, 1)
	go func() {
		e, err := readEntry(s.Lines, s.prefill)
		done <- read{e, err}
	}()
	for {
		select {
		case <-ctx.Done():
			return entry{}, context.Cause(ctx)
		case r := <-done:
			if ctx.Err() != nil {
				return entry{}, context.Cause(ctx)
			}
			return r.entry, r.err
		case <-s.Interrupts: // the line goes on
			if s.warned {
				return entry{}, ErrInterrupt
			}
			s.warned = true
			s.printf("\nCtrl-C once more ends the chat, as do Ctrl-D and /quit.\n%s", prompt)
		}
	}
}

// enter does what was entered: a command, or a turn.
func (s *Session) enter(ctx context.Context, e entry) error {
	editing := s.editing
	s.editing, s.prefill = false, ""
	text := e.text
	if !e.literal && strings.HasPrefix(text, "/") {
		if !strings.HasPrefix(text, "//") {
			s.Lines.Remember(text)
			return s.command(ctx, text)
		}
		text = text[1:]
	}
	switch {
	case strings.TrimSpace(text) == "":
		return nil
	case !utf8.ValidString(text): // a terminal that edits no lines cut a character
		return artifact.Errorf(artifact.ErrUsage, "chatting: the line is not valid UTF-8; enter it again")
	}
	s.Lines.Remember(asEntered(text))
	ask := s.Talk.Say
	if editing {
		ask = s.Talk.Replace
	}
	return s.answer(ctx, func(ctx context.Context, part func(string)) (Answer, error) { return ask(ctx, text, part) })
}

// asEntered is how a turn is entered that is no command.
func asEntered(text string) string {
	if strings.HasPrefix(text, "/") {
		return "/" + text
	}
	return text
}

// answer shows an answer as it is written. Ctrl-C ends it and no more.
func (s *Session) answer(ctx context.Context, ask func(context.Context, func(string)) (Answer, error)) error {
	for drained := false; !drained; { // a signal from before is not meant for this answer
		select {
		case <-s.Interrupts:
		default:
			drained = true
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-s.Interrupts:
			cancel(ErrCut)
		case <-done:
		}
	}()
	s.Talk.Sampling = s.Settings.Sampling
	answer, err := ask(ctx, func(part string) { s.printf("%s", progress.Printable(part)) })
	close(done)
	<-watched
	cancel(nil)
	if err != nil {
		return err
	}
	switch {
	case answer.Stopped && answer.Text == "":
		s.printf("[stopped before the first word; /retry asks again]\n")
	case answer.Stopped:
		s.printf(" [… stopped]\n")
	case answer.Text == "":
		s.printf("[no answer; /retry asks again]\n")
	case !answer.Ended:
		s.printf(" […]\n")
	default:
		s.printf("\n")
	}
	return nil
}
