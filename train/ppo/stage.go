package ppo

import (
	"context"
	"fmt"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/progress"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/tokenizer"
	"github.com/seed-b72bdb6c/alma/train"
	"github.com/seed-b72bdb6c/alma/train/preference"
)

// Stage is PPO as a stage.
var Stage = define(nil)

// define declares the stage with a reward of the caller's; nil: that of the
// configuration and the inputs.
func define(reward Reward) *stage.Stage {
	return stage.Define(stage.Definition[Config]{
		Kind: "ppo", Title: "PPO",
		Does:     "Trains a fine-tuned model against a reward minus β times the KL divergence from where it began, with a critic and a share of pretraining loss in every step.",
		Defaults: Defaults,
		Inputs: []stage.Input{
			{Name: "policy", Kinds: stage.Of(stage.Model), Required: true, Doc: "the fine-tuned model to start from, which is also the frozen reference"},
			{Name: "reward", Kinds: stage.Of(stage.RewardModel), Doc: "the reward model; without it reward_command scores"},
			{Name: "critic", Kinds: stage.Of(stage.RewardModel, stage.Model), Doc: "the model that the critic begins as; by default the reward model, or the policy"},
			{Name: "prompts", Kinds: stage.Of(stage.Prompts, stage.Dialogues), Required: true, Doc: "prompts to answer, or dialogues whose last turns are left out"},
			{Name: "text", Kinds: stage.Of(stage.Shards, stage.PlainText), Doc: "token shards or a file of text for the pretraining mix"},
		},
		Outputs:  []stage.Output{{Kind: stage.Model, Doc: "the policy"}},
		Complete: complete,
		Check: func(_ context.Context, c Config, in stage.Inputs, tell stage.Tell) error {
			if err := checkReward(c, in); err != nil {
				return err
			}
			if c.PretrainCoef > 0 && in.Path("text") == "" {
				return errNoText(c)
			}
			if folder := in.Path("reward"); folder != "" {
				if _, err := judged(folder, c.Force); err != nil {
					return err
				}
			}
			return stage.CheckFiles(in, tell, func(path string) (fmt.Stringer, error) { return dataset.Told(dataset.ReadAsked(path, c.Reading)) }, "prompts")
		},
		Run: func(ctx context.Context, w *stage.Work, c Config) error {
			in := Inputs{
				Policy: w.In.Path("policy"), Critic: w.In.Path("critic"), Prompts: w.In.Path("prompts"), Text: w.In.Path("text"),
				RewardModel: w.In.Path("reward"), Reward: reward,
			}
			if reward == nil {
				if err := checkReward(c, w.In); err != nil {
					return err
				}
			}
			return runStage(ctx, w, c, in)
		},
		Derive:   derive,
		Estimate: estimate,
		Charts: []stage.Chart{
			{Title: "Score of the reward model", Unit: "score", Curves: [][2]string{{"objective/scores", "score"}, {"objective/rlhf_reward", "score − β·KL"}}},
			{Title: "KL from SFT", Unit: "nats a response", Curves: [][2]string{{"objective/kl", "KL"}}},
			{Title: "Entropy", Unit: "nats", Curves: [][2]string{{"policy/entropy_avg", "a token"}}},
			{Title: "Length", Unit: "tokens", Curves: [][2]string{{"response_length/mean", "response"}}},
			{Title: "Not ended", Unit: "share of responses", Curves: [][2]string{{"response_length/clip_ratio", "cut off"}}},
			{Title: "Policy loss", Unit: "loss", Curves: [][2]string{{"loss/policy_avg", "policy"}}},
			{Title: "Value loss", Unit: "loss", Curves: [][2]string{{"loss/value_avg", "value"}}},
			{Title: "Loss on pretraining text", Unit: "nats a token", Curves: [][2]string{{"loss/pretrain_avg", "pretraining"}}},
			{Title: "Clipped", Unit: "share of tokens", Curves: [][2]string{{"policy/clipfrac_avg", "policy"}, {"val/clipfrac_avg", "value"}}},
			{Title: "KL of an update", Unit: "nats a token", Curves: [][2]string{{"policy/approxkl_avg", "approximate KL"}}},
			{Title: "Explained variance of the returns", Unit: "share", Curves: [][2]string{{"vf_explained_var", "critic"}}},
			{Title: "Norm of the gradient", Unit: "norm before clipping", LogY: true, Curves: [][2]string{{"grad_norm", "policy"}, {"critic_grad_norm", "critic"}}},
			train.RateChart,
		},
		Describe: func(_ stage.Done, c Config) (stage.Description, error) {
			return stage.Description{Notes: []string{fmt.Sprintf("%s iterations of %s responses, β %g, γ %g on pretraining text.",
				progress.Count(int64(c.Iterations)), progress.Count(int64(c.Prompts)), c.Beta, c.PretrainCoef)}}, nil
		},
		Verb: &stage.Verb{
			Name:  "ppo",
			Short: "Train a model to write what a reward prefers",
			Long: `Train a fine-tuned model by PPO: it answers prompts, a reward scores its answers,
and it is moved towards those that score above what a critic expected, while
β times the KL divergence from where it began is held against it. Prompts are JSON
Lines:

  {"prompt":"Name a colour."}
  {"messages":[{"role":"user","content":"Name a colour."}],"prefill":"It is"}

The reward is a reward model's (alma reward), or that of a program: it is started
for each rollout, reads a line for each answer on standard input

  {"prompt":"…","prefill":"…","completion":"…","ended":true}

and writes a number for each, a line each. No shell reads the command, which is
split at spaces outside of quotes. The critic begins as the reward model, or as the
policy if a program gives the reward, unless --critic names another model.

So that the policy does not unlearn what it read, a share of each step's loss is
pretraining's: --text gives the text, as token shards (shards/train in the folder
that alma pretrain wrote) or a file. Without text, give --set pretrain_coefficient=0.

A reward model whose accuracy on held-out rankings is not shown to be better than
chance is refused, unless you give --force.`,
			After: `The folder receives the policy, metrics.jsonl, TensorBoard events and checkpoints;
given again, an interrupted command goes on from the last checkpoint with the same
bits.`,
			Examples: []string{
				"alma ppo --policy model --reward reward --prompts prompts.jsonl --text base/shards/train --out aligned",
				"alma ppo --policy model --reward-command 'python3 score.py' --prompts prompts.jsonl \\",
				"    --out aligned --set pretrain_coefficient=0 --set beta=0.05",
			},
			Flags: map[string]string{"reward-command": "reward_command", "force": "force"},
		},
	})
}

