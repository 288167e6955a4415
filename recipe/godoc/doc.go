// Package godoc is the recipe that takes a model through its whole life on
// what every Go installation carries: it learns to write Go doc comments from
// GOROOT/src.
//
// The stages, each in a folder of the run:
//
//	corpus      Go files, deduplicated, packages held out by a hash
//	tokenizer   byte-level BPE trained on the corpus
//	pretrain    a language model of Go text
//	dialogues   "Write the doc comment for:" + declaration → comment
//	sft         the assistant that writes them
//	rankings    K sampled comments a prompt, ranked by a simulated annotator
//	reward      a model of those rankings
//	ppo         the assistant, trained against the reward model
//	evaluate    SFT beside PPO on held-out packages
//
// and report.html and report.md, which tell what happened. Config holds the
// configuration of all stages; config.go derives it from the budget; plan.go
// estimates what it takes; run.go runs what changed; report.go and its
// neighbours hold the run against thresholds; the other files each hold what
// this recipe adds to a stage.
package godoc
