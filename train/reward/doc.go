// Package reward trains a reward model from people's rankings (Stiennon et al.
// 2020; Ouyang et al. 2022, section 3.5): a fine-tuned language model whose
// softmax head is replaced by a linear layer with one output.
//
// Terms:
//
//   - ranking: K completions of one prompt, put in order by an annotator.
//   - text: prompt and completion as tokens, see [preference.Render].
//   - reward r(x, y): the head's output at the last token of a text.
//   - pair: two completions y_w and y_l of one prompt with y_w ranked above
//     y_l. Completions that share a rank are no pair.
//   - lead: r(x, y_w) − r(x, y_l), positive where the model agrees with the
//     annotator, who by the model does so with probability σ(lead) (Bradley and
//     Terry 1952).
//   - demonstration: a dialogue that the language model was fine-tuned on. The
//     mean reward of the demonstrations is the zero of the scale, because
//     differences alone leave it open.
//
// [Run] is the stage, [preference.Scorer] what PPO and the evaluation ask for rewards:
//
//	m, tok, err := train.LoadModel(engine, "runs/a/reward")
//	s, err := preference.NewScorer(m, 8, 256)
//	text, err := preference.Render(template, prompt, " adds two numbers.", true)
//	rewards, err := s.Scores(ctx, [][]int32{text})
//
// It is not the place where rewards meet a policy (train/ppo) nor where a
// reward model is held against a truth that its annotators did not see
// (evaluate): what it measures, it measures on rankings.
package reward
