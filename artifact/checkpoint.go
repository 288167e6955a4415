package artifact

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
)

const (
	// CheckpointFolder is the folder of a stage that holds its checkpoints.
	CheckpointFolder = "checkpoints"
	// checkpointManifest is the file that is written last into a checkpoint.
	checkpointManifest = "checkpoint.json"
	// checkpointAside ends the name of a checkpoint that is being replaced by
	// another of the same step.
	checkpointAside = ".old"
	// minimumCheckpoints is how many whole checkpoints pruning leaves at
	// least, so that damage to the newest does not end a run.
	minimumCheckpoints = 2
)

// checkpointContent is the JSON of checkpoint.json.
type checkpointContent struct {
	Format int         `json:"format"`
	Step   int         `json:"step"`
	Files  []FileEntry `json:"files"` // by name
}

// A Checkpoint is a whole checkpoint folder.
type Checkpoint struct {
	Step  int         // optimizer steps done
	Files []FileEntry // by name

	path string
}

// Path returns the checkpoint's folder.
func (c *Checkpoint) Path() string { return c.path }

// File returns the path of one of the checkpoint's files.
func (c *Checkpoint) File(name string) string { return filepath.Join(c.path, name) }

// A DamagedCheckpoint is the error of a checkpoint that was passed over. It is
// an [ErrCorrupt].
type DamagedCheckpoint struct {
	Path string
	Err  error // names the damaged file
}

func (d *DamagedCheckpoint) Error() string {
	return fmt.Sprintf("reading checkpoint %s: %v", d.Path, d.Err)
}

// Unwrap returns what was found.
func (d *DamagedCheckpoint) Unwrap() error { return d.Err }

var (
	stepCheckpointFolder     = newDurableStep("checkpoint.make-folder")
	stepCheckpointFile       = newDurableStep("checkpoint.write-file")
	stepCheckpointManifest   = newDurableStep("checkpoint.write-manifest")
	stepCheckpointSyncFolder = newDurableStep("checkpoint.sync-folder")
	stepCheckpointSetAside   = newDurableStep("checkpoint.set-aside")
	stepCheckpointRename     = newDurableStep("checkpoint.rename")
	stepCheckpointSyncParent = newDurableStep("checkpoint.sync-parent")
	stepCheckpointPrune      = newDurableStep("checkpoint.prune")
)

// CheckpointName returns the name of the folder of a step: step-NNNNNNNN, with
// more digits from 10⁸ on.
func CheckpointName(step int) string { return fmt.Sprintf("step-%08d", step) }

// parseCheckpointName is the inverse of CheckpointName; aside tells the name of
// a checkpoint set aside.
func parseCheckpointName(name string) (step int, aside, ok bool) {
	digits, ok := strings.CutPrefix(name, "step-")
	if !ok {
		return 0, false, false
	}
	digits, aside = strings.CutSuffix(digits, checkpointAside)
	step, err := strconv.Atoi(digits)
	if err != nil || step < 0 || CheckpointName(step) != "step-"+digits {
		return 0, false, false
	}
	return step, aside, true
}

// WriteCheckpoint writes the checkpoint of a step into the folder of that step
// (see [CheckpointName]) in dir, which is created if missing. Each file's
// content comes from its function. Once the checkpoint is durable, older ones
// are removed, until only the keep newest whole ones are left, at least two: a
// damaged one counts for nothing and goes when it is older than those. The
// folder gets its name only when it is complete and durable: until then it is a
// temporary, and a failure or a crash leaves the checkpoints that were there
// before. A whole checkpoint of the same step is kept if its files are the same
// and replaced if not.
func WriteCheckpoint(dir string, step int, files Contents, keep int) error {
	return disk.WriteCheckpoint(dir, step, files, keep)
}

