package evaluate

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/chat"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/generate"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train"
)

var update = flag.Bool("update", false, "write testdata/interop anew, with ALMA_INTEROP_PYTHON")

// interopModels are small models of odd sizes, of every family and head.
func interopModels() map[string]model.Config {
	base := model.Config{
		Head: model.LanguageModel, Vocabulary: 331, Context: 48, Width: 36, Layers: 2, Heads: 3, KVHeads: 3, HeadDim: 12,
		FeedForward: 52, Epsilon: 1e-5, Tied: true, InitRange: .2, BOS: -1, EOS: 0, Pad: 3,
	}
	gpt2 := base
	gpt2.Family = model.GPT2
	llama := base
	llama.Family, llama.RoPETheta, llama.KVHeads = model.Llama, 10000, 1
	untied := llama
	untied.Tied = false
	qwen3 := base
	qwen3.Family, qwen3.RoPETheta, qwen3.HeadDim = model.Qwen3, 5000, 10
	reward := llama
	reward.Head = model.Scalar
	all := map[string]model.Config{"gpt2": gpt2, "llama": llama, "llama-untied": untied, "qwen3": qwen3, "llama-reward": reward}

	// The probe has 11 tokens, more than any window.
	small := llama
	small.Width, small.Heads, small.HeadDim, small.FeedForward = 24, 3, 8, 28
	scaled := small
	scaled.AttentionBias, scaled.FeedForwardBias = true, true
	scaled.RoPEScaling = model.RoPEScaling{Type: "llama3", Factor: 8, LowFactor: 1, HighFactor: 4, Original: 16}
	all["llama3"] = scaled
	all["llama-classes"] = small.WithHead(model.Classes, "bad", "fair", "good")
	all["llama-body"] = small.WithHead(model.NoHead)
	mistral := small
	mistral.Family, mistral.Window, mistral.Windowed = model.Mistral, 4, []bool{true, true}
	all["mistral"] = mistral
	qwen2 := small
	qwen2.Family, qwen2.AttentionBias, qwen2.Window, qwen2.Windowed = model.Qwen2, true, 5, []bool{false, true}
	all["qwen2"] = qwen2
	gemma := small
	gemma.Family, gemma.LocalTheta, gemma.QueryScalar, gemma.Window, gemma.Windowed = model.Gemma3, 100, 11, 3, []bool{true, false}
	gemma.RoPEScaling = model.RoPEScaling{Type: "linear", Factor: 4}
	all["gemma3"] = gemma
	bert := small
	bert.Family, bert.Head, bert.KVHeads, bert.RoPETheta, bert.Types, bert.ExactGELU = model.BERT, model.MaskedLanguageModel, 3, 0, 2, true
	all["bert"] = bert
	all["bert-classes"] = bert.WithHead(model.Classes, "bad", "fair", "good")
	bert.Pooler = true
	all["bert-body"] = bert.WithHead(model.NoHead)
	return all
}

type probe struct {
	IDs  []int32 `json:"ids"`
	Text string  `json:"text"`
}

var interopProbe = probe{IDs: []int32{7, 200, 33, 330, 4, 90, 118, 5, 61, 61, 300}, Text: "// Len returns the number of bytes: 12,345 héllo 世界\n\tfunc (b *Buffer) Len() int"}

