// Package godoc reads the corpus that every Go installation carries: the
// source tree below GOROOT/src, its documentation comments, and what it takes
// to teach a model to write them.
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
// Example:
//
//	fns, err := godoc.Functions(ctx, godoc.Options{})
//	train := fns.In(corpus.Train, corpus.DefaultShares)
//	rule := godoc.NewRule(godoc.Comments(train.Documented))
//	score := rule.Score(fn, "// Len returns the number of elements in the list.", true)
//
// The package does not check types and does not build the code it reads; types
// are the words of the declaration.
package godoc
