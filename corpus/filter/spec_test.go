package filter

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestASpecIsAFilterWithTheSettingsThatDiffer(t *testing.T) {
	var specs []Spec
	if err := json.Unmarshal([]byte(`["gopher_quality  min_words=3 min_stop_words=0", "language languages=en,zh min_probability=0.2"]`), &specs); err != nil {
		t.Fatal(err)
	}
	if specs[0].Filter().Name() != "gopher_quality" || specs[0].String() != "gopher_quality min_words=3 min_stop_words=0" {
		t.Errorf("the first is %q", specs[0])
	}
	const short = "A short text of seven words only."
	if _, refusal := (List{specs[0].Filter()}).Apply(short, Facts{}); refusal != nil {
		t.Errorf("with min_words=3 it is refused: %v", refusal)
	}
	plain, err := ParseSpec("gopher_quality")
	if err != nil {
		t.Fatal(err)
	}
	if _, refusal := (List{plain.Filter()}).Apply(short, Facts{}); refusal == nil || refusal.Setting != "min_words" {
		t.Errorf("with the paper's limits: %v", refusal)
	}
	data, err := json.Marshal(specs)
	if err != nil || string(data) != `["gopher_quality min_words=3 min_stop_words=0","language languages=en,zh min_probability=0.2"]` {
		t.Errorf("%s, %v", data, err)
	}
}

func TestASpecThatIsNoneSaysWhatIsKnown(t *testing.T) {
	for text, says := range map[string]string{
		"":                                 "a filter has a name; there are urls",
		"gofer":                            `no filter "gofer"; there are urls, code`,
		"gopher_quality fewest=3":          `no setting "fewest"; there are max_bullet_lines`,
		"gopher_quality min_words":         "is no setting, KEY=VALUE",
		"gopher_quality min_words=few":     `min_words is "few", which is no int`,
		"gopher_quality min_words=-1":      "min_words is -1, and its min is 0",
		"gopher_quality max_symbols=0.1 x": "is no setting",
		"language min_probability=1.5":     "its max is 1",
		"language languages=klingon":       "is no language that is known",
	} {
		if _, err := ParseSpec(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
}
