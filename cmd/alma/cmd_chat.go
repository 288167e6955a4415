package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/generate"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

func newChatCommand(c *call) *cobra.Command {
	var s generate.Sampling
	var system string
	cmd := &cobra.Command{
		Use:     "chat MODEL",
		GroupID: groupUse,
		Short:   "Talk with a model",
		Long: `Talk with a model, turn by turn; the answer appears as it is written and ends at
its end token (<|im_end|> in ChatML). The model sees the whole conversation. /reset begins a new one,
/quit or Ctrl-D ends.

Through a pipe, each line of standard input is a turn of the user's and only the
answers are written, so a conversation can be scripted. The same seed and the
same turns give the same answers.`,
		Example: examples(
			"alma chat runs/godoc/ppo",
			"alma chat model --system 'Answer in one sentence.' --temp 0.7 --top-p 0.95",
			"printf 'Hello.\\nAnd again.\\n' | alma chat model --temp 0"),
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s.Seed = c.seed
			if err := s.Validate(); err != nil {
				return err
			}
			engine, err := c.newEngine()
			if err != nil {
				return err
			}
			defer engine.Close()
			m, t, err := openModel(engine, args[0])
			if err != nil {
				return err
			}
			if err := recommended(cmd, args[0], m, &s); err != nil {
				return err
			}
			g, err := generate.New(m, 1, m.Context)
			if err != nil {
				return err
			}
			template, err := chat.For(t)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			s.Stop = chat.Ends(t, template, m.EndTokens()...)
			s.Banned = chat.Banned(t, template, s.Stop, m.Vocabulary)
			conversation := &conversation{generator: g, tokenizer: t, template: template.At(time.Now()), sampling: s, context: m.Context, system: system}
			conversation.reset()
			terminal := term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd()))
			return c.chat(cmd.Context(), conversation, terminal)
		},
	}
	cmd.Flags().StringVar(&system, "system", "", "`TEXT` of a system message before the conversation")
	c.samplingFlags(cmd, &s, 1, 256)
	acceptFlag(cmd)
	c.engineFlags(cmd)
	return cmd
}

// chat reads turns from standard input and streams the answers.
func (c *call) chat(ctx context.Context, talk *conversation, terminal bool) error {
	if terminal {
		c.printf("/reset begins a new conversation, /quit ends.\n")
	}
	lines := readTurns()
	for {
		if terminal {
			c.printf("\n> ")
		}
		var line turn
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case line = <-lines:
		}
		switch text := strings.TrimSpace(line.text); {
		case text == "/quit", line.err == io.EOF:
			return nil
		case line.err != nil:
			return line.err
		case text == "/reset":
			talk.reset()
			continue
		case text == "":
			continue
		default:
			ended, err := talk.say(ctx, text, func(part string) { c.printf("%s", progress.Printable(part)) })
			var full *conversationFull
			if errors.As(err, &full) && terminal {
				fmt.Fprintln(os.Stderr, err)
				continue
			}
			if err != nil {
				return err
			}
			if !ended && terminal {
				c.printf(" […]")
			}
			c.printf("\n")
			if c.out.err != nil {
				return c.out.err
			}
		}
	}
}

// turn is a line of standard input, or the error that ended it: io.EOF at its
// end.
type turn struct {
	text string
	err  error
}

// longestTurn is how long a line of standard input may be, in bytes.
const longestTurn = 1 << 20

// readTurns reads standard input beside the conversation, so that a signal
// need not wait for the next line.
func readTurns() <-chan turn {
	turns := make(chan turn)
	go func() {
		lines := bufio.NewScanner(os.Stdin)
		lines.Buffer(nil, longestTurn)
		for lines.Scan() {
			turns <- turn{text: lines.Text()}
		}
		err := lines.Err()
		switch {
		case err == nil:
			err = io.EOF
		case errors.Is(err, bufio.ErrTooLong):
			err = artifact.Errorf(artifact.ErrUsage, "chatting: a line of standard input is longer than %d bytes", longestTurn)
		default:
			err = fmt.Errorf("chatting: reading standard input: %w", err)
		}
		turns <- turn{err: err}
	}()
	return turns
}

// conversation is a dialogue with a model.
type conversation struct {
	generator *generate.Generator
	tokenizer *tokenizer.Tokenizer
	template  *chat.Template
	sampling  generate.Sampling
	context   int // of the model, in tokens
	system    string
	messages  []chat.Message
}

// conversationFull says that a conversation and the user's next turn leave no
// room for an answer. It is an artifact.ErrUsage.
type conversationFull struct{ tokens, context int }

// Error implements error.
func (f *conversationFull) Error() string {
	return fmt.Sprintf("chatting: the conversation has %d tokens, and the model's context of %d leaves no room for an answer; /reset begins a new one", f.tokens, f.context)
}

// Unwrap makes the error an artifact.ErrUsage.
func (f *conversationFull) Unwrap() error { return artifact.ErrUsage }

func (t *conversation) reset() {
	t.messages = nil
	if t.system != "" {
		t.messages = append(t.messages, chat.Message{Role: chat.System, Content: t.system})
	}
}

// say takes the user's turn and hands out the answer part by part. It reports
// whether the model ended its turn itself. A turn that fails, or is answered
// with nothing, is no part of the conversation.
func (t *conversation) say(ctx context.Context, text string, part func(string)) (ended bool, err error) {
	messages := append(t.messages[:len(t.messages):len(t.messages)], chat.Message{Role: chat.User, Content: text})
	ids, err := t.template.RenderPrompt(messages, "")
	if err != nil {
		return false, artifact.Mark(artifact.ErrUsage, fmt.Errorf("chatting: %w", err))
	}
	if len(ids) >= t.context {
		return false, &conversationFull{len(ids), t.context}
	}
	var answer strings.Builder
	say := func(text string) {
		answer.WriteString(text)
		part(text)
	}
	decoder := t.tokenizer.NewDecoder()
	completion, err := t.generator.Stream(ctx, generate.Request{Prompt: ids}, t.sampling, func(id int32) error {
		text, err := decoder.Next(id)
		say(text)
		return err
	})
	if err != nil {
		return false, err
	}
	say(decoder.Flush())
	if answer.Len() > 0 {
		t.messages = append(messages, chat.Message{Role: chat.Assistant, Content: answer.String()})
	}
	return completion.Ended, nil
}
