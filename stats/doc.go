// Package stats holds the measures that stages, evaluations and reports share:
// estimates with their intervals, comparisons of two models, pairwise
// preference, classification, calibration.
//
// Terms:
//
//   - Estimate: a measured value with its 95 % interval and the number of
//     observations behind it.
//   - pair: two answers to one prompt of which the truth prefers one; its margin
//     is what the judged model's score of the preferred one has beyond the other.
//   - class: one of K names, of which each text has one. Support is how many
//     texts truly have it.
//   - confidence: the probability that a model gives to what it says. It is
//     calibrated where what it says is right as often.
//   - Bins: observations sorted by a value, with the mean confidence and the
//     share that was right in each; over the confidence they are a reliability
//     diagram.
//
// Example:
//
//	c := stats.Classify([]string{"ham", "spam"}, probabilities, truth)
//	fmt.Println(c.Accuracy, c.MacroF1, c.ECE)
//
// Every function is a function of its arguments alone; random resampling takes
// a seed. The package knows no model, reads no file and draws no conclusion.
package stats
