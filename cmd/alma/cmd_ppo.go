package main

import (
	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/stage"
	"github.com/seed-b72bdb6c/alma/train/ppo"
)

func newPPOCommand(c *call) *cobra.Command {
	var in ppo.Inputs
	var out, rewardModel, command string
	cmd := &cobra.Command{
		Use:     "ppo [RECIPE] --policy DIR --reward DIR --prompts FILE --out DIR",
		GroupID: groupMake,
		Short:   "Train a model to write what a reward prefers",
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

The configuration is that of the "ppo" section of a recipe, or the defaults, with
--set for single keys:

` + describe(ppo.Defaults()) + `
The folder receives the policy, metrics.jsonl, TensorBoard events and checkpoints;
given again, an interrupted command goes on from the last checkpoint with the same
bits.`,
		Example: examples(
			"alma ppo --policy model --reward reward --prompts prompts.jsonl --text base/shards/train --out aligned",
			"alma ppo --policy model --reward-command 'python3 score.py' --prompts prompts.jsonl \\",
			"    --out aligned --set pretrain_coefficient=0 --set beta=0.05"),
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "policy", "prompts", "out"); err != nil {
				return err
			}
			s, err := c.configure(cmd, "ppo", args)
			if err != nil {
				return err
			}
			config := s.PPO
			if command != "" {
				config.RewardCommand = command
			}
			if (rewardModel == "") == (config.RewardCommand == "") {
				return artifact.Errorf(artifact.ErrUsage, "choosing the reward: give either --reward DIR or --reward-command PROGRAM (see %s --help)", cmd.CommandPath())
			}
			if in.Critic == "" {
				if in.Critic = rewardModel; rewardModel == "" {
					in.Critic = in.Policy
				}
			}
			f := stageFolder{out, "ppo", config, map[string]string{"policy": in.Policy, "critic": in.Critic, "prompts": in.Prompts}}
			in.RewardModel = rewardModel
			f.reads("reward", rewardModel)
			if config.PretrainCoef > 0 {
				f.reads("text", in.Text)
			}
			return c.trainStage(f, func(env stage.Environment) (*artifact.Manifest, error) {
				return ppo.Run(cmd.Context(), env, config, in, out)
			})
		},
	}
	cmd.Flags().StringVar(&in.Policy, "policy", "", "`DIR` of the fine-tuned model to start from, which is also the frozen reference")
	cmd.Flags().StringVar(&rewardModel, "reward", "", "`DIR` of a reward model")
	cmd.Flags().StringVar(&command, "reward-command", "", "`PROGRAM` that scores answers, in place of a reward model; as --set reward_command=PROGRAM")
	cmd.Flags().StringVar(&in.Critic, "critic", "", "`DIR` of the model that the critic begins as")
	cmd.Flags().StringVar(&in.Prompts, "prompts", "", "JSONL `FILE` of prompts to answer")
	cmd.Flags().StringVar(&in.Text, "text", "", "token shards (`DIR`) or a file of text for the pretraining mix")
	cmd.Flags().StringVar(&out, "out", "", "`DIR` for the model")
	c.stageFlags(cmd)
	return cmd
}
