package train

import (
	"maps"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/model"
)

// State is a part of what a checkpoint holds.
type State interface {
	// Save returns the state's files. They are written before anything else
	// happens to the state, so that it need not be copied.
	Save() (artifact.Contents, error)
	// Load takes the state back from a checkpoint. After an error, which ends the
	// run, it may have taken a part.
	Load(*artifact.Checkpoint) error
}

// ModelState is a model with its optimizer. Its files are those of a model
// folder, so that a checkpoint of a stage opens like any model, and
// optimizer.safetensors. A Prefix tells a second model's files apart. Weights and
// moments are written and read one array at a time.
//
// Of a model with an adapter only what is trained is saved, as an adapter of the
// model in the folder Base, in PEFT's layout.
type ModelState struct {
	Prefix    string
	Base      string
	Model     *model.Model
	Optimizer *Optimizer
	// Extra files that complete the folder (the tokenizer), written as they are.
	Extra map[string][]byte
	Ends  []int32 // tokens that end a text
}

// optimizerFile holds the optimizer in a checkpoint.
const optimizerFile = "optimizer.safetensors"

// Save implements [State].
func (s ModelState) Save() (artifact.Contents, error) {
	files, err := s.modelFiles()
	if err != nil {
		return nil, err
	}
	maps.Copy(files, artifact.AllBytes(s.Extra))
	files[optimizerFile] = s.Optimizer.Save
	out := make(artifact.Contents, len(files))
	for name, write := range files {
		out[s.Prefix+name] = write
	}
	return out, nil
}

func (s ModelState) modelFiles() (artifact.Contents, error) {
	if s.Model.Adapter != nil {
		return s.Model.AdapterFiles(s.Base)
	}
	return s.Model.Files(s.Ends, 1)
}

// Load implements [State].
func (s ModelState) Load(c *artifact.Checkpoint) error {
	weights, read := model.WeightsFile, s.Model.ReadWeights
	if s.Model.Adapter != nil {
		weights, read = model.AdapterWeightsFile, s.Model.ReadAdapter
	}
	if err := c.Read(s.Prefix+weights, read); err != nil {
		return err
	}
	if err := c.Read(s.Prefix+optimizerFile, s.Optimizer.Load); err != nil {
		return err
	}
	return s.Optimizer.Zero()
}
