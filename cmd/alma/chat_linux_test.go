package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-b72bdb6c/alma/dataset"
)

// terminal is a program behind a pseudo-terminal of 80 columns without IUTF8, so that
// the system takes a byte for a character.
type terminal struct {
	master, slave *os.File
	cmd           *exec.Cmd
	before        unix.Termios

	mu     sync.Mutex
	grown  *sync.Cond
	screen strings.Builder // all that the program wrote
	read   int             // of it, what was waited for
}

// atTerminal starts a chat at a terminal. Its history lies in the folder state.
func atTerminal(t *testing.T, state string, args ...string) *terminal {
	t.Helper()
	return startTerminal(t, []string{"TERM=xterm", "XDG_STATE_HOME=" + state}, append([]string{"chat"}, args...)...)
}

func startTerminal(t *testing.T, environment []string, args ...string) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there is no pseudo-terminal: %v", err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	var slave *os.File
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err != nil {
		t.Skipf("the pseudo-terminal cannot be used: %v", err)
	}
	mode, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	mode.Iflag &^= unix.IUTF8
	if err := errors.Join(unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, mode), unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})); err != nil {
		t.Fatal(err)
	}
	p := &terminal{master: master, slave: slave, cmd: command(args...), before: *mode}
	p.grown = sync.NewCond(&p.mu)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = slave, slave, slave
	p.cmd.Env = append(p.cmd.Env, environment...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		slave.Close()
		master.Close()
	})
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := master.Read(buffer)
			p.mu.Lock()
			p.screen.Write(buffer[:n])
			p.grown.Broadcast()
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return p
}

// await waits until the program has written a text after what was awaited before; any
// text, if it is "".
func (p *terminal) await(t *testing.T, text string) {
	t.Helper()
	late := false
	timer := time.AfterFunc(2*time.Minute, func() {
		p.mu.Lock()
		late = true
		p.grown.Broadcast()
		p.mu.Unlock()
	})
	defer timer.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		fresh := p.screen.String()[p.read:]
		if i := strings.Index(fresh, text); i >= 0 && fresh != "" {
			p.read += i + len(text)
			return
		}
		if late {
			t.Fatalf("waiting for %q, after %q there is %q", text, p.screen.String()[:p.read], p.screen.String()[p.read:])
		}
		p.grown.Wait()
	}
}

// keys presses keys, given as what they send.
func (p *terminal) keys(t *testing.T, text string) {
	t.Helper()
	if _, err := p.master.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// enter waits for the prompt and enters a line.
func (p *terminal) enter(t *testing.T, line string) {
	t.Helper()
	p.await(t, "\x1b[?2004h> ")
	p.keys(t, line+"\r")
}

// ends waits for the program's end and tells the exit code. The terminal must be as it
// was.
func (p *terminal) ends(t *testing.T) int {
	t.Helper()
	var exit *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if after, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS); err != nil || *after != p.before {
		t.Errorf("the terminal is left as %+v (%v), and was %+v", after, err, p.before)
	}
	return p.cmd.ProcessState.ExitCode()
}

// said saves the conversation and reads what the user said, a turn a line.
func (p *terminal) said(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "said.jsonl")
	p.enter(t, "/save "+path)
	p.await(t, " messages in ")
	f, err := dataset.ReadConversations(path, dataset.DefaultReading())
	if err != nil {
		t.Fatal(err)
	}
	var turns []string
	for _, m := range f.Rows[0].Messages {
		if m.Role == "user" {
			turns = append(turns, m.Content)
		}
	}
	return strings.Join(turns, "|")
}

