// Package ppo fine-tunes a language model by proximal policy optimization
// against a reward (Schulman et al. 2017; Stiennon et al. 2020; Ouyang et al.
// 2022, eq. 2):
//
//	E[ r(x,y) − β·log(π(y|x)/π_SFT(y|x)) ] + γ·E[ log π(pretraining text) ]
//
// Terms:
//
//   - policy: the model that is trained; it starts as the SFT model.
//   - reference: the SFT model, frozen.
//   - critic: a model with a scalar head that predicts, at each position, what
//     reward is still to come; it starts as the reward model.
//   - rollout: the responses that the policy samples to a batch of prompts,
//     with what the update needs of them.
//   - iteration: one rollout and the optimizer steps on it.
//
// The files read in the order of the algorithm: setup.go makes a run ready, ppo.go
// takes it through its iterations, rollout.go samples, measures (by train/rollout)
// and rewards, advantage.go estimates advantages, objective.go holds the losses as
// Programs. The comments number the details that the tests are named after ("The N+
// implementation details of RLHF with PPO", Huang et al. 2024, in the numbering of
// docs/algorithms.md).
package ppo
