package train_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train"
)

// facts are those of a Llama model; SmolLM2-135M's are of 576 by 30 layers.
func facts(published bool, width, layers, vocabulary, context int) stage.Facts {
	config := fmt.Sprintf(`{"model_type":"llama","architectures":["LlamaForCausalLM"],"vocab_size":%d,"hidden_size":%d,"num_hidden_layers":%d,
		"num_attention_heads":%d,"intermediate_size":%d,"max_position_embeddings":%d,"rms_norm_eps":1e-5,"tie_word_embeddings":true}`,
		vocabulary, width, layers, width/64, width*8/3, context)
	return stage.Facts{Model: json.RawMessage(config), Vocabulary: vocabulary, Published: published}
}

func derivation(t *testing.T, f stage.Facts, lora train.LoRAConfig, memory int64, set ...string) *train.Derivation {
	t.Helper()
	d := train.Derive(stage.Basis{In: stage.Known{"base": f}, Memory: memory, Free: func(key string) bool { return !slices.Contains(set, key) }}, "base", model.LanguageModel, lora)
	if d == nil {
		t.Fatal("the model is not known")
	}
	return d
}

func value(d *train.Derivation, key string) any {
	for _, c := range d.Chosen {
		if c.Key == key {
			return c.Value
		}
	}
	return nil
}

