package chat

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// FuzzGuard looks for texts in which a name is left whole, or from which the
// guard cannot be taken out again.
func FuzzGuard(f *testing.F) {
	g := guard{names: []string{"<|im_end|>", "<|im_|>", "ab", "bc", "</s>", "é🚢"}}
	for _, s := range []string{"", "a<|im_end|>b", "<|im_<|im_end|>end|>", "abc", "aabbcc", "</s></s>", "xé🚢é🚢", "\xff<|im_end|>\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		mark, err := unused(s)
		if err != nil {
			t.Skip()
		}
		guarded := g.text(s, mark)
		if g.spelled(guarded) {
			t.Errorf("a name stands in %q of %q", guarded, s)
		}
		if got := strings.ReplaceAll(guarded, mark, ""); got != s {
			t.Errorf("%q came back as %q", s, got)
		}
	})
}

func TestStringsOfAConversationAreChangedAndNothingElse(t *testing.T) {
	const data = `{"a":["x\"y",1.50,{"é\\":null}],"z":"\u0041\n","b":true}`
	var b bytes.Buffer
	if err := eachString(json.RawMessage(data), func(s string) string { return s + "!" }, &b); err != nil {
		t.Fatal(err)
	}
	if want := `{"a!":["x\"y!",1.50,{"é\\!":null}],"z!":"A\n!","b!":true}`; b.String() != want {
		t.Errorf("got %s, want %s", b.String(), want)
	}
}
