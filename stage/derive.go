package stage

// A Basis is what values that nobody set follow from.
type Basis struct {
	In     Known // to which Derive may add what it finds, for the estimate
	Memory int64 // bytes that the process may take; 0: unknown
	// Free tells of a key of the configuration that nobody set it.
	Free func(key string) bool
}

// Chosen is a value that follows from what the stage reads.
type Chosen struct {
	Key   string
	Value any
	Why   string // "a published model of 134,515,008 parameters"
}

// Derive chooses values of a configuration that nobody set. It is asked before the
// stage runs, and of plans, which may know less of what the stage will read.
func (s *Stage) Derive(config any, b Basis) ([]Chosen, error) {
	if s.derive == nil {
		return nil, nil
	}
	return s.derive(config, b)
}
