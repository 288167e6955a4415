package artifact

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// manifestName is the file that makes a stage folder complete.
const manifestName = "artifact.json"

// begunName is the file beside the checkpoints of a stage that is not finished, which
// says what stage it is.
const begunName = "begun.json"

// pages are what is made of an artifact for people, again whenever they ask: no part of
// it.
var pages = []string{"report.html", "report.md"}

// manifestFormat is the version of the layout of artifact.json and
// checkpoint.json.
const manifestFormat = 1

// A Manifest is the content of a stage folder's artifact.json.
type Manifest struct {
	Format      int               `json:"format"`            // version of this layout, 1
	Kind        string            `json:"kind"`              // what stage wrote the folder: "tokenizer", "sft", …
	Version     int               `json:"version,omitempty"` // of the stage's code; absent: 1
	Alma        string            `json:"alma"`              // version of the program
	Created     time.Time         `json:"created"`           // when the stage ended, UTC
	Fingerprint string            `json:"fingerprint"`       // of kind, configuration and inputs; see [Fingerprint]
	Config      json.RawMessage   `json:"config"`            // the resolved configuration
	Inputs      map[string]Input  `json:"inputs"`            // by the name of their role: "base", "tokenizer"
	Files       []FileEntry       `json:"files"`             // the stage's own files, by name
	Tokens      int64             `json:"tokens,omitempty"`
	FLOPs       float64           `json:"flops,omitempty"`
	WallSeconds float64           `json:"wall_seconds"`
	Environment map[string]string `json:"environment,omitempty"` // engine, kernels, precision, threads
	Metrics     Metrics           `json:"metrics,omitempty"`     // final values
	Notes       []string          `json:"notes,omitempty"`       // what a reader of the report should know
	Extra       map[string]string `json:"extra,omitempty"`       // facts of one kind of stage
	Rejected    []Rejected        `json:"rejected,omitempty"`    // rows of its inputs that could not be used
}

// Rejected are rows of a file that were left out for one reason.
type Rejected struct {
	File   string   `json:"file"`
	Rows   int      `json:"rows"` // of the file
	Reason string   `json:"reason"`
	N      int      `json:"n"`     // rows that were left out for it
	First  []string `json:"first"` // the first of them, with their lines
}

// An Input is something that a stage read.
type Input struct {
	Path   string `json:"path"`   // as it was given
	SHA256 string `json:"sha256"` // as [HashInput] computes it
}

// Metrics are named numbers. In JSON a number that is not finite, which JSON
// cannot write, is one of the strings "NaN", "Infinity" and "-Infinity".
type Metrics map[string]float64

// MarshalJSON implements json.Marshaler.
func (m Metrics) MarshalJSON() ([]byte, error) {
	values := make(map[string]any, len(m))
	for name, v := range m {
		switch {
		case math.IsNaN(v):
			values[name] = "NaN"
		case math.IsInf(v, 1):
			values[name] = "Infinity"
		case math.IsInf(v, -1):
			values[name] = "-Infinity"
		default:
			values[name] = v
		}
	}
	return json.Marshal(values) // in the order of names
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *Metrics) UnmarshalJSON(data []byte) error {
	var values map[string]any
	if err := json.Unmarshal(data, &values); err != nil {
		return err
	}
	*m = make(Metrics, len(values))
	for name, value := range values {
		switch v := value.(type) {
		case float64:
			(*m)[name] = v
			continue
		case string:
			switch v {
			case "NaN":
				(*m)[name] = math.NaN()
				continue
			case "Infinity":
				(*m)[name] = math.Inf(1)
				continue
			case "-Infinity":
				(*m)[name] = math.Inf(-1)
				continue
			}
		}
		return fmt.Errorf("metric %q: %v is not a number", name, value)
	}
	return nil
}

// Version returns the version of the program as the Go toolchain stamped it,
// "(devel)" for a build from a working tree.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