// TestInteropTransformersOpensWhatAlmaWrites compares with the results of
// transformers: the real one where ALMA_INTEROP_PYTHON names a Python that
// has it, else those that it left in testdata.
func TestInteropTransformersOpensWhatAlmaWrites(t *testing.T) {
	python := os.Getenv("ALMA_INTEROP_PYTHON")
	engine := cpu.New(cpu.Options{Threads: 1})
	defer engine.Close()
	tok, _, err := tokenizer.Train(t.Context(), func(yield func(string, error) bool) {
		text, err := os.ReadFile("interop_test.go")
		yield(string(text), err)
	}, tokenizer.Options{VocabSize: 331})
	if err != nil {
		t.Fatal(err)
	}
	models := interopModels()
	for _, name := range slices.Sorted(maps.Keys(models)) {
		config := models[name]
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join("testdata", "interop", name)
			if python != "" {
				if !*update {
					folder = filepath.Join(t.TempDir(), name)
				}
				writeInteropModel(t, engine, config, tok, folder)
				var out bytes.Buffer
				cmd := exec.Command(python, filepath.Join("..", "scripts", "interop.py"), folder)
				cmd.Stdout, cmd.Stderr = &out, &out
				cmd.Env = append(os.Environ(), "HF_HUB_OFFLINE=1", "TRANSFORMERS_VERBOSITY=error", "HF_HUB_DISABLE_PROGRESS_BARS=1")
				if err := cmd.Run(); err != nil {
					t.Fatalf("%v\n%s", err, &out)
				}
				t.Logf("%s", bytes.TrimSpace(out.Bytes()))
			}
			compareInterop(t, engine, folder)
		})
	}
}

func writeInteropModel(t *testing.T, engine compute.Engine, config model.Config, tok *tokenizer.Tokenizer, folder string) {
	t.Helper()
	m, err := model.New(engine, config, 5)
	if err == nil {
		err = os.MkdirAll(folder, 0o777)
	}
	if err == nil {
		err = train.SaveModel(folder, "", m, tok, 0, chat.Ends(tok, nil))
	}
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(interopProbe)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "probe.json"), data, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func compareInterop(t *testing.T, engine compute.Engine, folder string) {
	t.Helper()
	m, tok, err := train.LoadModel(engine, folder)
	if err != nil {
		t.Fatal(err)
	}
	want, err := artifact.ReadSafetensors(filepath.Join(folder, "transformers.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	ids := interopProbe.IDs
	p := compute.NewProgram("interop")
	hidden := m.Hidden(p, m.NewBatch(p, 1, len(ids)))
	rows := p.Input("rows", compute.Int32, 1)
	switch m.Head {
	case model.Scalar: // transformers pools the last token
		p.Output("logits", m.Score(p, compute.GatherRows(hidden, rows)))
	case model.Classes:
		p.Output("logits", m.ClassLogits(p, hidden, rows))
	case model.NoHead:
		p.Output("logits", hidden)
	default:
		p.Output("logits", m.Logits(p, hidden))
	}
	x, err := engine.Compile(p, m.Store)
	if err != nil {
		t.Fatal(err)
	}
	copy(x.Ints("tokens"), ids)
	for i := range ids {
		x.Ints("positions")[i] = int32(i)
	}
	copy(x.Ints("rows"), m.ReadAt(x.Ints("segments"), len(ids)))
	if err := x.Run(); err != nil {
		t.Fatal(err)
	}
	got := x.Floats("logits")
	logits, err := want.Float32("logits")
	if err != nil {
		t.Fatal(err)
	}
	if len(logits) != len(got) {
		t.Fatalf("logits have %d elements, transformers gives %d", len(got), len(logits))
	}
	worst := relative(got, logits)
	if worst > 1e-5 {
		t.Errorf("logits differ from transformers' by %.2g, want at most 1e-5", worst)
	}
	report := fmt.Sprintf("logits equal to %.1e", worst)
	if m.Head == model.LanguageModel {
		greedy, err := want.Int32("greedy")
		if err != nil {
			t.Fatal(err)
		}
		g, err := generate.New(m, 1, m.Context)
		if err != nil {
			t.Fatal(err)
		}
		out, err := g.All(context.Background(), []generate.Request{{Prompt: ids}}, generate.Sampling{MaxTokens: len(greedy)})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(out[0].Tokens, greedy) {
			t.Errorf("greedy continuation %v, transformers writes %v", out[0].Tokens, greedy)
		}
		report += fmt.Sprintf(", %d greedy tokens equal", len(greedy))
	}
	text, err := want.Int32("text_ids")
	if err != nil {
		t.Fatal(err)
	}
	if mine := tok.Encode(interopProbe.Text); !slices.Equal(mine, text) {
		t.Errorf("text as tokens %v, AutoTokenizer gives %v", mine, text)
	}
	t.Logf("%s, %d tokens of text equal", report, len(text))
}
