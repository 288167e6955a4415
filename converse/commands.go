package converse

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/progress"
)

// A command is a line that speaks to the program.
type command struct {
	name, arguments, does string
	run                   func(s *Session, ctx context.Context, arguments string) error
}

// commands lists them in the order in which /help tells them.
var commands []command

func init() { // /help reads the list itself
	commands = []command{
		{"/help", "", "this list", (*Session).help},
		{"/system", "[TEXT]", `show the system message, or give another; "" removes it`, (*Session).system},
		{"/retry", "", "another answer to the last question", (*Session).retry},
		{"/edit", "", "change the last question and ask again", (*Session).edit},
		{"/save", "FILE", "write the conversation as data for training; /save! writes over a file", (*Session).save},
		{"/load", "FILE", "go on with the dialogue of a file", (*Session).load},
		{"/set", "[NAME VALUE]", "show how answers are sampled, or change it", (*Session).set},
		{"/tokens", "", "how much of the context is used, and what the last answer took", (*Session).tokens},
		{"/reset", "", "begin anew, with the same system message", (*Session).reset},
		{"/quit", "", "leave", func(*Session, context.Context, string) error { return errQuit }},
	}
}

// over is /save that writes over a file.
const over = "/save!"

// command runs a line that begins with a slash.
func (s *Session) command(ctx context.Context, line string) error {
	name, arguments := line, ""
	if i := strings.IndexAny(line, " \t\n"); i >= 0 {
		name, arguments = line[:i], strings.TrimSpace(line[i:])
	}
	if name == over {
		return s.write(arguments, true)
	}
	i := slices.IndexFunc(commands, func(c command) bool { return c.name == name })
	if i < 0 {
		var names []string
		for _, c := range commands {
			names = append(names, c.name)
		}
		hint := ""
		if near := nearest(name, names); near != "" {
			hint = fmt.Sprintf("did you mean %s? ", near)
		}
		return artifact.Errorf(artifact.ErrUsage, "there is no command %s; %s/help lists them, and a turn that begins with a slash is sent with two: /%s", name, hint, line)
	}
	if commands[i].arguments == "" && arguments != "" {
		return artifact.Errorf(artifact.ErrUsage, "%s stands alone, and %q follows it", name, arguments)
	}
	return commands[i].run(s, ctx, arguments)
}

// Help lists the commands, each in a line.
func Help() string {
	var b strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&b, "%-20s %s\n", c.name+" "+c.arguments, c.does)
	}
	return b.String()
}

func (s *Session) help(context.Context, string) error {
	s.printf("%s", Help())
	s.printf(`
A line that ends in \ goes on in the next one; lines from """ to """ are one turn.
Of what is pasted, ⏎ and ⇥ stand for the ends of lines and for tabs.
//TEXT sends a turn that begins with a slash. Tab completes, ↑ and ↓ walk through
what was entered before, Ctrl-R searches in it.
Ctrl-C ends an answer, which stays as far as it came. Ctrl-D leaves.
`)
	return nil
}

func (s *Session) system(_ context.Context, text string) error {
	switch system := s.Talk.System(); {
	case text == `""`:
		s.Talk.SetSystem("")
		s.printf("no system message\n")
	case text != "":
		s.Talk.SetSystem(text)
	case system == "":
		s.printf("no system message\n")
	default:
		s.printf("%s\n", progress.Printable(system))
	}
	return nil
}

func (s *Session) retry(ctx context.Context, _ string) error {
	if s.Settings.Temperature == 0 && s.Talk.Answered() {
		s.printf("[temperature 0: the same question has the same answer; /set temp 0.7 draws others]\n")
	}
	return s.answer(ctx, s.Talk.Retry)
}

func (s *Session) edit(context.Context, string) error {
	if s.prefill = s.Talk.Question(); s.prefill == "" {
		return artifact.Errorf(artifact.ErrUsage, "nothing was asked yet that could be changed")
	}
	s.prefill, s.editing = asEntered(s.prefill), true
	return nil
}

func (s *Session) save(_ context.Context, path string) error { return s.write(path, false) }

