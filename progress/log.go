package progress

import "fmt"

// Log is where work tells people what it does.
type Log struct {
	Progress *Progress
	// PeakFLOPS is the machine's measured peak in FLOP/s, for the share of it
	// that a step reaches; 0: unknown.
	PeakFLOPS float64
}

// Warn tells of something that went wrong without ending the work.
func (l *Log) Warn(err error) { l.Progress.Print("warning: " + err.Error()) }

// Printf tells a line that stays.
func (l *Log) Printf(format string, args ...any) { l.Progress.Print(fmt.Sprintf(format, args...)) }
