package cpu

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Memory tells the machine's memory in bytes and how much of it is free for
// programs that start now, each 0 where the system does not tell it through /proc.
func Memory() (all, available int64) {
	return procBytes("/proc/meminfo", "MemTotal:"), procBytes("/proc/meminfo", "MemAvailable:")
}

// MemoryBound is the memory that this process may use in bytes: the machine's, or
// what its control group has; 0 where the system does not tell.
func MemoryBound() int64 {
	memory, _ := Memory()
	if data, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		// The file says "max" where there is no bound.
		if bound, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64); err == nil && (memory == 0 || bound < memory) {
			memory = bound
		}
	}
	return memory
}

// PeakMemory is the largest resident memory of this process so far in bytes, 0
// where the system does not tell it through /proc.
func PeakMemory() int64 { return procBytes("/proc/self/status", "VmHWM:") }

// procBytes reads a size of a file of /proc, such as "VmHWM:  1234 kB", in
// bytes; 0 where it cannot.
func procBytes(file, key string) int64 {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		var n int64
		rest, ok := strings.CutPrefix(line, key)
		if !ok {
			continue
		}
		if _, err := fmt.Sscanf(rest, "%d kB", &n); err != nil {
			return 0
		}
		return n << 10
	}
	return 0
}
