package chat

import (
	"strings"
	"testing"
)

func TestATextIsCutBeforeTheFirstStopString(t *testing.T) {
	for _, test := range []struct {
		stops   StopStrings
		text    string
		want    string
		stopped bool
	}{
		{nil, "all of it", "all of it", false},
		{StopStrings{"User:"}, "Hello.\nUser: and", "Hello.\n", true},
		{StopStrings{"b", "a"}, "xxab", "xx", true},
		{StopStrings{"abcd", "bc"}, "xabc", "xa", true},
		{StopStrings{"\n\n"}, "one\ntwo\n", "one\ntwo\n", false},
		{StopStrings{"x"}, "x", "", true},
	} {
		if got, stopped := test.stops.Cut(test.text); got != test.want || stopped != test.stopped {
			t.Errorf("%q cut at %q is %q, %v; want %q, %v", test.text, test.stops, got, stopped, test.want, test.stopped)
		}
	}
}

func TestWhatMayBeginAStopStringIsHeldBack(t *testing.T) {
	for _, test := range []struct {
		stops StopStrings
		text  string
		want  int
	}{
		{nil, "abc", 0}, {StopStrings{"cde"}, "abc", 1}, {StopStrings{"cde"}, "abcd", 2}, {StopStrings{"cde"}, "abcx", 0},
		{StopStrings{"x", "bcd", "cz"}, "abc", 2}, {StopStrings{"aaa"}, "aa", 2}, {StopStrings{"long stop"}, "l", 1},
	} {
		if got := test.stops.Held(test.text); got != test.want {
			t.Errorf("of %q, %d bytes are held for %q, want %d", test.text, got, test.stops, test.want)
		}
	}
}

// Whichever tokens it is written in, a stop string ends a text with the token that
// completes it, also inside of one.
func TestTheTokenThatCompletesAStopStringEndsAText(t *testing.T) {
	_, tok := chatML(t)
	for _, test := range []struct{ stop, text string }{
		{"User:", "Hello there.\nUser: hello"}, {"你好", "a 你好 b"}, {"é", "caféteria"}, {"\n\n", "one\ntwo\n\nthree"},
	} {
		until := StopStrings{test.stop}.Until(tok)
		for range 2 { // for one text after the other
			watch, text, ended := until(), "", false
			decoder := tok.NewDecoder()
			for _, id := range tok.Encode(test.text) {
				part, err := decoder.Next(id)
				if err != nil {
					t.Fatal(err)
				}
				text += part
				if ended = watch(id); ended != strings.Contains(text, test.stop) {
					t.Fatalf("stop string %q, text so far %q: ended is %v", test.stop, text, ended)
				}
				if ended {
					break
				}
			}
			if !ended {
				t.Errorf("stop string %q did not end %q", test.stop, test.text)
			}
		}
	}
	id, ok := tok.TokenID("<|im_end|>")
	if !ok || !(StopStrings{"<|im_end|>"}).Until(tok)()(id) {
		t.Error("a special token that a stop string names does not end a text")
	}
}
