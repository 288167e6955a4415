package stage

import "encoding/json"

// Facts is what is known of an artifact that is there, or that will be, without
// its weights.
type Facts struct {
	Paths      []string        // where it lies, or will
	Bytes      int64           // of text
	Documents  int64           // of a corpus
	Rows       int64           // dialogues, prompts, rankings
	Each       int             // answers to each prompt of rankings; 0: 2
	RowTokens  float64         // tokens of a row, prompt and answer together, on average; 0: unknown
	Vocabulary int             // of a tokenizer
	Model      json.RawMessage // config.json of a model
	Published  bool            // of a model: it, or what it was trained from, was made elsewhere
}

// Known are the facts of a stage's inputs by their names.
type Known map[string]Facts

// Add puts the facts of a path with those of an input, of which the last path's count.
func (k Known) Add(name, path string, f Facts) {
	f.Paths = append(k[name].Paths, path)
	k[name] = f
}

// Estimate is what a stage is expected to take, and what it will leave.
type Estimate struct {
	Parameters int64
	Steps      int64   // of the optimizer
	Tokens     int64   // through the model
	FLOPs      float64 // of products of many rows: training, scoring
	Sampled    float64 // FLOPs of sampling token by token, which reach a smaller share of the peak
	Memory     int64   // bytes: weights, gradients, moments, caches, and the largest Program's tensors
	Seconds    float64 // beside the FLOPs: reading and tokenising

	Leaves map[string]Facts // by part; "" is the folder itself
}

// Estimate says what the stage will take with a configuration; false where it
// cannot say.
func (s *Stage) Estimate(config any, in Known) (Estimate, bool, error) {
	if s.estimate == nil {
		return Estimate{}, false, nil
	}
	e, err := s.estimate(config, in)
	return e, err == nil, err
}
