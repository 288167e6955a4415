// Package report builds the page that a run leaves behind: report.html, one
// file that opens offline and loads nothing, and report.md with the same
// content as text.
//
// Terms:
//
//   - A Report is what is known about a run: what it shows, outcomes measured
//     against thresholds, stages with their curves and tables, samples of
//     several models for the same prompts, the configuration, the compute.
//   - An outcome is one measured thing, held to a threshold or only shown.
//   - A stage is one step of the run (pretrain, sft, …) and its artifact.
//   - A curve is a series of points in a chart; long ones are thinned to
//     MaxPoints in a way that keeps their peaks.
//
// The report draws no conclusion of its own but two: how many thresholds are
// met, and where each stage's compute lies against the expectation that
// pretraining takes 10 to 100 times the others.
//
// Everything that models or users wrote is text: the HTML escapes it, the
// Markdown fences it, and the page's content security policy allows exactly
// the scripts and styles that this package embeds, by their hashes.
//
// The package reads no files and knows no stage; who gathers the data says what
// a stage's metrics mean (stage.Chart).
package report
