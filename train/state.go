package train

import (
	"io"
	"maps"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute"
	"github.com/seed-b72bdb6c/alma/model"
	"github.com/seed-b72bdb6c/alma/model/file"
)

// State is a part of what a checkpoint holds.
type State interface {
	// Save returns the state's files. They are written before anything else
	// happens to the state, so that it need not be copied.
	Save() (artifact.Contents, error)
	// Snapshot returns the same files with what the state is now, whatever happens
	// to it before they are written. It may take the memory of the last snapshot,
	// whose files are then not written any more.
	Snapshot() (artifact.Contents, error)
	// Room is the memory that a snapshot takes, and what its files take.
	Room() Room
	// Load takes the state back from a checkpoint. After an error, which ends the
	// run, it may have taken a part.
	Load(*artifact.Checkpoint) error
}

// Room is what a snapshot takes.
type Room struct {
	Bytes int64 // of memory
	// Beside are bytes that its files take on a disk beside these.
	Beside int64
	// Make takes the memory before the first snapshot does, so that this need only
	// copy. It may run while the state changes, but not beside a snapshot. nil: there
	// is nothing to be made.
	Make func() error
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

	copies Copies
}

// optimizerFile holds the optimizer in a checkpoint.
const optimizerFile = "optimizer.safetensors"

// Save implements [State].
func (s *ModelState) Save() (artifact.Contents, error) { return s.files(s.Model, s.Optimizer) }

// Snapshot implements [State].
func (s *ModelState) Snapshot() (artifact.Contents, error) {
	m, err := s.copies.Of(s.Model, s.arrays())
	if err != nil {
		return nil, err
	}
	o := *s.Optimizer
	o.model = m
	return s.files(m, &o)
}

// Room implements [State].
func (s *ModelState) Room() Room {
	room := s.copies.Room(s.Model, s.arrays())
	for _, data := range s.Extra {
		room.Beside += int64(len(data))
	}
	return room
}

// arrays are those of the Store that the files hold.
func (s *ModelState) arrays() []string { return append(s.weights(), s.moments()...) }

func (s *ModelState) weights() []string {
	if s.Model.Adapter != nil {
		return names(s.Model.Trained())
	}
	return names(s.Model.Parameters())
}

func (s *ModelState) moments() (arrays []string) {
	for _, p := range s.Model.Trained() {
		arrays = append(arrays, momentName(1, p.Name), momentName(2, p.Name))
	}
	return arrays
}

func (s *ModelState) weightsFile() string {
	if s.Model.Adapter != nil {
		return file.AdapterWeightsFile
	}
	return file.WeightsFile
}

func names(parameters []model.Parameter) (list []string) {
	for _, p := range parameters {
		list = append(list, p.Name)
	}
	return list
}

func (s *ModelState) files(m *model.Model, o *Optimizer) (artifact.Contents, error) {
	files, err := s.modelFiles(m)
	if err != nil {
		return nil, err
	}
	maps.Copy(files, artifact.AllBytes(s.Extra))
	files[optimizerFile] = o.Save
	out := make(artifact.Contents, len(files))
	for name, write := range files {
		out[s.Prefix+name] = write
	}
	return out, nil
}

func (s *ModelState) modelFiles(m *model.Model) (artifact.Contents, error) {
	if m.Adapter != nil {
		return file.AdapterFiles(m, s.Base)
	}
	return file.Files(m, s.Ends, 1)
}

// Load implements [State].
func (s *ModelState) Load(c *artifact.Checkpoint) error {
	read := file.ReadWeights
	if s.Model.Adapter != nil {
		read = file.ReadAdapter
	}
	if err := c.Read(s.Prefix+s.weightsFile(), func(name string, r io.ReaderAt, size int64) error { return read(s.Model, name, r, size) }); err != nil {
		return err
	}
	if err := c.Read(s.Prefix+optimizerFile, s.Optimizer.Load); err != nil {
		return err
	}
	return s.Optimizer.Zero()
}

// Copies are what arrays of a model's Store held at one time, in a Store of their
// own, which no Program runs against: they can be read while the model is trained.
// The zero value is ready; its memory is kept for the next copies.
type Copies struct{ store compute.Store }

// Of copies arrays of a model, and returns the model with the copies in place of
// its Store. Copies of before are gone.
func (c *Copies) Of(m *model.Model, arrays []string) (*model.Model, error) {
	if err := c.define(m, arrays); err != nil {
		return nil, err
	}
	for _, name := range arrays {
		values, err := compute.Values(m.Store, name)
		if err != nil {
			return nil, err
		}
		if err := c.store.Write(name, values); err != nil {
			return nil, err
		}
		if !compute.Same(m.Store, c.store, name) {
			return nil, damaged(compute.Changed(name))
		}
	}
	then := *m
	then.Store = c.store
	return &then, nil
}

// Room is the memory of copies of arrays.
func (c *Copies) Room(m *model.Model, arrays []string) (r Room) {
	err := c.define(m, arrays)
	largest := 0
	sizes := make([]int, len(arrays))
	for i, name := range arrays {
		shape, _ := m.Store.Shape(name)
		sizes[i] = shape.Size()
		r.Bytes += 4 * int64(sizes[i])
		largest = max(largest, sizes[i])
	}
	r.Make = func() error {
		if err != nil {
			return err
		}
		zeros := make([]float32, largest)
		for i, name := range arrays {
			if err := c.store.Write(name, zeros[:sizes[i]]); err != nil {
				return err
			}
		}
		return nil
	}
	return r
}

// define has the Store of copies hold arrays, which take no memory before they are
// written.
func (c *Copies) define(m *model.Model, arrays []string) error {
	if c.store == nil {
		c.store = m.Engine.NewStore()
	}
	for _, name := range arrays {
		shape, _ := m.Store.Shape(name)
		if err := c.store.Define(name, shape...); err != nil {
			return err
		}
	}
	return nil
}
