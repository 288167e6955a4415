package godoc

import (
	"math"
	"time"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/corpus"
	"github.com/seed-b72bdb6c/alma/train"
	"github.com/seed-b72bdb6c/alma/train/ppo"
	"github.com/seed-b72bdb6c/alma/train/pretrain"
	"github.com/seed-b72bdb6c/alma/train/reward"
	"github.com/seed-b72bdb6c/alma/train/sft"
)

// Config is the recipe.
type Config struct {
	Recipe string        `yaml:"recipe" json:"recipe" doc:"which recipe the file configures" enum:"godoc"`
	Name   string        `yaml:"name" json:"name" doc:"name of the run, its folder under runs/"`
	Budget time.Duration `yaml:"budget" json:"budget" doc:"time that the run may take on two cores: layers, width, tokens and steps are derived from it" min:"0"`
	Seed   uint64        `yaml:"seed" json:"seed" doc:"of everything random; a stage's own seed is added to it"`

	Precision string `yaml:"precision" json:"precision" doc:"of matrix products and attention: fp32, or bf16 beside weights of 32 bits" enum:"fp32,bf16"`

	Corpus    CorpusConfig    `yaml:"corpus" json:"corpus"`
	Tokenizer TokenizerConfig `yaml:"tokenizer" json:"tokenizer"`
	Pretrain  pretrain.Config `yaml:"pretrain" json:"pretrain"`
	Dialogues DialoguesConfig `yaml:"dialogues" json:"dialogues"`
	SFT       sft.Config      `yaml:"sft" json:"sft"`
	Rankings  RankingsConfig  `yaml:"rankings" json:"rankings"`
	Reward    reward.Config   `yaml:"reward" json:"reward"`
	PPO       ppo.Config      `yaml:"ppo" json:"ppo"`
	Evaluate  EvaluateConfig  `yaml:"evaluate" json:"evaluate"`
}

// CorpusConfig configures the corpus.
type CorpusConfig struct {
	GOROOT     string  `yaml:"goroot" json:"goroot" doc:"Go installation to read; empty: the one that go env GOROOT names"`
	MaxBytes   int64   `yaml:"max_bytes" json:"max_bytes" doc:"keep the files richest in comments up to so many bytes; 0: all" min:"0"`
	Validation float64 `yaml:"validation" json:"validation" doc:"share of the packages that settings are chosen on" min:"0" max:"0.5"`
	Test       float64 `yaml:"test" json:"test" doc:"share of the packages that only the evaluation reads" min:"0" max:"0.5"`
}

func (c CorpusConfig) shares() corpus.Shares {
	return corpus.Shares{Validation: c.Validation, Test: c.Test}
}

// TokenizerConfig configures the tokenizer.
type TokenizerConfig struct {
	Vocabulary int `yaml:"vocabulary" json:"vocabulary" doc:"number of tokens" min:"261"`
}

// DialoguesConfig configures the dialogues.
type DialoguesConfig struct {
	MaxAnswer int    `yaml:"max_answer" json:"max_answer" doc:"longest answer in tokens; a comment is cut after its last whole sentence that fits" min:"1"`
	MaxPrompt int    `yaml:"max_prompt" json:"max_prompt" doc:"longest prompt in tokens; longer ones are left out and counted" min:"1"`
	Train     string `yaml:"train" json:"train,omitempty" doc:"JSONL of your own dialogues in place of the functions'"`
}

// RankingsConfig configures the rankings.
type RankingsConfig struct {
	Prompts     int     `yaml:"prompts" json:"prompts" doc:"prompts that are ranked" min:"1"`
	Validation  int     `yaml:"validation" json:"validation" doc:"prompts that the reward model is measured on" min:"1"`
	K           int     `yaml:"k" json:"k" doc:"answers to each prompt" min:"2"`
	Temperature float64 `yaml:"temperature" json:"temperature" doc:"at which the answers are sampled" above:"0"`
	Agreement   float64 `yaml:"agreement" json:"agreement" doc:"share of pairs on which the simulated annotator agrees with its rule" above:"0.5" max:"0.999"`
	Slots       int     `yaml:"slots" json:"slots" doc:"answers sampled at one time" min:"1"`
	Seed        uint64  `yaml:"seed" json:"seed" doc:"of the sampling and the annotator's noise"`
	File        string  `yaml:"file" json:"file,omitempty" doc:"JSONL of people's rankings in place of the simulated annotator's"`
}

// EvaluateConfig configures the evaluation.
type EvaluateConfig struct {
	Prompts int    `yaml:"prompts" json:"prompts" doc:"held-out functions; 0: all" min:"0"`
	BestOf  int    `yaml:"best_of" json:"best_of" doc:"samples of which the reward model picks one, beside PPO" min:"1"`
	Samples int    `yaml:"samples" json:"samples" doc:"pairs shown in the report" min:"0"`
	Split   string `yaml:"split" json:"split" doc:"which held-out packages: test, or validation while settings are chosen" enum:"test,validation"`
	Slots   int    `yaml:"slots" json:"slots" doc:"answers sampled at one time" min:"1"`
	Seed    uint64 `yaml:"seed" json:"seed" doc:"of the sampling"`
}

