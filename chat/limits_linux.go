package chat

import "syscall"

// memoryLimits bound the memory that can be written to. (The address space is no
// measure: Go's runtime reserves more of it than it uses.) The bound is twice what
// the child allows itself: where the system refuses memory to Go's runtime, that
// ends in ways which do not always tell the reason.
var memoryLimits = []resource{{"memory", syscall.RLIMIT_DATA, 2 * MaxMemory}}
