package sft

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/train"
)

// plain is the loss of a model on a text, in nats a token.
func (s *school) plain(folder, text string) float64 {
	s.t.Helper()
	m, tok, err := train.LoadModel(s.engine, folder)
	if err != nil {
		s.t.Fatal(err)
	}
	lm, err := train.NewEvaluation(m, 1, contextLength)
	if err != nil {
		s.t.Fatal(err)
	}
	ids := tok.Encode(text)[:contextLength+1]
	rows := train.NewTextRows(1, contextLength)
	copy(rows.Tokens, ids)
	copy(rows.Targets, ids[1:])
	losses, err := lm.Losses(s.t.Context(), rows)
	if err != nil {
		s.t.Fatal(err)
	}
	var sum float64
	for _, l := range losses {
		sum += float64(l)
	}
	return sum / float64(len(losses))
}

func TestTextThatIsMixedInIsLearnedBesideTheDialogues(t *testing.T) {
	s := newSchool(t)
	text := strings.Repeat("red comes after what user assistant green ", 40)
	s.inputs.Text = filepath.Join(t.TempDir(), "text.txt")
	if err := os.WriteFile(s.inputs.Text, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c := tinySFT()
	c.Epochs = 12
	alone, mixed := filepath.Join(t.TempDir(), "alone"), filepath.Join(t.TempDir(), "mixed")
	without, err := s.run(t.Context(), c, alone, 0)
	if err != nil {
		t.Fatal(err)
	}
	c.TextShare = .3
	with, err := s.run(t.Context(), c, mixed, 0)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := s.plain(alone, text), s.plain(mixed, text); b > .6*a {
		t.Errorf("the loss on the text is %.3f with a share of .3 and %.3f without", b, a)
	}
	if a, b := without.Metrics["validation/loss"], with.Metrics["validation/loss"]; b > a+.3 {
		t.Errorf("the loss on held-out dialogues is %.3f with text and %.3f without", b, a)
	}
	if _, ok := without.Metrics["loss/text"]; ok || with.Metrics["loss/text"] <= 0 || with.Inputs["text"].Path != s.inputs.Text {
		t.Errorf("recorded are %v of %v", with.Metrics, with.Inputs)
	}
	if with.Tokens <= without.Tokens || with.FLOPs <= without.FLOPs {
		t.Errorf("%d tokens and %.3g FLOP with text, %d and %.3g without", with.Tokens, with.FLOPs, without.Tokens, without.FLOPs)
	}
}

// The share is that of the loss: the step's gradients are those of (1 − s)·L_dialogues
// + s·L_text, so that its two parts, each alone, add up to it.
func TestTheShareOfTheTextIsItsShareOfTheGradients(t *testing.T) {
	s := newSchool(t)
	m, tok, err := train.LoadModel(s.engine, s.inputs.Base)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "shards")
	end, _ := tok.TokenID("<|endoftext|>")
	w, err := dataset.NewShardWriter(folder, dataset.ShardOptions{VocabSize: tok.VocabSize(), EndToken: end})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append(tok.Encode(strings.Repeat("blue after red ", 60))); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	shards, err := dataset.OpenShards(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer shards.Close()
	mix, err := train.NewTextMix(m, shards, 2, m.Context, 1)
	if err != nil {
		t.Fatal(err)
	}
	name := "grad/" + m.Trained()[0].Name
	gradient := func(weight float64) []float32 {
		t.Helper()
		o, err := train.NewOptimizer(m, tinySFT().AdamW())
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Zero(); err != nil {
			t.Fatal(err)
		}
		if _, err := mix.Accumulate(t.Context(), 0, weight); err != nil {
			t.Fatal(err)
		}
		shape, _ := m.Store.Shape(name)
		values := make([]float32, shape.Size())
		if err := m.Store.Read(name, values); err != nil {
			t.Fatal(err)
		}
		return values
	}
	whole, part := gradient(1), gradient(.25)
	moved := false
	for i := range whole {
		if d := part[i] - whole[i]/4; d > 1e-6 || d < -1e-6 {
			t.Fatalf("element %d: %v with a weight of ¼, %v with 1", i, part[i], whole[i])
		}
		moved = moved || whole[i] != 0
	}
	if !moved {
		t.Error("the text has no gradients")
	}
}

func TestAShareOfTextNeedsText(t *testing.T) {
	s := newSchool(t)
	c := tinySFT()
	c.TextShare = .2
	if _, err := s.run(t.Context(), c, t.TempDir(), 0); artifact.ExitCode(err) != 4 || !strings.Contains(err.Error(), "there is no pretraining text") {
		t.Errorf("without text: %v", err)
	}
}

func TestAShareOfTheDialoguesIsHeldOutWhereNoFileIs(t *testing.T) {
	s := newSchool(t)
	s.inputs.Validation = ""
	c := tinySFT()
	c.ValidationShare = .4
	m, err := s.run(t.Context(), c, filepath.Join(t.TempDir(), "out"), 0)
	if err != nil {
		t.Fatal(err)
	}
	learned, held := m.Metrics["dialogues"], m.Metrics["held_out"]
	if learned+held != 20 || held == 0 || learned == 0 || m.Metrics["validation/loss"] == 0 {
		t.Errorf("%v dialogues are learned and %v held out of 20; validation loss %v", learned, held, m.Metrics["validation/loss"])
	}
	s.dialogues(s.inputs.Train, 1, 0)
	c.ValidationShare = .9
	if _, err := s.run(t.Context(), c, filepath.Join(t.TempDir(), "out"), 0); err != nil && !strings.Contains(err.Error(), "smaller validation_share") {
		t.Errorf("of one dialogue: %v", err)
	}
}

func TestPlainTextsAreHeldOutByAllOfTheirTokens(t *testing.T) {
	s := newSchool(t)
	var b strings.Builder
	for i := range 60 {
		fmt.Fprintf(&b, "{\"text\":\"number %d\"}\n", i)
	}
	if err := os.WriteFile(s.inputs.Train, []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	s.inputs.Validation = ""
	c := tinySFT()
	c.Epochs, c.ValidationShare = 1, .3
	m, err := s.run(t.Context(), c, filepath.Join(t.TempDir(), "out"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if held := m.Metrics["held_out"]; held < 8 || held > 30 || m.Metrics["dialogues"]+held != 60 {
		t.Errorf("%g of 60 texts are held out, %g learned", held, m.Metrics["dialogues"])
	}
}
