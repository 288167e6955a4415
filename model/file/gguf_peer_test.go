package file

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestLlamaCppComputesTheSameLogits has llama.cpp open a file of each family.
// ALMA_LLAMACPP_PYTHON names a Python with xllamacpp and numpy, as
// scripts/real-models.sh makes one.
func TestLlamaCppComputesTheSameLogits(t *testing.T) {
	python := os.Getenv("ALMA_LLAMACPP_PYTHON")
	if python == "" {
		t.Skip("ALMA_LLAMACPP_PYTHON is not set; scripts/real-models.sh runs this test")
	}
	engine, tok := newCPU(t), letters(t)
	for name, c := range ggufVariants() {
		t.Run(name, func(t *testing.T) {
			m := newModel(t, engine, c, 1)
			randomWeights(t, m)
			tokens := []int32{1, 5, 6, 7, 8, 9, 10, 4, 11, 12, 5, 5, 13}
			want := logits(t, m, tokens)
			out := filepath.Join(t.TempDir(), "logits")
			args := []string{filepath.Join("..", "..", "scripts", "llamacpp.py"), "logits", saveGGUF(t, m, tok, "f32"), out}
			for _, token := range tokens {
				args = append(args, fmt.Sprint(token))
			}
			if text, err := exec.CommandContext(t.Context(), python, args...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			data, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if len(data) != 4*len(want) {
				t.Fatalf("%d logits, want %d", len(data)/4, len(want))
			}
			var worst, largest float64
			for i := range want {
				got := math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
				worst = max(worst, math.Abs(float64(got-want[i])))
				largest = max(largest, math.Abs(float64(want[i])))
			}
			// llama.cpp looks GELU and SiLU up in tables of float16.
			t.Logf("largest difference %.2g of logits up to %.2g", worst, largest)
			if !(worst <= 2e-3*largest) {
				t.Errorf("logits differ by up to %g, of %g", worst, largest)
			}
		})
	}
}
