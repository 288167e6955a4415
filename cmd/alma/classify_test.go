package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newEncoder pretrains a small encoder by the verbs and returns its folder.
func newEncoder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.Mkdir(text, 0o777); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		write(t, filepath.Join(text, fmt.Sprintf("%d.txt", i)), strings.Repeat(fmt.Sprintf("the sun is warm and the rain is cold on day %d. ", i), 6))
	}
	corpus, tokenizer, encoder := filepath.Join(dir, "corpus"), filepath.Join(dir, "tokenizer"), filepath.Join(dir, "encoder")
	for _, args := range [][]string{
		{"corpus", "build", text, "--out", corpus, "--validation", ".2"},
		{"tokenizer", "train", corpus, "--vocab", "290", "--encoder", "--out", tokenizer},
		{"pretrain", "../../recipes/encoder.yaml", "--corpus", corpus, "--tokenizer", tokenizer, "--out", encoder, "--set", "steps=20",
			"--set", "layers=2", "--set", "width=32", "--set", "heads=2", "--set", "context=32", "--set", "batch_tokens=256", "--set", "micro_rows=8"},
	} {
		if o := alma(t, args...); o.code != 0 {
			t.Fatalf("alma %s: exit code %d\n%s", strings.Join(args, " "), o.code, o.stderr)
		}
	}
	return encoder
}

func labelled(n int) (jsonl, tsv string) {
	var a, b strings.Builder
	for i := range n {
		label := []string{"warm", "cold"}[i%2]
		fmt.Fprintf(&a, "{\"id\":%d,\"text\":\"day %d is %s\",\"label\":%q}\n", i, i, label, label)
		fmt.Fprintf(&b, "%s\tday %d is %s\n", label, i, label)
	}
	return a.String(), b.String()
}

