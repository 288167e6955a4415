package evaluate

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
	"github.com/seed-b72bdb6c/alma/compute/reference"
)

// goldenFolders are those that scripts/golden.py wrote, and the command's own.
func goldenFolders(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{filepath.Join("testdata", "golden", "*"), filepath.Join("..", "cmd", "alma", "testdata", "golden", "*")} {
		folders, err := filepath.Glob(pattern)
		if err != nil || len(folders) == 0 {
			t.Fatalf("no golden folders in %s: %v", pattern, err)
		}
		all = append(all, folders...)
	}
	return all
}

// Every set of kernels that this machine has runs all folders. The reference
// engine, which is slow, takes one of each kind of block.
func TestReplayOfGoldenFoldersPasses(t *testing.T) {
	selected := kernel.Name()
	defer kernel.Select(selected)
	for _, kernels := range kernel.Names() {
		if err := kernel.Select(kernels); err != nil {
			t.Fatal(err)
		}
		replayGoldenFolders(t, cpu.New(cpu.Options{Threads: 2}))
	}
	replayGoldenFolders(t, reference.New())
}

func replayGoldenFolders(t *testing.T, engine compute.Engine) {
	t.Helper()
	if closer, ok := engine.(interface{ Close() error }); ok {
		defer closer.Close()
	}
	for _, folder := range goldenFolders(t) {
		name := filepath.Base(folder)
		if engine.Name() == "reference" && strings.Contains(name, "-") && name != "bert-mlm" {
			continue
		}
		t.Run(engine.Name()+"/"+name, func(t *testing.T) {
			seen := 0
			ok, err := Replay(t.Context(), engine, folder, func(c Comparison) {
				if seen++; !c.OK() {
					t.Errorf("%s: error %.2g beyond %.2g %s", c.Name, c.Error, c.Tolerance, c.Detail)
				}
			})
			if err != nil || !ok || seen < 22 { // logits, loss and ten steps of two numbers
				t.Fatalf("replay: %v, %v, %d comparisons", ok, err, seen)
			}
		})
	}
}

// copyFolder copies a golden folder with its files changed.
func copyFolder(t *testing.T, from string, change map[string]func([]byte) []byte) string {
	t.Helper()
	folder := t.TempDir()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		data, err := os.ReadFile(filepath.Join(from, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if f := change[entry.Name()]; f != nil {
			data = f(data)
		}
		if err := os.WriteFile(filepath.Join(folder, entry.Name()), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// Each setting that a configuration may get wrong shows in the comparison.
func TestReplaySeesAWrongSetting(t *testing.T) {
	engine := reference.New()
	edit := func(old, new string) map[string]func([]byte) []byte {
		return map[string]func([]byte) []byte{"config.json": func(data []byte) []byte {
			if !strings.Contains(string(data), old) {
				t.Fatalf("config.json has no %s", old)
			}
			return []byte(strings.Replace(string(data), old, new, 1))
		}}
	}
	for _, test := range []struct{ folder, old, new string }{
		{"mistral", `"sliding_window": 5`, `"sliding_window": 6`},
		{"qwen2", `"sliding_window": 4`, `"sliding_window": 5`},
		{"gemma3", `"query_pre_attn_scalar": 7`, `"query_pre_attn_scalar": 8`},
		{"gemma3", `"factor": 8.0`, `"factor": 7.0`},
		{"gemma3", `"rope_theta": 50.0`, `"rope_theta": 51.0`},
		{"llama3", `"low_freq_factor": 1.0`, `"low_freq_factor": 1.5`},
		{"llama-linear", `"factor": 3.0`, `"factor": 2.9`},
		{"gpt2-erf-untied", `"gelu"`, `"gelu_new"`},
		{"bert-mlm", `"layer_norm_eps": 1e-12`, `"layer_norm_eps": 1e-2`},
	} {
		folder := copyFolder(t, filepath.Join("testdata", "golden", test.folder), edit(test.old, test.new))
		if ok, err := Replay(t.Context(), engine, folder, func(Comparison) {}); ok || err != nil {
			t.Errorf("%s with %s: passes: %v, %v", test.folder, test.new, ok, err)
		}
	}
}

func TestReplayNamesWhatTheBatchLacks(t *testing.T) {
	from := filepath.Join("testdata", "golden", "bert-classes")
	for _, test := range []struct {
		file   string
		change func([]byte) []byte
		want   string
	}{
		{"golden.json", func([]byte) []byte { return []byte("{") }, "golden.json"},
		{"golden.json", func([]byte) []byte { return []byte(`{"B":0,"T":5}`) }, "B 0 and T 5"},
		{"golden.json", func([]byte) []byte { return []byte(`{"B":3,"T":5}`) }, "must have 3×5 elements"},
		{"golden.json", func([]byte) []byte { return []byte(`{"B":4294967296,"T":4294967296}`) }, "are not a batch"},
		{"forward.safetensors", func(data []byte) []byte { return data[:len(data)-4] }, "forward.safetensors"},
	} {
		folder := copyFolder(t, from, map[string]func([]byte) []byte{test.file: test.change})
		_, err := Replay(t.Context(), reference.New(), folder, func(Comparison) {})
		if !errors.Is(err, artifact.ErrCorrupt) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("want a corrupt file with %q, got %v", test.want, err)
		}
	}
}

// transformers reads an encoder's row at its first column even where that is
// padding, which then attends.
func TestReplayRefusesAnEncodersPaddingBeforeATextThatIsReadAsAWhole(t *testing.T) {
	folder := copyFolder(t, filepath.Join("testdata", "golden", "bert-classes"), nil)
	path := filepath.Join(folder, "forward.safetensors")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	length := 8 + int(binary.LittleEndian.Uint64(data))
	var header map[string]struct {
		Offsets [2]int `json:"data_offsets"`
	}
	if err := json.Unmarshal(data[8:length], &header); err != nil {
		t.Fatal(err)
	}
	data[length+header["attention_mask"].Offsets[0]+4*17] = 0 // the first token of row 1
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Replay(t.Context(), reference.New(), folder, func(Comparison) {}); !errors.Is(err, artifact.ErrUsage) || !strings.Contains(err.Error(), "begins row 1 with padding") {
		t.Errorf("%v", err)
	}
}

// Rows that are shorter than the prompt of the greedy continuation hold none.
func TestReplayNamesRowsThatAreTooShortForTheGreedyPrompt(t *testing.T) {
	engine := cpu.New(cpu.Options{Threads: 1})
	defer engine.Close()
	folder := copyFolder(t, filepath.Join("testdata", "golden", "llama3"), map[string]func([]byte) []byte{"golden.json": func(data []byte) []byte {
		return []byte(strings.NewReplacer(`"B": 3`, `"B": 17`, `"T": 17`, `"T": 3`).Replace(string(data)))
	}})
	if _, err := Replay(t.Context(), engine, folder, func(Comparison) {}); !errors.Is(err, artifact.ErrCorrupt) || !strings.Contains(err.Error(), "greedy goes on from 8 tokens and the rows have 3") {
		t.Errorf("%v", err)
	}
}
