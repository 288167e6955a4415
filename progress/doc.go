// Package progress is what people see while work goes on: one progress line,
// lines that stay, and one way to write a count, a size, a duration, a rate.
//
//	line 1,240/20,000 6.2% | loss 3.214 | eta 3m12s
package progress
