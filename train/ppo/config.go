package ppo

import (
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/train"
)

// Config configures the stage.
type Config struct {
	Iterations int `yaml:"iterations" json:"iterations" doc:"rollouts" min:"1"`
	Prompts    int `yaml:"batch_prompts" json:"batch_prompts" doc:"prompts of a rollout, each with one response" min:"1"`
	Minibatch  int `yaml:"minibatch" json:"minibatch" doc:"responses of an optimizer step" min:"1"`
	Epochs     int `yaml:"epochs" json:"epochs" doc:"times that the update sees a rollout" min:"1"`
	MicroRows  int `yaml:"micro_rows" json:"micro_rows" doc:"packed rows of a micro-batch" min:"1"`
	Context    int `yaml:"context" json:"context" doc:"tokens of a packed row, the longest prompt with its response; 0: the model's context" min:"0"`
	Slots      int `yaml:"slots" json:"slots" doc:"responses that are sampled at one time" min:"1"`

	MaxTokens   int     `yaml:"max_tokens" json:"max_tokens" doc:"longest response" min:"1"`
	Temperature float64 `yaml:"temperature" json:"temperature" doc:"of the sampling and of all log-probabilities" above:"0"`

	Beta        float64     `yaml:"beta" json:"beta" doc:"weight of the KL penalty" min:"0"`
	TargetKL    float64     `yaml:"target_kl" json:"target_kl" doc:"nats a response that beta is adapted to; 0: beta is constant" min:"0"`
	KLHorizon   float64     `yaml:"kl_horizon" json:"kl_horizon" doc:"episodes over which beta is adapted" above:"0"`
	KLEstimator KLEstimator `yaml:"kl_estimator" json:"kl_estimator" doc:"of the KL at a token" enum:"k1,k2,k3"`

	RewardCommand string `yaml:"reward_command" json:"reward_command,omitempty" doc:"program that scores responses in place of the reward model"`

	Force bool `yaml:"force" json:"force,omitempty" doc:"train even against a reward model that was not shown to be better than chance"`

	MissingEnd        string  `yaml:"missing_end" json:"missing_end" doc:"score of a response that did not end itself: replaced by −penalty, lowered by it, or kept" enum:"replace,subtract,keep"`
	MissingEndPenalty float64 `yaml:"missing_end_penalty" json:"missing_end_penalty" doc:"see missing_end" min:"0"`
	ClipScore         float64 `yaml:"clip_score" json:"clip_score" doc:"scores are clipped to ± this; 0 does not clip" min:"0"`
	WhitenRewards     bool    `yaml:"whiten_rewards" json:"whiten_rewards" doc:"divide the rewards of a rollout by their standard deviation"`

	Gamma     float64 `yaml:"gamma" json:"gamma" doc:"discount of a token" min:"0" max:"1"`
	Lambda    float64 `yaml:"lambda" json:"lambda" doc:"of the advantage estimate" min:"0" max:"1"`
	Clip      float64 `yaml:"clip_ratio" json:"clip_ratio" doc:"range of the probability ratio" above:"0"`
	ClipValue float64 `yaml:"clip_value" json:"clip_value" doc:"range of the value's change" above:"0"`
	ValueCoef float64 `yaml:"value_coefficient" json:"value_coefficient" doc:"weight of the value loss" above:"0"`

	PretrainCoef float64 `yaml:"pretrain_coefficient" json:"pretrain_coefficient" doc:"γ: weight of the loss on pretraining text; 0: none" min:"0"`
	PretrainRows int     `yaml:"pretrain_rows" json:"pretrain_rows" doc:"rows of pretraining text in each optimizer step" min:"1"`

	train.OptimizerConfig `yaml:",inline"`
	train.LoRAConfig      `yaml:",inline"`
	CriticLR              float64 `yaml:"critic_lr" json:"critic_lr" doc:"peak learning rate of the critic" above:"0"`

	Seed uint64 `yaml:"seed" json:"seed" doc:"of the order of the prompts and of sampling"`

	dataset.Reading `yaml:",inline"`
}

// Defaults suit a model of a few million parameters (InstructGPT: β .02,
// batches of 512 in minibatches of 64, γ 27.8, rate 9e-6 for the critic).
func Defaults() Config {
	c := Config{
		Reading:    dataset.DefaultReading(),
		Iterations: 24, Prompts: 128, Minibatch: 32, Epochs: 1, MicroRows: 3, Slots: 64,
		MaxTokens: 64, Temperature: 1, Beta: .1, KLHorizon: 10000, KLEstimator: K1,
		MissingEnd: "replace", MissingEndPenalty: 1, WhitenRewards: true,
		Gamma: 1, Lambda: .95, Clip: .2, ClipValue: .2, ValueCoef: .1,
		PretrainCoef: .1, PretrainRows: 4,
		OptimizerConfig: train.DefaultOptimizer(3e-4), LoRAConfig: train.DefaultLoRA(), CriticLR: 5e-4,
	}
	// Adam's epsilon as in PPO's first implementations (detail 4); the rate
	// anneals to 0 (detail 5).
	c.Epsilon, c.Decay, c.WeightDecay = 1e-5, "linear", 0
	return c
}

// minibatches is the number of optimizer steps of an iteration.
func (c Config) minibatches() int {
	return c.Epochs * ((c.Prompts + c.Minibatch - 1) / c.Minibatch)
}
