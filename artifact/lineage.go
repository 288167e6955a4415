package artifact

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Link is an artifact, or a file that a person brought, in the chain that leads
// from data to it.
type Link struct {
	Role     string    // of which it was the input: "base"; "" at the end of the chain
	Path     string    // where it lies now, or lay
	SHA256   string    // as [HashInput] computes it, now; "" if it is gone
	Recorded string    // the hash that what was made from it recorded; "" at the end of the chain
	Manifest *Manifest // nil: not made by a stage, or gone
	Part     string    // what of the artifact was read, with slashes; "" for all of it
	Inputs   []*Link   // in the order of their roles

	// Problems say what changed or is gone, empty if nothing is known to have.
	Problems []string
}

// Trace walks the chain of an artifact, a part of one, or a file back to where it
// began. With verify the content of every artifact is hashed again and compared with
// its manifest. Inputs that have moved with their run's folder are found beside it.
//
// Of what no stage made, origin, if not nil, is asked for the artifact that it came
// from: its digest, and where it lies, "" if that is not known.
func Trace(path string, verify bool, origin func(path string) (source Input, ok bool)) (*Link, error) {
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, Mark(ErrNotFound, err)
		}
		return nil, err
	}
	t := tracer{verify: verify, origin: origin, seen: map[string]*Link{}}
	return t.link("", path, "")
}

type tracer struct {
	verify bool
	origin func(path string) (Input, bool)
	seen   map[string]*Link // by path: an artifact that several read is walked once
}

func (t *tracer) link(role, path, recorded string) (*Link, error) {
	if before := t.seen[path+"\x00"+recorded]; before != nil {
		again := *before
		again.Role = role
		return &again, nil
	}
	l := &Link{Role: role, Path: path, Recorded: recorded}
	t.seen[path+"\x00"+recorded] = l
	sum, err := HashInput(path)
	if errors.Is(err, fs.ErrNotExist) {
		l.Problems = append(l.Problems, "is gone")
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	l.SHA256 = sum
	if recorded != "" && sum != recorded {
		l.Problems = append(l.Problems, "has other content than when it was read")
	}
	folder, part := stageOf(path)
	if folder == "" {
		if t.origin == nil {
			return l, nil
		}
		source, ok := t.origin(path)
		switch {
		case ok && source.Path == "":
			l.Inputs = []*Link{{Role: "exported from", Path: "somewhere else", SHA256: source.SHA256, Recorded: source.SHA256, Problems: []string{"is not found"}}}
		case ok:
			next, err := t.link("exported from", source.Path, source.SHA256)
			if err != nil {
				return nil, err
			}
			l.Inputs = []*Link{next}
		}
		return l, nil
	}
	l.Part = part
	m, err := Open(folder, t.verify)
	switch {
	case errors.Is(err, ErrCorrupt):
		l.Problems = append(l.Problems, err.Error())
		return l, nil
	case err != nil:
		return nil, err
	}
	l.Manifest = m
	for _, role := range slices.Sorted(maps.Keys(m.Inputs)) {
		in := m.Inputs[role]
		next, err := t.link(role, moved(folder, in), in.SHA256)
		if err != nil {
			return nil, err
		}
		l.Inputs = append(l.Inputs, next)
	}
	return l, nil
}

// stageOf returns the folder of the finished stage that a path is, or lies in, "" if
// there is none, and what of it.
func stageOf(path string) (folder, part string) {
	path = filepath.Clean(path)
	for folder := path; ; folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, manifestName)); err == nil {
			part, err := filepath.Rel(folder, path)
			if err != nil || part == "." {
				part = ""
			}
			return folder, filepath.ToSlash(part)
		}
		if folder == filepath.Dir(folder) || folder == "." || strings.Count(path, string(filepath.Separator))-strings.Count(folder, string(filepath.Separator)) > 3 {
			return "", ""
		}
	}
}

// moved is where an input lies: at its recorded path, which was relative to where the
// program was called, or in a folder of the same name beside the stage's, for a run
// that was moved as a whole. What has the recorded hash wins.
func moved(folder string, in Input) string {
	candidates := []string{in.Path}
	parts := strings.Split(filepath.ToSlash(in.Path), "/")
	beside := filepath.Dir(filepath.Clean(folder))
	for n := 1; n <= min(3, len(parts)); n++ {
		candidates = append(candidates, filepath.Join(beside, filepath.Join(parts[len(parts)-n:]...)))
	}
	there := ""
	for _, path := range candidates {
		sum, err := HashInput(path)
		if err != nil {
			continue
		}
		if sum == in.SHA256 {
			return path
		}
		if there == "" {
			there = path
		}
	}
	if there != "" {
		return there
	}
	return in.Path
}