// Fingerprint returns a hash of a stage's kind, its configuration (anything
// that encodes as JSON; the order of keys does not matter) and the hashes of
// its inputs by name. Equal fingerprints mean equal work.
func Fingerprint(kind string, config any, inputs map[string]string) (string, error) {
	encoded, err := canonicalJSON(config)
	if err != nil {
		return "", fmt.Errorf("fingerprinting stage %s: its configuration does not encode as JSON: %w", kind, err)
	}
	text, err := json.Marshal(struct {
		Kind   string            `json:"kind"`
		Config json.RawMessage   `json:"config"`
		Inputs map[string]string `json:"inputs"`
	}{kind, encoded, inputs})
	if err != nil {
		return "", fmt.Errorf("fingerprinting stage %s: %w", kind, err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// canonicalJSON encodes v with every object's keys sorted.
func canonicalJSON(v any) (json.RawMessage, error) {
	encoded, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(encoded))
	d.UseNumber() // numbers keep their digits
	var plain any
	if err := d.Decode(&plain); err != nil {
		return nil, err
	}
	return json.Marshal(plain)
}

var (
	stepBegin     = newDurableStep("stage.begin")
	stepSyncFiles = newDurableStep("stage.sync-files")
	stepFinish    = newDurableStep("stage.finish")
)

// A Stage is a stage folder that is being written. The caller fills in what
// only it knows of the Manifest (tokens, FLOPs, metrics, notes) before Finish.
type Stage struct {
	Manifest Manifest

	disk    Disk
	dir     string
	started time.Time
}

// Begin makes a stage folder ready to be written: it is created if missing,
// leftovers of interrupted writes are removed, and an artifact.json from
// before is removed, because the folder is not complete any more. Other files
// stay, so that an interrupted stage can continue from its checkpoints. The
// caller holds the lock of the run folder.
func Begin(dir, kind string, config any) (*Stage, error) { return disk.Begin(dir, kind, config) }

// Begin is [Begin] on d.
func (d Disk) Begin(dir, kind string, config any) (*Stage, error) {
	encoded, err := canonicalJSON(config)
	if err != nil {
		return nil, fmt.Errorf("beginning stage %s: its configuration does not encode as JSON: %w", dir, err)
	}
	if err := d.MakeFolder(dir); err != nil {
		return nil, err
	}
	if _, err := d.CleanTemporaries(dir); err != nil {
		return nil, err
	}
	manifest := filepath.Join(dir, manifestName)
	complete, err := d.exists(manifest)
	if err == nil && complete {
		err = stepBegin.do(func() error {
			if err := d.FS.Remove(manifest); err != nil {
				return err
			}
			return d.FS.SyncFolder(dir)
		})
	}
	if err != nil {
		return nil, failedAt("beginning stage", dir, 0, err)
	}
	return &Stage{
		Manifest: Manifest{Format: manifestFormat, Kind: kind, Alma: Version(), Config: encoded, Inputs: map[string]Input{}},
		disk:     d,
		dir:      dir,
		started:  time.Now(),
	}, nil
}

// Dir returns the stage's folder.
func (s *Stage) Dir() string { return s.dir }

// Path returns the path of a file or folder in the stage's folder; name has
// slashes.
func (s *Stage) Path(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

// AddInput records something that the stage reads under the name of its role,
// with its hash as it is now.
func (s *Stage) AddInput(name, path string) error {
	sum, err := s.disk.HashInput(path)
	if err != nil {
		return fmt.Errorf("recording input %s of stage %s: %w", name, s.dir, err)
	}
	s.Manifest.Inputs[name] = Input{path, sum}
	return nil
}

// WriteBegun records what the stage is while it is not finished, beside its checkpoints,
// with which it goes: see [OpenBegun].
func (s *Stage) WriteBegun() error {
	folder := s.Path(CheckpointFolder)
	if err := s.disk.MakeFolder(folder); err != nil {
		return err
	}
	encoded, err := seal(&s.Manifest)
	if err != nil {
		return fmt.Errorf("beginning stage %s: encoding what it is: %w", s.dir, err)
	}
	return s.disk.WriteFile(filepath.Join(folder, begunName), encoded)
}

// OpenBegun reads what an unfinished stage is: kind, configuration, inputs. Of a folder
// that holds none it is an [ErrNotFound].
func OpenBegun(dir string) (*Manifest, error) {
	path := filepath.Join(dir, CheckpointFolder, begunName)
	data, err := disk.readFile(path, maxManifest)
	if isNotExist(err) {
		return nil, Errorf(ErrNotFound, "opening %s: no stage is under way in it", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", dir, err)
	}
	var m Manifest
	if err := unseal(path, data, &m); err != nil {
		return nil, fmt.Errorf("opening %s: %w", dir, err)
	}
	if m.Config, err = canonicalJSON(m.Config); err != nil { // take the indentation out
		return nil, fmt.Errorf("opening %s: configuration: %w", dir, err)
	}
	return &m, nil
}

// Finish makes the folder complete: it hashes and syncs the named files
// (a folder's name stands for every file in it) and then writes artifact.json.
// Without names it takes every file in the folder except checkpoints and a report of
// before. Files written after it are not part of the artifact.
func (s *Stage) Finish(names ...string) (*Manifest, error) {
	m := &s.Manifest
	files, err := s.expand(names)
	if err != nil {
		return nil, fmt.Errorf("finishing stage %s: %w", s.dir, err)
	}
	inputs := make(map[string]string, len(m.Inputs))
	for name, input := range m.Inputs {
		inputs[name] = input.SHA256
	}
	if m.Fingerprint, err = Fingerprint(m.Kind, m.Config, inputs); err != nil {
		return nil, err
	}
	err = stepSyncFiles.do(func() error { return s.syncAndHash(files) })
	if err != nil {
		return nil, failedAt("finishing stage", s.dir, 0, err)
	}
	m.Created = time.Now().UTC().Truncate(time.Second)
	if m.WallSeconds == 0 {
		m.WallSeconds = time.Since(s.started).Seconds()
	}
	encoded, err := seal(m)
	if err != nil {
		return nil, fmt.Errorf("finishing stage %s: encoding the manifest: %w", s.dir, err)
	}
	err = stepFinish.do(func() error { return s.disk.WriteFile(s.Path(manifestName), encoded) })
	if err != nil {
		return nil, fmt.Errorf("finishing stage %s: %w", s.dir, err)
	}
	return m, nil
}

// expand replaces folders by the files in them and sorts.
func (s *Stage) expand(names []string) ([]string, error) {
	if len(names) == 0 {
		all, err := s.disk.listFiles(s.dir, "")
		if err != nil {
			return nil, err
		}
		for _, name := range all {
			first, _, _ := strings.Cut(name, "/")
			if _, _, isCheckpoint := parseCheckpointName(first); !isCheckpoint && first != CheckpointFolder && name != manifestName && !slices.Contains(pages, name) {
				names = append(names, name)
			}
		}
		return names, nil
	}
	var files []string
	for _, name := range names {
		info, err := s.disk.FS.Stat(s.Path(name))
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, name)
			continue
		}
		more, err := s.disk.listFiles(s.dir, strings.TrimSuffix(name, "/"))
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// syncAndHash makes the files and the names that lead to them durable and
// fills in the manifest's entries.
func (s *Stage) syncAndHash(files []string) error {
	s.Manifest.Files = make([]FileEntry, 0, len(files))
	folders := map[string]bool{}
	var order []string // of folders, so that the calls come in the same order each time
	for _, name := range files {
		if err := s.disk.FS.SyncFile(s.Path(name)); err != nil {
			return err
		}
		size, sum, err := s.disk.hashFile(s.Path(name))
		if err != nil {
			return err
		}
		s.Manifest.Files = append(s.Manifest.Files, FileEntry{name, size, sum})
		for folder := name; folder != "."; {
			folder = filepath.ToSlash(filepath.Dir(filepath.FromSlash(folder)))
			if !folders[folder] {
				folders[folder] = true
				order = append(order, folder)
			}
		}
	}
	for _, folder := range order {
		if err := s.disk.FS.SyncFolder(s.Path(folder)); err != nil {
			return err
		}
	}
	return nil
}

// Open reads the manifest of a complete stage folder and checks that its files
// are there with the right sizes, and with verify also that their SHA-256 are
// those of the manifest. A folder without artifact.json is an [ErrNotFound],
// damage an [ErrCorrupt] that names every damaged file.
func Open(dir string, verify bool) (*Manifest, error) { return disk.Open(dir, verify) }

// Open is [Open] on d.
func (d Disk) Open(dir string, verify bool) (*Manifest, error) {
	path := filepath.Join(dir, manifestName)
	data, err := d.readFile(path, maxManifest)
	if isNotExist(err) {
		return nil, Errorf(ErrNotFound, "opening artifact %s: it has no %s: the stage was never finished; run it again", dir, manifestName)
	}
	if err != nil {
		return nil, fmt.Errorf("opening artifact %s: %w", dir, err)
	}
	var m Manifest
	if err := unseal(path, data, &m); err != nil {
		return nil, fmt.Errorf("opening artifact %s: %w", dir, err)
	}
	if m.Config, err = canonicalJSON(m.Config); err != nil { // take the indentation out
		return nil, fmt.Errorf("opening artifact %s: configuration: %w", dir, err)
	}
	if m.Format != manifestFormat {
		return nil, fmt.Errorf("opening artifact %s: %s has layout %d, this program reads %d; use the alma that wrote it (%s)", dir, manifestName, m.Format, manifestFormat, m.Alma)
	}
	if err := d.verifyFiles(dir, m.Files, verify); err != nil {
		return nil, fmt.Errorf("opening artifact %s: %w", dir, err)
	}
	return &m, nil
}
