//go:build unix

package chat

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// confine gives up what a rendering does not need. From here on the process
// cannot open or create a file, nor a socket.
func confine() error {
	if err := os.Chdir("/"); err != nil {
		return err
	}
	for _, l := range append([]resource{
		{"open files", syscall.RLIMIT_NOFILE, 0},
		{"file size", syscall.RLIMIT_FSIZE, 0},
		{"core size", syscall.RLIMIT_CORE, 0},
	}, memoryLimits...) {
		var both syscall.Rlimit
		assign(&both.Cur, l.most)
		assign(&both.Max, l.most)
		if err := syscall.Setrlimit(l.number, &both); err != nil {
			return fmt.Errorf("setting the limit of %s: %w", l.name, err)
		}
	}
	return nil
}

// processorTime is the time that the processors have spent on this process.
func processorTime() time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		panic(err) // only a wrong argument fails
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// assign sets a number the type of which depends on the system.
func assign[T int64 | uint64](to *T, value uint64) { *to = T(value) }

// resource is a limit that the system keeps.
type resource struct {
	name   string
	number int
	most   uint64
}
