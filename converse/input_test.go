package converse

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/model"
)

// Whatever the pieces are in which a terminal's bytes come.
func TestWhatIsPastedIsOneLine(t *testing.T) {
	const begin, end = "\x1b[200~", "\x1b[201~"
	for typed, want := range map[string]string{
		"hello\r":                              "hello\r",
		"a" + begin + "one\rtwo" + end + "b\r": "aone⏎twob\r",
		begin + "one\r\ntwo\nthree\n" + end:    "one⏎two⏎three⏎",
		begin + "\tx\x03\x04\x1b[Ay\x7f" + end: "⇥x[Ay",
		begin + "你\n好" + end + "\r":            "你⏎好\r",
		"\x1b[A\x1b[200\x1b[B":                 "\x1b[A\x1b[200\x1b[B", // keys that begin as the mark does
		"\x1bb":                                "\x1bb",
	} {
		for _, size := range []int{1, 3, len(typed)} {
			k := &keys{}
			var got []byte
			for piece := range slices.Chunk([]byte(typed), size) {
				got = append(got, k.pass(piece)...)
			}
			if string(got) != want {
				t.Errorf("%q in pieces of %d comes as %q, want %q", typed, size, got, want)
			}
		}
	}
}

func TestCtrlCKnowsWhetherTheLineWasEmpty(t *testing.T) {
	k := &keys{}
	k.pass([]byte("\x03hello\x03hello\r\x03\x1b[200~x\x1b[201~\x03"))
	var got []bool
	for range 5 {
		got = append(got, k.wasFilled())
	}
	if !slices.Equal(got, []bool{false, true, false, true, false}) {
		t.Errorf("filled were %v", got)
	}
}

func TestTheHistoryIsKeptForItsOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "alma", "history")
	entries := []string{"Hello.", "first\nsecond\n\tthird", "你好", "/set temp 0.5"}
	h, err := OpenHistory(path)
	if err != nil || len(h.Entries) != 0 {
		t.Fatalf("%+v, %v", h, err)
	}
	for _, entry := range entries {
		if err := h.Add(entry); err != nil {
			t.Fatal(err)
		}
	}
	if h, err = OpenHistory(path); err != nil || !slices.Equal(h.Entries, entries) {
		t.Errorf("%q, %v; want %q", h.Entries, err, entries)
	}
	private := func() {
		t.Helper()
		if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("the file's mode is %v, %v", info.Mode(), err)
		}
	}
	private()
	// A long file loses its oldest entries, and stays private.
	if err := os.WriteFile(path, []byte(strings.Repeat(strings.Repeat("x", 1000)+"\n", 1100)+"bad \xff\nlast\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if h, err = OpenHistory(path); err != nil || len(h.Entries) != historyEntries || h.Entries[historyEntries-1] != "last" {
		t.Fatalf("%d entries, %v", len(h.Entries), err)
	}
	private()
	if info, err := os.Stat(path); err != nil || info.Size() > historyBytes {
		t.Errorf("the file has %d bytes, %v", info.Size(), err)
	}
	if _, err := OpenHistory(filepath.Join(path, "below")); err == nil {
		t.Error("a history below a file is opened")
	}
}

func TestTheHistoryLiesInTheFolderForState(t *testing.T) {
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	if got, err := HistoryFile(); err != nil || got != filepath.Join(state, "alma", "history") {
		t.Errorf("%s, %v", got, err)
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	for _, none := range []string{"", "relative"} {
		t.Setenv("XDG_STATE_HOME", none)
		if got, err := HistoryFile(); runtime.GOOS != "windows" && (err != nil || got != filepath.Join(home, ".local", "state", "alma", "history")) {
			t.Errorf("XDG_STATE_HOME=%s: %s, %v", none, got, err)
		}
	}
}

func TestAModelsRecommendationGoesBeforeOurs(t *testing.T) {
	for _, test := range []struct {
		g    model.Generation
		line string
	}{
		{model.Generation{}, "sampling: temp 0.5, min-p 0.1, repeat-penalty 1.1, max-tokens 256 (alma's own)"},
		// What fine-tuning writes where nothing was recommended is no recommendation.
		{model.Generation{Temperature: new(1.0), TopP: new(1.0), TopK: new(0)}, "sampling: temp 0.5, min-p 0.1, repeat-penalty 1.1, max-tokens 256 (alma's own)"},
		{model.Generation{Temperature: new(.6), TopP: new(.95), TopK: new(20)}, "sampling: temp 0.6, top-k 20, top-p 0.95 (g.json); max-tokens 256 (alma's own)"},
		{model.Generation{Temperature: new(0.0)}, "sampling: temp 0 (g.json); max-tokens 256 (alma's own)"},
		{model.Generation{RepetitionPenalty: new(1.05)}, "sampling: repeat-penalty 1.05 (g.json); max-tokens 256 (alma's own)"},
	} {
		s := Recommended(test.g, "g.json")
		if got := s.Line(); got != test.line {
			t.Errorf("%+v: %s, want %s", test.g, got, test.line)
		}
		if err := s.Validate(); err != nil {
			t.Errorf("%+v: %v", test.g, err)
		}
	}
	s := Recommended(model.Generation{Temperature: new(.6)}, "g.json")
	if err := s.Set("temp", "0.9", "--temp"); err != nil || s.Temperature != .9 || s.Line() != "sampling: temp 0.9 (--temp); max-tokens 256 (alma's own)" {
		t.Errorf("%s, %v", s.Line(), err)
	}
}

func TestASettingThatCannotBeIsNotTaken(t *testing.T) {
	s := Recommended(model.Generation{}, "")
	before := s.Sampling
	for _, test := range []struct{ name, value string }{{"temp", "-1"}, {"temp", "NaN"}, {"top-p", "1.1"}, {"max-tokens", "0"}, {"repeat-penalty", "-2"}, {"seed", "x"}, {"Temp", "1"}, {"", ""}} {
		if err := s.Set(test.name, test.value, "/set"); err == nil || fmt.Sprint(s.Sampling) != fmt.Sprint(before) || strings.Contains(s.Table(), "/set") {
			t.Errorf("%s %s: %v, %+v", test.name, test.value, err, s.Sampling)
		}
	}
}

func TestTheNearestNameIsFound(t *testing.T) {
	candidates := []string{"/help", "/system", "/retry", "/reset", "/quit"}
	for name, want := range map[string]string{"/retr": "/retry", "/hlep": "/help", "/exit": "/quit", "/sys": "/system", "/zebra": "", "": ""} {
		if got := nearest(name, candidates); got != want {
			t.Errorf("near %q is %q, want %q", name, got, want)
		}
	}
	for _, test := range []struct {
		a, b string
		want int
	}{{"kitten", "sitting", 3}, {"", "abc", 3}, {"abc", "", 3}, {"flaw", "lawn", 2}, {"same", "same", 0}} {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("from %q to %q are %d changes, want %d", test.a, test.b, got, test.want)
		}
	}
}