// WriteCheckpoint is [WriteCheckpoint] on d.
func (d Disk) WriteCheckpoint(dir string, step int, files Contents, keep int) (err error) {
	path := filepath.Join(dir, CheckpointName(step))
	names := make([]string, 0, len(files))
	for name := range files {
		if name == "" || filepath.Base(name) != name || !filepath.IsLocal(name) || name == checkpointManifest || isTemporary(name) {
			return fmt.Errorf("writing checkpoint %s: %q cannot be the name of a file in a checkpoint", path, name)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	if err := d.MakeFolder(dir); err != nil {
		return fmt.Errorf("writing checkpoint %s: %w", path, err)
	}

	temporary := temporaryName(path)
	defer func() {
		// After success nothing of that name is left. After a failure what
		// stays in spite of this is found by CleanTemporaries.
		if err != nil {
			_ = d.removeAll(temporary, true)
		}
	}()
	err = stepCheckpointFolder.do(func() error { return d.FS.Mkdir(temporary) })
	if err != nil {
		return failedAt("writing checkpoint", path, 0, err)
	}
	content := checkpointContent{Format: manifestFormat, Step: step, Files: []FileEntry{}}
	for _, name := range names {
		var entry FileEntry
		err := stepCheckpointFile.do(func() error {
			var err error
			entry, err = d.writeNewFile(filepath.Join(temporary, name), name, files[name])
			return err
		})
		if err != nil {
			return failedAt("writing checkpoint file", filepath.Join(path, name), entry.Size, err)
		}
		content.Files = append(content.Files, entry)
	}
	sealed, err := seal(content)
	if err != nil {
		return fmt.Errorf("writing checkpoint %s: encoding the manifest: %w", path, err)
	}
	err = stepCheckpointManifest.do(func() error {
		_, err := d.writeNewFile(filepath.Join(temporary, checkpointManifest), checkpointManifest, func(w io.Writer) error {
			_, err := w.Write(sealed)
			return err
		})
		return err
	})
	if err == nil {
		err = stepCheckpointSyncFolder.do(func() error { return d.FS.SyncFolder(temporary) })
	}
	if err != nil {
		return failedAt("writing checkpoint file", filepath.Join(path, checkpointManifest), int64(len(sealed)), err)
	}
	if err := d.publishCheckpoint(temporary, path, content.Files); err != nil {
		return failedAt("writing checkpoint", path, totalSize(content.Files), err)
	}
	_, err = d.pruneCheckpoints(dir, keep, path)
	return err
}

func totalSize(files []FileEntry) (total int64) {
	for _, f := range files {
		total += f.Size
	}
	return total
}

// writeNewFile writes and syncs a file of a folder that is itself a
// temporary. The entry's size counts the bytes written, in failure too.
func (d Disk) writeNewFile(path, name string, write func(io.Writer) error) (entry FileEntry, err error) {
	entry.Name = name
	file, err := d.FS.CreateNew(path)
	if err != nil {
		return entry, err
	}
	hash := sha256.New()
	out := &sizedWriter{w: io.MultiWriter(file, hash), size: &entry.Size}
	buffer := bufio.NewWriterSize(out, writerBuffer)
	err = write(buffer)
	if err == nil {
		err = buffer.Flush()
	}
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	entry.SHA256 = hex.EncodeToString(hash.Sum(nil))
	return entry, err
}

// sizedWriter counts the bytes that went through.
type sizedWriter struct {
	w    io.Writer
	size *int64
}

func (s *sizedWriter) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	*s.size += int64(n)
	return n, err
}

// publishCheckpoint gives the complete temporary folder its name. A folder
// cannot be renamed over another, so one that is in the way is first renamed
// itself: a whole one to a name that LatestCheckpoint still finds, a damaged
// one to a temporary name.
func (d Disk) publishCheckpoint(temporary, path string, files []FileEntry) error {
	taken, err := d.exists(path)
	if err != nil {
		return err
	}
	aside := path + checkpointAside
	if taken {
		// A process that was killed may have renamed it without a sync.
		if err := d.FS.SyncFolder(filepath.Dir(path)); err != nil {
			return err
		}
		old, err := d.openCheckpoint(path)
		switch {
		case err == nil && slices.Equal(old.Files, files):
			if err := d.removeAll(temporary, true); err != nil {
				return err
			}
			return d.FS.SyncFolder(filepath.Dir(path))
		case err == nil:
			if err := d.removeCheckpoint(aside); err != nil { // left by a crash; path takes its place
				return err
			}
			err = stepCheckpointSetAside.do(func() error { return d.FS.Rename(path, aside) })
			if err != nil {
				return err
			}
		default:
			if err := d.removeCheckpoint(path); err != nil {
				return err
			}
		}
	}
	err = stepCheckpointRename.do(func() error { return d.FS.Rename(temporary, path) })
	if err != nil {
		return err
	}
	err = stepCheckpointSyncParent.do(func() error { return d.FS.SyncFolder(filepath.Dir(path)) })
	if err != nil {
		return err
	}
	return d.removeCheckpoint(aside)
}

// removeCheckpoint removes a checkpoint folder if it is there. It becomes a
// temporary first, so that one half removed is never taken for a checkpoint.
func (d Disk) removeCheckpoint(path string) error {
	there, err := d.exists(path)
	if err != nil || !there {
		return err
	}
	temporary := temporaryName(path)
	if err := d.FS.Rename(path, temporary); err != nil {
		return err
	}
	return d.removeAll(temporary, true)
}

// openCheckpoint opens one checkpoint folder and verifies the SHA-256 of every
// file. Damage is an [ErrCorrupt] that names the files.
func (d Disk) openCheckpoint(path string) (*Checkpoint, error) {
	manifest := filepath.Join(path, checkpointManifest)
	data, err := d.readFile(manifest, maxManifest)
	if isNotExist(err) {
		return nil, &CorruptError{Path: manifest, Reason: "the file is missing"}
	}
	if err != nil {
		return nil, err
	}
	var content checkpointContent
	if err := unseal(manifest, data, &content); err != nil {
		return nil, err
	}
	if content.Format != manifestFormat {
		return nil, fmt.Errorf("%s has layout %d, this program reads %d", checkpointManifest, content.Format, manifestFormat)
	}
	if step, _, ok := parseCheckpointName(filepath.Base(path)); ok && step != content.Step {
		return nil, &CorruptError{Path: manifest, Reason: fmt.Sprintf("it is the manifest of step %d", content.Step)}
	}
	if err := d.verifyFiles(path, content.Files, true); err != nil {
		return nil, err
	}
	return &Checkpoint{path: path, Step: content.Step, Files: content.Files}, nil
}

// LatestCheckpoint returns the newest whole checkpoint in dir, every byte of it
// verified, and the newer ones that were passed over because they are damaged,
// which the caller reports. Without any checkpoint it returns nil and no
// error; if all are damaged, an [ErrCorrupt].
func LatestCheckpoint(dir string) (*Checkpoint, []*DamagedCheckpoint, error) {
	return disk.LatestCheckpoint(dir)
}

// LatestCheckpoint is [LatestCheckpoint] on d.
func (d Disk) LatestCheckpoint(dir string) (*Checkpoint, []*DamagedCheckpoint, error) {
	paths, err := d.listCheckpoints(dir)
	if err != nil {
		return nil, nil, err
	}
	var damaged []*DamagedCheckpoint
	for _, path := range paths {
		c, err := d.openCheckpoint(path)
		if err == nil {
			return c, damaged, nil
		}
		damaged = append(damaged, &DamagedCheckpoint{path, err})
	}
	if len(damaged) > 0 {
		all := []error{fmt.Errorf("reading checkpoints in %s: none of %d is whole; move them away to start from the beginning", dir, len(damaged))}
		for _, one := range damaged {
			all = append(all, one)
		}
		return nil, damaged, Mark(ErrCorrupt, errors.Join(all...))
	}
	return nil, nil, nil
}

// listCheckpoints lists the checkpoint folders in dir, newest first; of one
// step the one set aside comes second.
func (d Disk) listCheckpoints(dir string) ([]string, error) {
	entries, err := d.FS.ReadDir(dir)
	if isNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing checkpoints: %w", err)
	}
	type candidate struct {
		name  string
		step  int
		aside bool
	}
	var candidates []candidate
	for _, entry := range entries {
		if step, aside, ok := parseCheckpointName(entry.Name()); ok && entry.IsDir() {
			candidates = append(candidates, candidate{entry.Name(), step, aside})
		}
	}
	sort.Slice(candidates, func(i, j int) bool {
		a, b := candidates[i], candidates[j]
		if a.step != b.step {
			return a.step > b.step
		}
		return !a.aside && b.aside
	})
	paths := make([]string, len(candidates))
	for i, c := range candidates {
		paths[i] = filepath.Join(dir, c.name)
	}
	return paths, nil
}