func TestRatesFollowOriginSizeAndAdapter(t *testing.T) {
	adapter := train.DefaultLoRA()
	adapter.Rank = 8
	rates := train.Rates{Here: 1.5e-3, Whole: 5e-5, Adapter: 5e-4}
	for name, c := range map[string]struct {
		f    stage.Facts
		lora train.LoRAConfig
		set  []string
		want any
	}{
		"trained here, of the default width": {facts(false, 192, 4, 2048, 256), train.LoRAConfig{}, nil, nil},
		"trained here, narrower":             {facts(false, 64, 2, 2048, 256), train.LoRAConfig{}, nil, nil},
		"trained here, four times as wide":   {facts(false, 768, 12, 2048, 256), train.LoRAConfig{}, nil, 3.8e-4},
		"published, of 135 M":                {facts(true, 576, 30, 49152, 8192), train.LoRAConfig{}, nil, 5e-5},
		"published, of 7 G":                  {facts(true, 4096, 32, 32000, 4096), train.LoRAConfig{}, nil, 1e-5},
		"published, small":                   {facts(true, 192, 4, 2048, 256), train.LoRAConfig{}, nil, 2e-4},
		"an adapter":                         {facts(true, 576, 30, 49152, 8192), adapter, nil, 5e-4},
		"set by the user":                    {facts(true, 576, 30, 49152, 8192), train.LoRAConfig{}, []string{"lr"}, nil},
	} {
		d := derivation(t, c.f, c.lora, 0, c.set...)
		d.Rate("lr", rates)
		if got := value(d, "lr"); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestRowsFollowTheTextsAndNotTheModelsContext(t *testing.T) {
	lengths := make([]int, 100) // 5, 10, … 500, and one of 3,000
	for i := range lengths {
		lengths[i] = 5 * (i + 1)
	}
	lengths[99] = 3000
	for name, c := range map[string]struct {
		f         stage.Facts
		set, more int
		lengths   []int
		length    int
		chosen    any
	}{
		"long context":            {facts(true, 576, 2, 2048, 8192), 0, 0, lengths, 512, 512},
		"with room for an answer": {facts(true, 576, 2, 2048, 8192), 0, 64, lengths, 640, 640},
		"set":                     {facts(true, 576, 2, 2048, 8192), 300, 0, lengths, 300, nil},
		"a short one is filled":   {facts(true, 576, 2, 2048, 256), 0, 0, lengths, 256, nil},
		"texts longer than it":    {facts(true, 576, 2, 2048, 1024), 0, 600, lengths, 1024, nil},
		"texts that nobody knows": {facts(true, 576, 2, 2048, 8192), 0, 0, nil, 8192, nil},
	} {
		d := derivation(t, c.f, train.LoRAConfig{}, 0)
		if got := d.Rows("context", c.set, c.lengths, c.more, "texts"); got != c.length || value(d, "context") != c.chosen {
			t.Errorf("%s: %d, chosen %v; want %d, %v", name, got, value(d, "context"), c.length, c.chosen)
		}
	}
}

func TestStepsOfAPublishedModelAreSmallWhereThereAreFewRows(t *testing.T) {
	published, here := facts(true, 576, 30, 49152, 8192), facts(false, 192, 4, 2048, 256)
	for _, c := range []struct {
		f    stage.Facts
		all  float64
		want int
	}{{published, 1000, 8}, {published, 300, 4}, {published, 130, 2}, {published, 10, 1}, {here, 10, 8}} {
		d := derivation(t, c.f, train.LoRAConfig{}, 0)
		if got := d.Batch("batch_rows", 8, c.all, "rows"); got != c.want {
			t.Errorf("%g rows, published %v: %d a step, want %d", c.all, c.f.Published, got, c.want)
		}
	}
}

func TestMicroBatchesFollowSizeAndMemory(t *testing.T) {
	large, small := facts(true, 576, 30, 49152, 8192), facts(false, 192, 4, 2048, 256)
	// A row takes a gibibyte, and a quarter where it is computed again.
	memory := func(rows int, again bool) int64 {
		if again {
			return int64(rows) << 28
		}
		return int64(rows) << 30
	}
	for name, c := range map[string]struct {
		f             stage.Facts
		batch, length int
		memory        int64
		rows, again   any
	}{
		"large, rows of 512": {large, 8, 512, 0, 2, nil},
		"large, rows of 256": {large, 8, 256, 0, 4, nil},
		"small":              {small, 8, 256, 64 << 30, nil, nil},
		"small, 4 GiB":       {small, 8, 256, 4 << 30, 2, nil},
		"small, half a GiB":  {small, 8, 256, 1 << 29, 1, true},
		"small, a step of 3": {small, 3, 256, 0, 3, nil},
	} {
		d := derivation(t, c.f, train.LoRAConfig{}, c.memory)
		d.MicroRows("micro_rows", 8, c.batch, c.length, memory)
		if value(d, "micro_rows") != c.rows || value(d, "recompute") != c.again {
			t.Errorf("%s: %v rows, again %v; want %v, %v", name, value(d, "micro_rows"), value(d, "recompute"), c.rows, c.again)
		}
	}
}

func TestFewDataOfAPublishedModelAreSeenTwice(t *testing.T) {
	for _, c := range []struct {
		published bool
		rows      int64
		want      float64
	}{{true, 300, 2}, {true, 20000, 1}, {true, 0, 1.5}, {false, 300, 1.5}} {
		d := derivation(t, facts(c.published, 576, 2, 2048, 512), train.LoRAConfig{}, 0)
		if got := d.Epochs("epochs", 1.5, c.rows, "rows"); got != c.want {
			t.Errorf("%d rows, published %v: %g epochs, want %g", c.rows, c.published, got, c.want)
		}
	}
}

func TestASampleIsEvenAndLeavesOutWhatCannotBeEncoded(t *testing.T) {
	seen := 0
	lengths := train.Sample(2500, func(i int) (int, error) {
		seen++
		if i == 0 {
			return 0, errors.New("bad")
		}
		return 2500 - i, nil
	})
	if seen < 800 || seen > 1000 || len(lengths) != seen-1 || !slices.IsSorted(lengths) || lengths[0] > 10 || lengths[len(lengths)-1] < 2490 {
		t.Errorf("%d of 2500 were looked at, lengths %d to %d", seen, lengths[0], lengths[len(lengths)-1])
	}
}

func TestMeasuringTakesNoMoreThanItsShare(t *testing.T) {
	for _, c := range []struct {
		published     bool
		steps         int
		learned, held float64
		want          any
	}{
		{true, 100, 600, 60, 25}, // four times
		{true, 99, 198, 100, 99}, // once, at the end
		{true, 100, 300, 60, 50}, // twice
		{true, 100, 600, 0, 25},  // nothing is held out: nothing is measured
		{false, 100, 600, 60, nil},
	} {
		d := derivation(t, facts(c.published, 576, 2, 2048, 512), train.LoRAConfig{}, 0)
		d.MeasureEvery("eval_every", c.steps, c.learned, c.held)
		if got := value(d, "eval_every"); got != c.want {
			t.Errorf("%g learned and %g held out: every %v steps, want %v", c.learned, c.held, got, c.want)
		}
	}
}

func TestWhatWasMeasuredOfTheTextsIsToldToTheEstimate(t *testing.T) {
	d := derivation(t, facts(true, 576, 2, 2048, 512), train.LoRAConfig{}, 0)
	d.In["dialogues"] = stage.Facts{Rows: 3, RowTokens: 7}
	if d.Tell("dialogues", nil, 512); d.In["dialogues"].RowTokens != 7 {
		t.Error("no lengths changed what is known")
	}
	if d.Tell("dialogues", []int{100, 200, 900}, 300); d.In["dialogues"].RowTokens != 200 || d.In["dialogues"].Rows != 3 {
		t.Errorf("facts %+v, want 200 tokens a row", d.In["dialogues"])
	}
}
