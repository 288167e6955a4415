// Package godoc is an example of a domain that is brought along: what it takes to
// teach a model to write Go doc comments from the corpus that every Go
// installation carries, as stages of recipes/godoc.yaml. The rest of that recipe
// is the same stages as any other's.
//
// Its stages:
//
//	godoc-corpus     Go files, deduplicated, packages held out by a hash
//	godoc-dialogues  "Write the doc comment for:" + declaration → comment
//	godoc-rankings   K sampled comments a prompt, ranked by a simulated annotator
//	godoc-evaluate   SFT beside PPO on held-out packages
//
// Terms:
//
//   - A Source is the tree as documents of a corpus: one per Go file, richest
//     in comments first, without tests, testdata, vendored and generated code
//     and without licence headers.
//   - A Function is a declared function or method: its declaration on one line,
//     and the first paragraph of its documentation comment.
//   - A Function is documented when that comment begins with the function's
//     name, as Go's convention asks ("Go Doc Comments", go.dev/doc/comment).
//     Documented functions become demonstrations: Prompt is what the user
//     asks, Prefill the beginning of the answer that is given, Answer what is
//     left to write. Functions without comment give prompts alone.
//   - The Rule scores a comment by what the convention asks of it. It is no
//     judge of truth: it does not know what the function does.
//   - The Annotator stands in for people who rank answers: the Rule plus noise.
//     Its name, AnnotatorName, goes with every ranking.
//
// The group of a file and of a function is the import path, so a package held
// out of the corpus is held out of every stage.
//
// The package does not check types and does not build the code it reads; types
// are the words of the declaration.
package godoc