// checkReward refuses what gives no reward, or two.
func checkReward(c Config, in stage.Inputs) error {
	if (in.Path("reward") == "") == (c.RewardCommand == "") {
		return artifact.Errorf(artifact.ErrUsage, "choosing the reward: give either a reward model (--reward DIR, or reward: in a recipe) or a program (reward_command)")
	}
	return nil
}

func errNoText(c Config) error {
	return artifact.Errorf(artifact.ErrUsage, "configuring ppo: pretrain_coefficient is %g and there is no pretraining text; give token shards or set it to 0", c.PretrainCoef)
}

func (in Inputs) paths() stage.Inputs {
	paths := stage.Inputs{"policy": {in.Policy}, "prompts": {in.Prompts}}
	for name, path := range map[string]string{"critic": in.Critic, "reward": in.RewardModel, "text": in.Text} {
		if path != "" {
			paths[name] = []string{path}
		}
	}
	return paths
}

// complete chooses what the critic begins as.
func complete(_ Config, in stage.Inputs) (stage.Inputs, error) {
	if in.Path("critic") == "" {
		if in["critic"] = in["reward"]; in.Path("critic") == "" {
			in["critic"] = in["policy"]
		}
	}
	return in, nil
}

// reward is what scores the responses, and the model that does, if it is one.
func (in Inputs) reward(env stage.Environment, c Config, tok *tokenizer.Tokenizer) (Reward, *model.Model, error) {
	switch {
	case in.Reward != nil:
		return in.Reward, nil, nil
	case c.RewardCommand != "":
		reward, err := CommandReward(c.RewardCommand, tok)
		return reward, nil, err
	}
	m, _, err := train.LoadModel(env.Engine, in.RewardModel)
	if err != nil {
		return nil, nil, err
	}
	scorer, err := preference.NewScorer(m, preference.ScoreRows, m.Context)
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, texts []Text) ([]float32, error) {
		ids := make([][]int32, len(texts))
		for i, t := range texts {
			ids[i] = t.Tokens
		}
		return scorer.Scores(ctx, ids)
	}, m, nil
}
