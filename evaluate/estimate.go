package evaluate

import (
	"github.com/seed-b72bdb6c/alma/generate"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train"
)

// What is assumed of answers and text before they are there.
const (
	assumedAnswer = .6  // of max_tokens
	bytesPerToken = 3.5 // of text
)

func estimate(c Config, in stage.Known) (stage.Estimate, error) {
	n := float64(in["prompts"].Rows)
	if c.Prompts > 0 {
		n = min(n, float64(c.Prompts))
	}
	models := float64(len(in["models"].Paths))
	answer := assumedAnswer * float64(c.MaxTokens)
	prompt := max(1, in["prompts"].RowTokens-answer)
	e, err := generate.Estimate(in["models"], c.Slots, prompt, answer, models*n*float64(len(c.Temperatures)))
	if err != nil {
		return e, err
	}
	s, err := train.NewSketch(in["models"], model.LanguageModel, train.LoRAConfig{})
	if err != nil {
		return e, err
	}
	window := min(512, s.Context)
	lm, err := train.NewEvaluation(s.Model, 1, window)
	if err != nil {
		return e, err
	}
	text := float64(in["text"].Bytes) / bytesPerToken
	if c.TextTokens > 0 {
		text = min(text, float64(c.TextTokens))
	}
	perToken := float64(lm.ForwardFLOPs()) / float64(window)
	// Overlapping windows read the text about twice; every answer is scored by two
	// models for the KL; pairs are two texts.
	scored := 2*text + 2*n*float64(len(c.Temperatures))*(prompt+answer) + 2*float64(in["rankings"].Rows)*max(in["rankings"].RowTokens, 1)
	e.FLOPs = models * scored * perToken
	e.Memory *= int64(max(1, models))
	return e, nil
}
