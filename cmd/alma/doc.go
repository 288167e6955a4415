// Alma takes a language model through its whole life: text to corpus, to
// tokenizer, to a pretrained model, to a fine-tuned one, to one that answers.
//
// Each verb is one file, cmd_VERB.go: it turns flags into the typed options of
// the package that does the work and prints what came of it. root.go holds
// what verbs share: the list of verbs, common flags, the engine, the folder
// that a stage writes into, and signals.
//
// Results go to standard output, with --json as JSON; progress, warnings and
// errors go to standard error. The exit codes are those of package artifact:
// 0 done, 1 failed, 3 done with some inputs rejected, 4 usage or
// configuration, 5 a check not met, 10 not found, 11 locked, 12 corrupt,
// 13 no space, 20 diverged, 130 and 143 interrupted with a checkpoint.
package main
