package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/model/file"
)

func main() { os.Exit(run(os.Args[1:])) }

// run runs one command line and returns the exit code.
func run(args []string) int {
	if err := artifact.ArmFailpointFromEnvironment(); err != nil {
		fmt.Fprintln(os.Stderr, "alma:", err)
		return artifact.ExitCode(err)
	}
	c := newCall()
	ctx, stop := c.withSignals(context.Background())
	defer stop()
	file.OnNote(func(line string) { fmt.Fprintln(os.Stderr, "note:", line) })
	root := newRootCommand(c)
	root.SetArgs(args)
	err := checkVerbs(root, args)
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	if errors.Is(err, context.Canceled) {
		err = context.Cause(ctx) // which signal it was
	}
	if err == nil {
		err = c.out.err
	}
	if errors.Is(err, cpu.ErrMemory) { // what was asked for is too large for this machine
		err = artifact.Mark(artifact.ErrUsage, err)
	}
	switch {
	case err == nil:
	case errors.Is(err, artifact.ErrInterrupted), errors.Is(err, artifact.ErrTerminated):
		if !c.resumable {
			fmt.Fprintln(os.Stderr, "alma: stopped")
			break
		}
		fmt.Fprintf(os.Stderr, "alma: stopped; what was done so far is saved. To go on, give the same command again:\n  alma %s\n", quoted(args))
	default:
		fmt.Fprintln(os.Stderr, "alma:", err)
	}
	return artifact.ExitCode(err)
}

// withSignals returns a context that the first SIGINT or SIGTERM cancels, with
// the error of that name as its cause. The second one ends the process at
// once. While interrupts are diverted, SIGINT does neither.
func (c *call) withSignals(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	received := make(chan os.Signal, 2)
	signal.Notify(received, os.Interrupt, syscall.SIGTERM)
	go func() {
		for first := true; ; {
			kind := artifact.ErrInterrupted
			if <-received == syscall.SIGTERM {
				kind = artifact.ErrTerminated
			} else if diverted := c.interrupts.Load(); diverted != nil {
				select {
				case *diverted <- struct{}{}:
				default: // one is waiting already
				}
				continue
			}
			if !first {
				os.Exit(kind.Code())
			}
			first = false
			cancel(kind)
			fmt.Fprintln(os.Stderr, "\nalma: stopping once nothing can be lost; a second signal stops at once")
		}
	}()
	return ctx, func() { signal.Stop(received); cancel(nil) }
}

// divertInterrupts has SIGINT sent to a channel, of which one place is enough, until
// stop is called.
func (c *call) divertInterrupts() (interrupts <-chan struct{}, stop func()) {
	to := make(chan struct{}, 1)
	c.interrupts.Store(&to)
	return to, func() { c.interrupts.Store(nil) }
}

// quoted writes arguments as a POSIX shell takes them.
func quoted(args []string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		plain := arg != "" && !strings.ContainsFunc(arg, func(r rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,+@%", r)
		})
		if words[i] = arg; !plain {
			words[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}
