package reward

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/train"
)

// The head is new, so it is trained whole beside the adapter, and is in the
// adapter's files.
func TestRewardModelLearnsAVisibleRuleThroughAnAdapter(t *testing.T) {
	w := newWorkplace(t, 500)
	c := small()
	c.BatchPrompts, c.MicroRows, c.LR = 8, 8, 1e-2
	c.LoRAConfig = train.LoRAConfig{Rank: 4, Alpha: 8, Targets: model.AllLinear}
	manifest, out := runIn(t, newCPU(t, 2), c, w, "out")
	if got := manifest.Metrics["validation/accuracy"]; !(got >= .8) {
		t.Errorf("accuracy on held-out rankings %.3f, want at least .8", got)
	}
	folder := filepath.Join(out, train.AdapterFolder)
	tensors, err := artifact.ReadSafetensors(filepath.Join(folder, file.AdapterWeightsFile))
	if err != nil {
		t.Fatal(err)
	}
	defer tensors.Close()
	head := 0
	for _, name := range tensors.Names() {
		switch {
		case strings.Contains(name, ".lora_A.") || strings.Contains(name, ".lora_B."):
		case strings.HasPrefix(name, "base_model.model.score."):
			head++
		default:
			t.Errorf("the adapter holds %s", name)
		}
	}
	if head != 2 {
		t.Errorf("%d arrays of the head in the adapter, want weight and bias", head)
	}
	text, err := os.ReadFile(filepath.Join(folder, file.AdapterConfigFile))
	if err != nil || !strings.Contains(string(text), `"modules_to_save": [`) {
		t.Errorf("%s (%v)", text, err)
	}
}