// Defaults is the recipe for a quarter of an hour on two cores.
func Defaults() Config {
	c := Config{
		Recipe: "godoc", Name: "godoc", Budget: baseBudget, Seed: 1, Precision: "fp32",
		Corpus:    CorpusConfig{MaxBytes: 16 << 20, Validation: .03, Test: .05},
		Tokenizer: TokenizerConfig{Vocabulary: 2048},
		Pretrain:  pretrain.Defaults(),
		Dialogues: DialoguesConfig{MaxAnswer: 60, MaxPrompt: 120},
		SFT:       sft.Defaults(),
		Rankings:  RankingsConfig{Prompts: 2500, Validation: 270, K: 4, Temperature: 1, Agreement: .835, Slots: 64},
		Reward:    reward.Defaults(),
		PPO:       ppo.Defaults(),
		Evaluate:  EvaluateConfig{BestOf: 8, Samples: 24, Split: "test", Slots: 64},
	}
	c.Reward.Demonstrations = 500
	return c
}

// InPrecision records the recipe's precision with the stages that train.
func (c Config) InPrecision() Config {
	if c.Precision != "fp32" {
		for _, stage := range []*train.OptimizerConfig{&c.Pretrain.OptimizerConfig, &c.SFT.OptimizerConfig, &c.Reward.OptimizerConfig, &c.PPO.OptimizerConfig} {
			stage.Precision = c.Precision
		}
	}
	return c
}

// Validate checks what no single value can say.
func (c *Config) Validate() error {
	if c.Pretrain.Objective != pretrain.Causal {
		return artifact.Errorf(artifact.ErrUsage, "pretrain.objective is %s, and the stages after pretraining write text, which an encoder does not; run alma pretrain with this recipe, then alma embed or alma classify", c.Pretrain.Objective)
	}
	if c.Dialogues.MaxPrompt+c.Dialogues.MaxAnswer > c.Pretrain.Context {
		return artifact.Errorf(artifact.ErrUsage, "dialogues.max_prompt %d and dialogues.max_answer %d do not fit into pretrain.context %d", c.Dialogues.MaxPrompt, c.Dialogues.MaxAnswer, c.Pretrain.Context)
	}
	for _, s := range []struct {
		section string
		context int
	}{{"sft", c.SFT.Context}, {"reward", c.Reward.Context}, {"ppo", c.PPO.Context}} {
		if s.context > c.Pretrain.Context {
			return artifact.Errorf(artifact.ErrUsage, "%s.context %d is longer than the model's, which is pretrain.context %d", s.section, s.context, c.Pretrain.Context)
		}
	}
	length := c.PPO.Context
	if length == 0 {
		length = c.Pretrain.Context
	}
	if c.PPO.MaxTokens >= length {
		return artifact.Errorf(artifact.ErrUsage, "ppo.max_tokens %d leaves no room for a prompt in a context of %d", c.PPO.MaxTokens, length)
	}
	return c.Corpus.shares().Check()
}

// baseBudget is the time for which the defaults were chosen.
const baseBudget = 15 * time.Minute

// Derive turns a budget into the values that depend on it. Compute grows with
// the budget, and with it both the weights and the tokens (Hoffmann et al.
// 2022): width with its power .2, depth with .15, and the tokens of pretraining
// with what is left. The data of the later stages does not grow as fast, since
// there are only so many documented functions: pretraining takes the time that
// they leave. Learning rates fall as the width grows (Yang et al. 2022, for
// Adam). From an hour on, the whole of the Go tree is read.
func Derive(budget time.Duration, _ map[string]any) map[string]any {
	d := Defaults()
	scale := float64(budget) / float64(baseBudget)
	grow := func(n int, by float64, step int) int {
		return max(step, int(math.Round(float64(n)*by/float64(step)))*step)
	}
	headDim := d.Pretrain.Width / d.Pretrain.Heads
	width := grow(d.Pretrain.Width, math.Pow(scale, .2), 2*headDim)
	layers := grow(d.Pretrain.Layers, math.Pow(scale, .15), 1)
	by := float64(width) / float64(d.Pretrain.Width)
	// What is left of the growth goes to the tokens.
	tokens := scale / (by * by * float64(layers) / float64(d.Pretrain.Layers))
	steps := grow(d.Pretrain.Steps, tokens*math.Pow(scale, .25), 1)
	vocabulary, maxBytes := d.Tokenizer.Vocabulary, d.Corpus.MaxBytes
	if scale >= 4 {
		vocabulary *= 2
		maxBytes = 0
	}
	return map[string]any{
		"corpus.max_bytes":     maxBytes,
		"pretrain.layers":      layers,
		"pretrain.width":       width,
		"pretrain.heads":       width / headDim,
		"pretrain.steps":       steps,
		"pretrain.lr":          rounded(d.Pretrain.LR / by),
		"tokenizer.vocabulary": vocabulary,
		"sft.lr":               rounded(d.SFT.LR / by),
		"reward.lr":            rounded(d.Reward.LR / by),
		"ppo.lr":               rounded(d.PPO.LR / by),
		"ppo.critic_lr":        rounded(d.PPO.CriticLR / by),
		"rankings.prompts":     min(8000, grow(d.Rankings.Prompts, math.Sqrt(tokens), 1)),
		"ppo.iterations":       grow(d.PPO.Iterations, math.Pow(tokens, .25), 1),
	}
}

// rounded keeps three digits, so that a rate can be read and copied.
func rounded(rate float64) float64 {
	digits := math.Pow(10, 2-math.Floor(math.Log10(rate)))
	return math.Round(rate*digits) / digits
}