// RemoveCheckpoints removes the folder of checkpoints of a finished stage, and returns
// how many bytes of files it held.
func RemoveCheckpoints(stage string) (int64, error) { return disk.RemoveCheckpoints(stage) }

// RemoveCheckpoints is [RemoveCheckpoints] on d. An unfinished stage keeps them: they
// are what it goes on from.
func (d Disk) RemoveCheckpoints(stage string) (bytes int64, err error) {
	folder := filepath.Join(stage, CheckpointFolder)
	there, err := d.exists(folder)
	if err != nil || !there {
		return 0, err
	}
	finished, err := d.exists(filepath.Join(stage, manifestName))
	if err != nil {
		return 0, err
	}
	if !finished {
		return 0, fmt.Errorf("removing checkpoints of %s: the stage is not finished", stage)
	}
	names, err := d.listFiles(folder, "")
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		info, err := d.FS.Stat(filepath.Join(folder, name))
		if err != nil {
			return 0, err
		}
		bytes += info.Size()
	}
	return bytes, d.RemoveFolder(folder)
}

// CountCheckpoints tells how many checkpoints a folder has, whole or not.
func CountCheckpoints(dir string) (int, error) {
	paths, err := disk.listCheckpoints(dir)
	return len(paths), err
}

// pruneCheckpoints removes old checkpoints from dir until only the keep newest
// whole ones are left, at least two, and returns the removed folders. A
// damaged checkpoint counts for nothing and goes when it is older than those
// kept. The checkpoint written, if that is not "", is not read: every byte of it
// was hashed as it was written, a moment ago.
func (d Disk) pruneCheckpoints(dir string, keep int, written string) ([]string, error) {
	paths, err := d.listCheckpoints(dir)
	if err != nil {
		return nil, err
	}
	keep = max(keep, minimumCheckpoints)
	var removed []string
	whole := 0
	for i, path := range paths {
		if whole < keep {
			if whole+len(paths)-i <= keep {
				break // too few are left for any to be removed, so none needs to be read
			}
			if path == written {
				whole++
			} else if _, err := d.openCheckpoint(path); err == nil {
				whole++
			}
			continue
		}
		err := stepCheckpointPrune.do(func() error { return d.removeCheckpoint(path) })
		if err != nil {
			return removed, failedAt("removing old checkpoint", path, 0, err)
		}
		removed = append(removed, path)
	}
	return removed, nil
}
