// Package stage says what a stage is: one value, declared beside its algorithm,
// from which the verb and its flags, the recipe's runner, the plan, the report
// and the fingerprint are made.
//
// Terms:
//
//   - A [Stage] is a kind of work: pretraining, fine-tuning, an export. It has a
//     typed configuration with defaults, named inputs, and outputs.
//   - An artifact is what a stage leaves: a folder with artifact.json. What a
//     user brings, a file of dialogues or somebody's model, stands for one. A
//     [Kind] says what an artifact is good for, and so what may be an input of
//     what.
//   - A part is a file or folder inside an artifact with a kind of its own: the
//     token shards of pretraining, the validation dialogues of a domain.
//   - A [Job] is a stage that is ready to run: with its configuration, the paths
//     of its inputs and the folder that it fills.
//   - [Work] is a job under way: what the algorithm is given.
//
// Declaring a stage:
//
//	var Stage = stage.Define(stage.Definition[Config]{
//		Kind: "sft", Title: "Supervised fine-tuning", Does: "Fine-tunes a language model on dialogues.",
//		Defaults: Defaults,
//		Inputs: []stage.Input{
//			{Name: "base", Kinds: stage.Of(stage.Model), Required: true, Doc: "the model to start from"},
//			{Name: "dialogues", Kinds: stage.Of(stage.Dialogues), Required: true, Doc: "what to learn"},
//		},
//		Outputs: []stage.Output{{Kind: stage.Model}},
//		Run: run,
//	})
//
// and naming it in recipe/stages.go. There is no registration.
package stage
