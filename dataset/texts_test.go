package dataset

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/rows"
)

func TestTextsAreReadFromEveryFormat(t *testing.T) {
	labelled := TextOptions{Labels: true}
	for _, c := range []struct {
		name   string
		format rows.Format
		o      TextOptions
		data   string
		want   string // label:text@line, one after the other
	}{
		{"JSONL", rows.JSONL, labelled, "\ufeff{\"text\":\"a\",\"label\":\"x\"}\n\n{\"label\":2,\"sentence\":\"b \\u00e9\"}\n{\"text\":\"c\",\"label\":true}", "x:a@1 2:b é@3 true:c@4 "},
		{"JSONL with other keys", rows.JSONL, TextOptions{TextColumn: "body", LabelColumn: "y"}, `{"text":"no","body":"a","y":"1"}`, "1:a@1 "},
		{"JSONL without labels", rows.JSONL, TextOptions{}, `{"id":7,"text":"a","label":"x"}`, ":a@1 "},
		{"CSV", rows.CSV, labelled, "\ufeff,split,label,TEXT\r\n1,dev,0,\"say \"\"a\"\",\nb\"\r\n2,dev,1,c\r\n", "0:say \"a\",\nb@2 1:c@4 "},
		{"TSV by number", rows.TSV, TextOptions{TextColumn: "2", LabelColumn: "1"}, "ham\ta \"quoted\n\nspam\tb\r\n", "ham:a \"quoted@1 spam:b@3 "},
		{"TSV by number under a header", rows.TSV, TextOptions{TextColumn: "2", LabelColumn: "1", Header: "yes"}, "Label\tSMS\nham\ta", "ham:a@2 "},
		{"TSV by the usual names", rows.TSV, labelled, "Label\tSMS\nham\ta", "ham:a@2 "},
		{"TSV, one by name", rows.TSV, TextOptions{TextColumn: "SMS", LabelColumn: "1"}, "Label\tsms\nham\ta", "ham:a@2 "},
		{"lines", rows.Lines, TextOptions{}, "a b\n\n  c\t\n", ":a b@1 :c@3 "},
	} {
		c.o.Format, c.o.BadRows = string(c.format), Stop
		texts, err := DecodeTexts(strings.NewReader(c.data), "f", c.o)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := ""
		for _, x := range texts.Rows {
			got += fmt.Sprintf("%s:%s@%d ", x.Label, x.Text, x.Line)
		}
		if got != c.want {
			t.Errorf("%s: read %q, want %q", c.name, got, c.want)
		}
	}
}

