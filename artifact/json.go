package artifact

import (
	"encoding/json"
	"fmt"
)

// maxJSON bounds the small files of stages that are read whole, in bytes.
const maxJSON = 64 << 20

// ReadJSON reads a small JSON file of a stage. What cannot be decoded is an
// [ErrCorrupt]; a file that is not there is an fs.ErrNotExist.
func ReadJSON(path string, into any) error {
	data, err := disk.readFile(path, maxJSON)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return Mark(ErrCorrupt, fmt.Errorf("reading %s: %w", path, err))
	}
	return nil
}