func (s *Session) write(path string, over bool) error {
	if path == "" {
		return artifact.Errorf(artifact.ErrUsage, "name the file: /save FILE")
	}
	path = atHome(path)
	if err := s.Talk.Save(path, over); err != nil {
		return artifact.Mark(artifact.ErrUsage, err)
	}
	n, cut := 0, 0
	for _, m := range s.Talk.Dialogue().Messages {
		if n++; m.Ignored {
			cut++
		}
	}
	s.printf("%d messages in %s", n, path)
	if cut > 0 {
		s.printf("; %d cut answers are marked, so that training does not learn them", cut)
	}
	s.printf("\n")
	return nil
}

func (s *Session) load(_ context.Context, path string) error {
	if path == "" {
		return artifact.Errorf(artifact.ErrUsage, "name the file: /load FILE")
	}
	if err := s.Talk.Load(atHome(path)); err != nil {
		return artifact.Mark(artifact.ErrUsage, err)
	}
	messages := s.Talk.Dialogue().Messages
	s.printf("%d messages", len(messages))
	if !s.Talk.Answered() {
		s.printf(", and a last question without an answer; /retry answers it:\n> %s", progress.Printable(s.Talk.Question()))
	} else {
		s.printf("; the last one:\n%s", progress.Printable(messages[len(messages)-1].Content))
	}
	s.printf("\n")
	return nil
}

func (s *Session) set(_ context.Context, arguments string) error {
	if arguments == "" {
		s.printf("%s", s.Settings.Table())
		return nil
	}
	words := strings.Fields(arguments)
	if len(words) != 2 {
		return artifact.Errorf(artifact.ErrUsage, "give a name and a value: /set temp 0.7; /set alone shows all")
	}
	return s.Settings.Set(words[0], words[1], "/set")
}

func (s *Session) tokens(context.Context, string) error {
	used, context, last, err := s.Talk.Used()
	if err != nil {
		return artifact.Mark(artifact.ErrUsage, err)
	}
	s.printf("%s of %s tokens of the model's context are used (%.1f%%)\n", progress.Count(int64(used)), progress.Count(int64(context)), 100*float64(used)/float64(context))
	if last.Answer == 0 {
		return nil
	}
	read := last.Prompt - last.Kept
	s.printf("the last answer: %s tokens read in %s (%s), %s of %s were in the cache; %s written in %s (%s)\n",
		progress.Count(int64(read)), seconds(last.Reading), rate(read, last.Reading), progress.Count(int64(last.Kept)), progress.Count(int64(last.Prompt)),
		progress.Count(int64(last.Answer)), seconds(last.Writing), rate(last.Answer-1, last.Writing)) // the first came with the reading
	return nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func rate(n int, d time.Duration) string {
	if n == 0 || d <= 0 {
		return "no rate"
	}
	return fmt.Sprintf("%.0f tokens/s", float64(n)/d.Seconds())
}

func (s *Session) reset(context.Context, string) error {
	s.Talk.Reset()
	return nil
}

// atHome puts the person's home folder in the place of ~/ before a path.
func atHome(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	return path
}

// Complete lists what a line that begins with a slash may become: commands, settings,
// files.
func Complete(line string) []string {
	name, rest, arguments := strings.Cut(line, " ")
	var found []string
	add := func(candidate string) {
		if strings.HasPrefix(candidate, line) {
			found = append(found, candidate)
		}
	}
	switch {
	case !strings.HasPrefix(line, "/"):
	case !arguments:
		for _, c := range commands {
			if c.arguments != "" {
				add(c.name + " ")
			} else {
				add(c.name)
			}
		}
	case name == "/set":
		for _, setting := range SettingNames() {
			add(name + " " + setting + " ")
		}
	case name == "/save" || name == over || name == "/load":
		folder, base := filepath.Split(rest)
		entries, err := os.ReadDir(cmp.Or(atHome(folder), "."))
		if err != nil {
			return nil // nothing to complete with
		}
		for _, e := range entries {
			path := folder + e.Name()
			if e.IsDir() {
				path += string(filepath.Separator)
			}
			if base != "" || !strings.HasPrefix(e.Name(), ".") {
				add(name + " " + path)
			}
		}
	}
	return found
}
