package generate

import (
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/stage"
)

// assumedFill is the share of the slots that are in use.
const assumedFill = .8

// Estimate is what a model that facts know will take for n answers of so many
// tokens to prompts of so many, in so many slots.
func Estimate(f stage.Facts, slots int, prompt, answer, n float64) (stage.Estimate, error) {
	m, engine, err := file.Sketch(f.Model, model.LanguageModel)
	if err != nil {
		return stage.Estimate{}, err
	}
	g, err := New(m, slots, min(m.Context, max(2, int(2*(prompt+answer)))))
	if err != nil {
		return stage.Estimate{}, err
	}
	decode := engine.FLOPs[0] / float64(slots) / assumedFill // the first Program has a row for each slot
	const rows, chunk = 8, 32
	if _, err := g.compile("prefill", rows, chunk, false); err != nil {
		return stage.Estimate{}, err
	}
	prefill := engine.Last() / (rows * chunk)
	// Prompts are read in chunks, the last one of each padded.
	read := float64((int(prompt)+chunk-1)/chunk) * chunk
	return stage.Estimate{
		Parameters: m.ParameterCount(), Tokens: int64(n * (prompt + answer)), Sampled: n * (read*prefill + answer*decode), Memory: engine.Memory(),
	}, nil
}