func TestALabelMayBeAListOfSeveral(t *testing.T) {
	o := TextOptions{Labels: true, Reading: Reading{Format: "jsonl", BadRows: Stop}}
	texts, err := DecodeTexts(strings.NewReader(`{"text":"a","labels":["x","y"]}
{"text":"b","label":[]}
{"text":"c","labels":[1,true]}
{"text":"d","label":"x"}`), "f", o)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, x := range texts.Rows {
		got += fmt.Sprintf("%s %q %t, ", x.Text, x.Given(), x.Labels != nil)
	}
	if want := `a ["x" "y"] true, b [] true, c ["1" "true"] true, d ["x"] false, `; got != want {
		t.Errorf("read %s, want %s", got, want)
	}
	for line, want := range map[string]string{
		`{"text":"a","labels":["x","x"]}`:        `"labels" holds ["x","x"], in which "x" stands twice`,
		`{"text":"a","labels":[""]}`:             `"labels" holds a blank label`,
		`{"text":"a","labels":[{"name":"x"}]}`:   `which is no label`,
		`{"text":"a","labels":[null]}`:           `which is no label`,
		`{"text":"a","label":null,"labels":[1]}`: `"label" holds null, which is no label`,
	} {
		if _, err := DecodeTexts(strings.NewReader(line), "f", o); err == nil || !strings.Contains(err.Error(), "f:1: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
	texts, err = DecodeTexts(strings.NewReader(`{"text":"a","labels":[1.0,2]}
{"text":"b","labels":["1"]}`), "f", o)
	if err != nil || fmt.Sprint(texts.Rows[0].Labels, texts.Rows[1].Labels) != "[1 2] [1]" {
		t.Errorf("labels that are whole numbers are %v, %v", texts, err)
	}
}

func TestAnIDIsKeptAsItStands(t *testing.T) {
	texts, err := DecodeTexts(strings.NewReader("{\"id\":12345678901234567890,\"text\":\"a\"}\n{\"text\":\"b\"}"), "f", TextOptions{Reading: Reading{Format: "jsonl"}})
	if err != nil {
		t.Fatal(err)
	}
	if string(texts.Rows[0].ID) != "12345678901234567890" || texts.Rows[1].ID != nil {
		t.Errorf("ids %s and %s", texts.Rows[0].ID, texts.Rows[1].ID)
	}
}

func TestTextsThatAreNoneAreRefusedWithTheirPlace(t *testing.T) {
	labelled := TextOptions{Labels: true}
	for _, c := range []struct {
		name   string
		format rows.Format
		o      TextOptions
		data   string
		want   []string
	}{
		{"no label", rows.JSONL, labelled, "{\"text\":\"a\",\"label\":1}\n{\"text\":\"b\"}", []string{"f:2", "no label", `"class"`}},
		{"label of a wrong kind", rows.JSONL, labelled, `{"text":"a","label":null}`, []string{"f:1", `"label" holds null`}},
		{"blank text", rows.JSONL, TextOptions{}, `{"text":" "}`, []string{"f:1", "the text is blank"}},
		{"blank label", rows.TSV, labelled, "text\tlabel\na\t ", []string{"f:2", "the label is blank"}},
		{"not UTF-8", rows.TSV, labelled, "text\tlabel\na\tx\n\xff\tx", []string{"f:3", "not UTF-8"}},
		{"lines not UTF-8", rows.Lines, TextOptions{}, "ok\n\xff", []string{"f:2", "not UTF-8"}},
		{"too few fields", rows.TSV, labelled, "text\tlabel\na", []string{"f:2", "1 fields", `"label"`}},
		{"uneven CSV", rows.CSV, labelled, "text,label\na,b,c", []string{"f:2", "3 fields", "in quotes"}},
		{"open quote", rows.CSV, labelled, "text,label\n\"a,b\n", []string{"f:2", "not closed"}},
		{"no header", rows.TSV, labelled, "ham\ta", []string{"f:1", `["ham" "a"]`, "number the columns"}},
		{"no header said, and names", rows.TSV, TextOptions{Labels: true, Header: "no"}, "ham\ta", []string{"must be a number, from 1 on"}},
		{"number outside", rows.TSV, TextOptions{TextColumn: "3", LabelColumn: "1"}, "ham\ta", []string{"f:1", "column 3 is asked for, and the record has 2"}},
		{"lines with labels", rows.Lines, labelled, "a", []string{"plain lines have no labels"}},
		{"empty", rows.CSV, labelled, "text,label\n", []string{"holds no text"}},
		{"unknown format", "xml", TextOptions{}, "a", []string{`"xml"`, `"jsonl"`}},
		{"unknown header", rows.CSV, TextOptions{Header: "maybe"}, "a", []string{`"maybe"`, `"auto"`}},
	} {
		c.o.Format, c.o.BadRows = string(c.format), Stop
		_, err := DecodeTexts(strings.NewReader(c.data), "f", c.o)
		if !errors.Is(err, artifact.ErrUsage) {
			t.Errorf("%s: got %v, want a usage error", c.name, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not tell %q", c.name, err, want)
			}
		}
	}
}

func TestAFileWhoseNameTellsNoFormatIsRefused(t *testing.T) {
	path := t.TempDir() + "/texts.dat"
	if err := artifact.WriteFile(path, []byte("a")); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadTexts(path, TextOptions{}); !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), "tells the format") {
		t.Errorf("got %v", err)
	}
}

// endless gives a beginning and then the same bytes for ever.
type endless struct {
	begin string
	taken int
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	if e.taken == 0 {
		copy(p, e.begin)
	}
	e.taken += len(p)
	return len(p), nil
}

func TestARecordWithoutEndIsRefusedInBoundedMemory(t *testing.T) {
	for format, begin := range map[rows.Format]string{rows.CSV: "text,label\n\"", rows.TSV: "text\n", rows.JSONL: `{"text":"`, rows.Lines: ""} {
		source := &endless{begin: begin}
		if _, err := DecodeTexts(source, "f", TextOptions{Reading: Reading{Format: string(format)}}); err == nil || !strings.Contains(err.Error(), "longer than") {
			t.Errorf("%s: got %v", format, err)
		}
		if source.taken > 40*rows.Longest {
			t.Errorf("%s: %d bytes were read", format, source.taken)
		}
	}
}

func FuzzTexts(f *testing.F) {
	for _, seed := range []string{
		`{"text":"a","label":"x"}`, "text,label\n\"a\"\"\",b\n", "text\tlabel\na\tb", "a\nb", "\ufefftext,label\r\n\"\n\",1", `{"id":{},"text":1,"label":[1]}`, "\"",
	} {
		for format := range rows.Formats {
			f.Add(format, []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, format int, data []byte) {
		form := rows.Formats[uint(format)%uint(len(rows.Formats))]
		o := TextOptions{Reading: Reading{Format: string(form), BadRows: Stop}, Labels: form != rows.Lines}
		texts, err := DecodeTexts(io.LimitReader(strings.NewReader(string(data)), 1<<20), "f", o)
		if err != nil {
			return
		}
		if len(texts.Rows) == 0 {
			t.Error("no text and no error")
		}
		for _, x := range texts.Rows {
			if strings.TrimSpace(x.Text) == "" || o.Labels && x.Labels == nil && strings.TrimSpace(x.Label) == "" || x.Line < 1 {
				t.Errorf("read %+v", x)
			}
		}
	})
}
