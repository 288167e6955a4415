package artifact

// PruneCheckpoints removes old checkpoints as writing one does.
func PruneCheckpoints(dir string, keep int) ([]string, error) {
	return disk.pruneCheckpoints(dir, keep, "")
}
