//go:build !linux && !darwin

package diagnose

// diskFree returns 0: not known on this system.
func diskFree(string) int64 { return 0 }
