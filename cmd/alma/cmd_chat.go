package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/converse"
	"github.com/seed-b72bdb6c/alma/generate"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/progress"
)

func newChatCommand(c *call) *cobra.Command {
	var s generate.Sampling
	var system string
	var noHistory bool
	cmd := &cobra.Command{
		Use:     "chat MODEL",
		GroupID: groupUse,
		Short:   "Talk with a model",
		Long: `Talk with a model, turn by turn; the answer appears as it is written and ends at
its end token (<|im_end|> in ChatML), or before a stop string that the model's
generation_config.json names. The model sees the whole conversation.

At a terminal, lines are edited, with history (↑) and completion (Tab), and

  ` + strings.ReplaceAll(strings.TrimSpace(converse.Help()), "\n", "\n  ") + `

speak to alma. A line that ends in \ goes on in the next one, lines from """ to """
are one turn, and what is pasted is one, too. Ctrl-C ends an answer, Ctrl-D the chat.
The history lies in ~/.local/state/alma/history (XDG_STATE_HOME), for its owner alone.
Answers are sampled as the flags say, else as the model's files recommend, else as
alma finds best for small models; the first line tells.

Through a pipe, each line of standard input is a turn of the user's and only the
answers are written, so a conversation can be scripted; /reset begins a new one, /quit
ends. The same seed and the same turns give the same answers.`,
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
			talk, err := converse.New(m, t)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			talk.SetSystem(system)
			if term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd())) {
				settings, err := chatSettings(cmd, args[0], m)
				if err != nil {
					return err
				}
				return c.converse(cmd.Context(), talk, settings, !noHistory)
			}
			if err := recommended(cmd, args[0], m, &s); err != nil {
				return err
			}
			talk.Sampling = s
			return c.scripted(cmd.Context(), talk)
		},
	}
	cmd.Flags().StringVar(&system, "system", "", "`TEXT` of a system message before the conversation")
	cmd.Flags().BoolVar(&noHistory, "no-history", false, "neither read nor keep what is entered at a terminal")
	c.samplingFlags(cmd, &s, 1, 256)
	acceptFlag(cmd)
	c.engineFlags(cmd)
	return cmd
}

// chatSettings are those of a chat at a terminal: the flags before what the model's
// files recommend, and that before alma's own.
func chatSettings(cmd *cobra.Command, path string, m *model.Model) (settings *converse.Settings, err error) {
	from := file.GenerationFile
	if file.IsGGUF(path) {
		from = filepath.Base(path)
	}
	settings = converse.Recommended(m.Generation, from)
	cmd.Flags().Visit(func(f *pflag.Flag) {
		for _, name := range converse.SettingNames() {
			if f.Name == name && err == nil {
				err = settings.Set(name, f.Value.String(), "--"+name)
			}
		}
	})
	return settings, err
}

// converse is a chat at a terminal.
func (c *call) converse(ctx context.Context, talk *converse.Conversation, settings *converse.Settings, keep bool) (err error) {
	var history *converse.History
	if keep {
		path, err := converse.HistoryFile()
		if err == nil {
			history, err = converse.OpenHistory(path)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "warning: %v; what is entered is not kept\n", err)
		}
	}
	editor, err := converse.NewEditor(history)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, editor.Close()) }()
	interrupts, stop := c.divertInterrupts()
	defer stop()
	session := converse.Session{Talk: talk, Settings: settings, Lines: editor, Out: c.out, Interrupts: interrupts}
	return session.Run(ctx)
}

// scripted reads turns from standard input and streams the answers.
func (c *call) scripted(ctx context.Context, talk *converse.Conversation) error {
	lines := readTurns()
	for {
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
			talk.Reset()
		case text == "":
		default:
			if _, err := talk.Say(ctx, text, func(part string) { c.printf("%s", progress.Printable(part)) }); err != nil {
				return err
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