func TestLinesAreEditedAtATerminal(t *testing.T) {
	model := fixtures(t).base
	for _, test := range []struct {
		name  string
		lines []string
		said  string
	}{
		{"one backspace takes a character of three bytes", []string{"a你\x7fb好"}, "ab好"},
		{"the line before, by the arrow", []string{"Red.", "\x1b[A"}, "Red.|Red."},
		{"a turn of two lines", []string{`Red \`, "\x7fand blue."}, "Red \nand blue."},
		{"a pasted turn", []string{"\x1b[200~Red\r\nand\tblue\r\n\x1b[201~"}, "Red\nand\tblue"},
		{"a turn between quotes", []string{`"""`, "/red", `"""`}, "/red"},
		{"a changed question", []string{"Red.", "/edit", "\x7f and blue."}, "Red and blue."},
		{"a completed command", []string{"Red.", "/edi\t", "\x15Blue."}, "Blue."},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := atTerminal(t, t.TempDir(), model, "--max-tokens", "2", "--temp", "0")
			p.await(t, "/help tells the commands")
			for i, line := range test.lines {
				if strings.HasPrefix(line, "\x7fand") || i > 0 && strings.HasPrefix(test.lines[0], `"""`) {
					p.await(t, "\x1b[?2004h. ")
					p.keys(t, strings.TrimPrefix(line, "\x7f")+"\r")
					continue
				}
				p.enter(t, line)
			}
			if got := p.said(t); got != test.said {
				t.Errorf("it was said %q, want %q", got, test.said)
			}
			p.enter(t, "/quit")
			if code := p.ends(t); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

func TestTheHistoryGoesOnInTheNextChat(t *testing.T) {
	model, state := fixtures(t).base, t.TempDir()
	args := []string{model, "--max-tokens", "2", "--temp", "0"}
	file := filepath.Join(state, "alma", "history")

	p := atTerminal(t, state, append(args, "--no-history")...)
	p.enter(t, "Nobody knows.")
	p.enter(t, "/quit")
	if p.ends(t); exists(file) {
		t.Error("--no-history left a history")
	}
	p = atTerminal(t, state, args...)
	p.enter(t, "\x1b[200~Red\nand blue\x1b[201~")
	p.enter(t, "/quit")
	p.ends(t)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the history: %v, %v", info, err)
	}
	p = atTerminal(t, state, args...)
	p.enter(t, "\x1b[A\x1b[A") // before /quit
	if got := p.said(t); got != "Red\nand blue" {
		t.Errorf("from the history came %q", got)
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// long is the fixture's model with a context that takes seconds to fill, and a chat
// template of its own, which a process beside the chat renders: Ctrl-C reaches that,
// too.
func long(t *testing.T) string {
	t.Helper()
	folder := withTemplate(t, fixtures(t).base, ownChatML)
	path := filepath.Join(folder, "config.json")
	config, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(config), `"max_position_embeddings": 64`, `"max_position_embeddings": 20000`, 1)
	if changed == string(config) {
		t.Fatalf("config.json names no context: %s", config)
	}
	write(t, path, changed)
	return folder
}

func TestCtrlCEndsAnAnswerAndTheChatGoesOn(t *testing.T) {
	p := atTerminal(t, t.TempDir(), long(t), "--max-tokens", "19000", "--temp", "0")
	for range 3 {
		p.enter(t, "Red.")
		p.await(t, "\r\n\x1b[?2004l")
		p.await(t, "") // the answer begins
		p.keys(t, "\x03")
		p.await(t, " [… stopped]\r\n")
	}
	p.enter(t, "/set max-tokens 3")
	if got := p.said(t); got != "Red.|Red.|Red." {
		t.Errorf("it was said %q", got)
	}
	p.enter(t, "/retry")
	p.await(t, " […]\r\n")
	p.await(t, "> ")
	p.keys(t, "\x04")
	if code := p.ends(t); code != 0 {
		t.Errorf("Ctrl-D: exit code %d", code)
	}
}

func TestAChatIsLeftByTwoCtrlCAndBySignals(t *testing.T) {
	model := fixtures(t).base
	p := atTerminal(t, t.TempDir(), model)
	p.await(t, "\x1b[?2004h> ")
	for _, press := range []struct{ keys, shown string }{
		{"x", "x"}, {"\x03", "^C"}, // a line that is given up
		{"x", "x"}, {"\x03", "^C"},
		{"y", "y"}, {"\x7f", "\x1b["}, {"\x03", "^C"},
		{"\x03", "Ctrl-C once more ends the chat"},
		{"z", "z"}, {"\x03", "^C"},
		{"\x03", "Ctrl-C once more ends the chat"}, {"\x03", "alma: stopped"},
	} {
		p.keys(t, press.keys)
		p.await(t, press.shown)
	}
	if code := p.ends(t); code != 130 {
		t.Errorf("Ctrl-C: exit code %d, want 130", code)
	}
	for signal, want := range map[syscall.Signal]int{syscall.SIGTERM: 143, syscall.SIGINT: 130} {
		p := atTerminal(t, t.TempDir(), model)
		p.await(t, "\x1b[?2004h> ")
		p.cmd.Process.Signal(signal)
		if signal == syscall.SIGINT { // it is Ctrl-C at the prompt
			p.await(t, "Ctrl-C once more ends the chat")
			p.cmd.Process.Signal(signal)
		}
		if code := p.ends(t); code != want {
			t.Errorf("%v: exit code %d, want %d", signal, code, want)
		}
	}
}

// Without line editing the system takes one byte of a character away, and what is left
// is no text.
func TestATerminalWithoutLineEditingStillTalks(t *testing.T) {
	p := startTerminal(t, []string{"TERM=dumb", "XDG_STATE_HOME=" + t.TempDir()}, "chat", fixtures(t).base, "--max-tokens", "2", "--temp", "0")
	p.await(t, "\n> ")
	p.keys(t, "你\x7f\r")
	p.await(t, "not valid UTF-8; enter it again")
	p.await(t, "\n> ")
	p.keys(t, "Red.\r")
	p.await(t, " […]")
	p.await(t, "\n> ")
	p.keys(t, "/edit\r")
	p.await(t, "Red.\r\n> ")
	p.keys(t, "\x03")
	p.await(t, "Ctrl-C once more ends the chat")
	p.keys(t, "\x03")
	if code := p.ends(t); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
}

func TestWrongUseOfAChatIsSaidAndDoesNotEndIt(t *testing.T) {
	p := atTerminal(t, t.TempDir(), fixtures(t).base, "--max-tokens", "2", "--min-p", "0.2")
	p.await(t, "sampling: ")
	p.await(t, "min-p 0.2 (--min-p)")
	for _, line := range []struct{ entered, says string }{
		{"/sav", "did you mean /save?"},
		{"/set temp hot", `"hot" is not a number`},
		{"/load /none/such", "no such file"},
		{"/retry", "nothing was asked yet"},
		{strings.Repeat("red ", 100), "leaves no room for an answer"},
		{"/tokens", "0 of 64 tokens"},
	} {
		p.enter(t, line.entered)
		p.await(t, line.says)
	}
	p.enter(t, "/quit")
	if code := p.ends(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
