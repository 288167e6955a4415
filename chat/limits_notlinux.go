//go:build unix && !linux

package chat

// memoryLimits is empty: there is no limit here that these systems keep for what
// a Go program allocates. watchMemory bounds it.
var memoryLimits []resource
