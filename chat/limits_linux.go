package chat

import "syscall"

// memoryLimits bound the memory that can be written to. (The address space is no
// measure: Go's runtime reserves more of it than it uses.)
var memoryLimits = []resource{{"memory", syscall.RLIMIT_DATA, MaxMemory}}
