package embed_test

import (
	"encoding/json"
	"math"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/embed"
	"github.com/seed-b72bdb6c/alma/train"
)

// TestMiniLMEqualsTheReference embeds with the real all-MiniLM-L6-v2, whose
// folder ALMA_MINILM names (scripts/real-encoder.sh installs it). The reference,
// made by transformers, is scripts/real-encoder.py's.
func TestMiniLMEqualsTheReference(t *testing.T) {
	folder := os.Getenv("ALMA_MINILM")
	if folder == "" {
		t.Skip("ALMA_MINILM does not name the model's folder; scripts/real-encoder.sh installs it and runs this test")
	}
	data, err := os.ReadFile("testdata/minilm.json")
	if err != nil {
		t.Fatal(err)
	}
	var reference []struct {
		Text   string
		Tokens []int32
		Vector []float64
	}
	if err := json.Unmarshal(data, &reference); err != nil {
		t.Fatal(err)
	}
	engine := cpu.New(cpu.Options{})
	defer engine.Close()
	m, tok, err := train.LoadModel(engine, folder)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := embed.ReadSettings(folder, m.Context, "")
	if err != nil {
		t.Fatal(err)
	}
	if want := (embed.Settings{Poolings: []embed.Pooling{embed.Mean}, Steps: []embed.Step{{}}, Context: 256}); !reflect.DeepEqual(settings, want) {
		t.Errorf("the folder asks for %+v, want %+v", settings, want)
	}
	e, err := embed.New(m, tok, 4, settings)
	if err != nil {
		t.Fatal(err)
	}
	texts := make([][]int32, len(reference))
	for i, r := range reference {
		if texts[i], _, err = dataset.EncodeText(tok, r.Text, settings.Context); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(texts[i], r.Tokens) {
			t.Errorf("%q: tokens %v, want %v", r.Text, texts[i], r.Tokens)
		}
	}
	vectors, err := e.Embed(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	worst := 0.0
	for i, r := range reference {
		for d, want := range r.Vector {
			worst = max(worst, math.Abs(float64(vectors[i][d])-want))
		}
	}
	t.Logf("largest difference %.2g over %d texts", worst, len(reference))
	if worst > 1e-4 {
		t.Errorf("the vectors differ from the reference by up to %g, more than 1e-4", worst)
	}
}
