package ppo

import (
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train"
)

// derive chooses by the policy and the prompts what nobody set. InstructGPT's value
// function had 9e-6 at 1.3 and 6 billion parameters (Ouyang et al. 2022, appendix C.4);
// an adapter begins at nothing, and takes more.
func derive(c Config, b stage.Basis) ([]stage.Chosen, error) {
	d := train.Derive(b, "policy", model.LanguageModel, c.LoRAConfig)
	if d == nil {
		return nil, nil
	}
	d.Rate("lr", train.Rates{Here: c.LR, Whole: 1e-5, Adapter: 5e-4})
	d.Rate("critic_lr", train.Rates{Here: c.CriticLR, Whole: 2e-5, Adapter: 2e-4})
	lengths := c.lengths(d)
	length := d.Rows("context", c.Context, lengths, c.MaxTokens, "prompts with an answer")
	for i := range lengths { // what is told is a prompt with its answer
		lengths[i] += int(assumedAnswer * float64(c.MaxTokens))
	}
	d.Tell("prompts", lengths, length)
	d.FewRows("micro_rows", c.MicroRows, length)
	return d.Chosen, nil
}

// lengths are those of some prompts in tokens, none where they are not there yet.
func (c Config) lengths(d *train.Derivation) []int {
	template, path := d.Template("policy"), d.Path("prompts")
	if template == nil || path == "" {
		return nil
	}
	prompts, err := dataset.ReadPrompts(path, c.Reading)
	if err != nil { // the stage says what is wrong with them
		return nil
	}
	return train.Sample(len(prompts.Rows), func(i int) (int, error) {
		ids, err := prompts.Rows[i].Render(template)
		return len(ids), err
	})
}