func TestAnEncoderIsPretrainedClassifiesAndEmbeds(t *testing.T) {
	encoder := newEncoder(t)
	dir := t.TempDir()
	jsonl, tsv := labelled(80)
	texts, table, out := filepath.Join(dir, "texts.jsonl"), filepath.Join(dir, "texts.tsv"), filepath.Join(dir, "weather")
	write(t, texts, jsonl)
	write(t, table, tsv)
	train := []string{"classify", "train", "--base", encoder, "--texts", texts, "--out", out, "--json",
		"--set", "epochs=30", "--set", "lr=5e-3", "--set", "batch_texts=16", "--set", "validation_share=.25", "--set", "eval_every=10"}
	o := alma(t, train...)
	var manifest struct{ Metrics map[string]float64 }
	if o.code != 0 || json.Unmarshal([]byte(o.stdout), &manifest) != nil || manifest.Metrics["validation/accuracy"] < .9 {
		t.Fatalf("exit code %d, %v\n%s", o.code, manifest, o.stderr)
	}
	if again := alma(t, train...); again.code != 0 || !strings.Contains(again.stderr, "unchanged") {
		t.Errorf("given again: exit code %d\n%s", again.code, again.stderr)
	}

	page, err := os.ReadFile(filepath.Join(out, "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Confusion matrix", "Calibration", "macro-F1", "warm"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if err := os.Remove(filepath.Join(out, "report.md")); err != nil {
		t.Fatal(err)
	}
	if o := alma(t, "report", out); o.code != 0 {
		t.Errorf("alma report: exit code %d\n%s", o.code, o.stderr)
	}
	if again, err := os.ReadFile(filepath.Join(out, "report.md")); err != nil || string(again) != string(page) {
		t.Errorf("the report that is built again differs: %v", err)
	}

	var measures struct {
		N        int
		Accuracy struct{ Value float64 }
	}
	if o := alma(t, "classify", "eval", out, table, "--text-column", "2", "--label-column", "1", "--json"); o.code != 0 ||
		json.Unmarshal([]byte(o.stdout), &measures) != nil || measures.N != 80 || measures.Accuracy.Value < .9 {
		t.Errorf("alma classify eval: exit code %d, %+v\n%s%s", o.code, measures, o.stdout, o.stderr)
	}
	o = alma(t, "classify", "predict", out, texts)
	lines := strings.Split(strings.TrimSpace(o.stdout), "\n")
	if o.code != 0 || len(lines) != 80 {
		t.Fatalf("alma classify predict: exit code %d, %d lines\n%s", o.code, len(lines), o.stderr)
	}
	var line struct {
		ID            int
		Text, Label   string
		Probabilities map[string]float64
	}
	if err := json.Unmarshal([]byte(lines[7]), &line); err != nil || line.ID != 7 || line.Text != "day 7 is cold" ||
		math.Abs(line.Probabilities["warm"]+line.Probabilities["cold"]-1) > 1e-9 || line.Probabilities[line.Label] < .5 {
		t.Errorf("line 7 is %s, %v", lines[7], err)
	}

	// Standard input is read as the file is.
	withInput := func(input string, args ...string) outcome {
		cmd := command(args...)
		cmd.Stdin = strings.NewReader(input)
		return finish(t, cmd)
	}
	for _, args := range [][]string{{"predict", out}, {"predict", out, "-"}, {"eval", out, "-", "--json"}} {
		fromFile := alma(t, append([]string{"classify", args[0], out, texts}, args[min(3, len(args)):]...)...)
		if o := withInput(jsonl, append([]string{"classify"}, args...)...); o.code != 0 || o.stdout != fromFile.stdout {
			t.Errorf("alma classify %s of standard input: exit code %d\n%s", strings.Join(args, " "), o.code, o.stderr)
		}
	}
	if o := withInput("{\"text\":\"a\"}\n", "classify", "eval", out); o.code != 4 || !strings.Contains(o.stderr, "standard input:1: no label") {
		t.Errorf("without labels: exit code %d\n%s", o.code, o.stderr)
	}

	for _, args := range [][]string{{"embed", encoder, texts}, {"embed", out, texts, "--pooling", "cls"}} {
		o := alma(t, args...)
		lines := strings.Split(strings.TrimSpace(o.stdout), "\n")
		var embedding struct {
			ID     int
			Vector []float64
		}
		squares := 0.0
		if o.code == 0 && len(lines) == 80 && json.Unmarshal([]byte(lines[7]), &embedding) == nil {
			for _, v := range embedding.Vector {
				squares += v * v
			}
		}
		if embedding.ID != 7 || len(embedding.Vector) != 32 || math.Abs(squares-1) > 1e-5 {
			t.Errorf("alma %s: exit code %d, %d lines, squares %v\n%s", strings.Join(args, " "), o.code, len(lines), squares, o.stderr)
		}
	}
}

func TestClassifyAndEmbedRefuseWithPlaceAndExitCode(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain.jsonl")
	write(t, plain, "{\"text\":\"a\"}\n")
	golden := filepath.Join("testdata", "golden", "gpt2")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"classify", "train", "--base", golden, "--texts", plain}, 4, "--out is missing"},
		{[]string{"classify", "train", "--base", golden, "--texts", plain, "--out", filepath.Join(dir, "out"), "--set", "epoch=1"}, 4, "epochs"},
		{[]string{"classify", "eval", "nowhere", plain}, 4, "plain.jsonl:1: no label"},
		{[]string{"classify", "predict", filepath.Join(dir, "nowhere"), plain}, 10, "nowhere"},
		{[]string{"classify", "predicts"}, 4, "predict"},
		{[]string{"embed", filepath.Join(dir, "nowhere"), plain}, 10, "nowhere"},
		{[]string{"embed", golden, filepath.Join(dir, "missing.jsonl")}, 10, "missing.jsonl"},
	} {
		if o := alma(t, c.args...); o.code != c.code || !strings.Contains(o.stderr, c.says) {
			t.Errorf("alma %s: exit code %d, want %d with %q\n%s", strings.Join(c.args, " "), o.code, c.code, c.says, o.stderr)
		}
	}
}
