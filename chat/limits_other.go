//go:build !unix

package chat

import "time"

var started = time.Now()

// processorTime is, where the system does not tell, the time by the clock.
func processorTime() time.Duration { return time.Since(started) }

// confine does nothing: this system has no limits of its own for a process.
// What jinja has no words for stays out of reach all the same: it knows no files.
func confine() error { return nil }
