// Package diagnose looks at the machine that alma runs on, and tests whether the
// engine computes right there: [Inspect] and [SelfTest].
//
// It repairs nothing and prints nothing.
package diagnose
