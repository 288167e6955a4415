package gguf

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// A model in several files, as llama-gguf-split writes them: NAME-00001-of-00003.gguf
// and so on, each a GGUF file with some of the tensors. The first has the metadata; all
// have the keys below.
const (
	splitNumber  = "split.no"            // of this part, from 0
	splitCount   = "split.count"         // of parts
	splitTensors = "split.tensors.count" // of tensors in all parts
)

// parts returns the number of parts that a file says it is one of, 1 if it does not.
func (f *File) parts() (int, error) {
	if !f.Has(splitCount) {
		return 1, nil
	}
	n, err := f.Int(splitCount)
	return max(n, 1), err
}

// joinParts makes one File of all parts of which f, the file at a path, is one. It
// closes f where there are others.
func joinParts(path string, f *File) (_ *File, err error) {
	count, err := f.parts()
	if err != nil || count == 1 {
		return f, err
	}
	names := artifact.PartsOf(path)
	if len(names) != count {
		return nil, artifact.Errorf(artifact.ErrUsage, "reading %s: it is one of %d parts of a model (%s), and its name does not end as that of one, -00001-of-%05d.gguf: give the parts the names that they had, in one folder",
			path, count, splitCount, count)
	}
	given := slices.Index(names, filepath.Base(path)) + 1
	parts := make([]*File, 0, 1)
	defer func() {
		if err != nil {
			for _, part := range parts {
				if part != f { // which the caller closes
					err = errors.Join(err, part.Close())
				}
			}
		}
	}()
	for i := 1; i <= count; i++ {
		part := f
		if i != given {
			if part, err = open(filepath.Join(filepath.Dir(path), names[i-1])); errors.Is(err, artifact.ErrNotFound) {
				return nil, fmt.Errorf("part %d of %d of the model of %s is missing: %w", i, count, filepath.Base(path), err)
			} else if err != nil {
				return nil, err
			}
		}
		parts = append(parts, part)
		if err := part.checkPart(i, count, parts[0]); err != nil {
			return nil, err
		}
	}
	return join(path, parts)
}

// checkPart compares what a file says of its place with the one that its name gives,
// and what it says of the model with the first part.
func (f *File) checkPart(part, count int, first *File) error {
	refuse := func(format string, args ...any) error {
		return artifact.Errorf(artifact.ErrCorrupt, "reading %s: %s: the parts are not those of one model; fetch them again", f.name, fmt.Sprintf(format, args...))
	}
	n, err := f.Int(splitCount)
	if err != nil {
		return err
	}
	if n != count {
		return refuse("%s is %d, and the file's name says %d parts", splitCount, n, count)
	}
	if n, err = f.Int(splitNumber); err != nil {
		return err
	}
	if n != part-1 {
		return refuse("%s is %d, and the file's name says part %d, whose number is %d", splitNumber, n, part, part-1)
	}
	if part == 1 {
		return nil
	}
	for _, e := range f.entries {
		value, ok := first.Value(e.Key)
		if ok && e.Key != splitNumber && e.Key != alignmentKey && !reflect.DeepEqual(value, e.Value) {
			return refuse("metadata entry %q is %s, and %s in the first part", e.Key, short(e.Value), short(value))
		}
	}
	return nil
}

// short is a value for a message.
func short(value any) string {
	text := fmt.Sprint(value)
	if len(text) > 40 {
		text = text[:40] + "…"
	}
	return text
}

// join is the File of all parts: the metadata of the first, but for the keys of parts,
// and the tensors of all, in their order.
func join(path string, parts []*File) (*File, error) {
	first := parts[0]
	all := &File{Version: first.Version, Alignment: first.Alignment, name: path}
	for _, e := range first.entries {
		switch e.Key {
		case splitNumber, splitCount, splitTensors:
		default:
			all.entries = append(all.entries, e)
		}
	}
	all.keys = order(len(all.entries), func(i int32) string { return all.entries[i].Key })
	for _, part := range parts {
		for _, info := range part.infos {
			all.infos = append(all.infos, info)
		}
	}
	all.names = order(len(all.infos), func(i int32) string { return all.infos[i].Name })
	for i := 1; i < len(all.names); i++ {
		if name := all.infos[all.names[i]].Name; name == all.infos[all.names[i-1]].Name {
			return nil, artifact.Errorf(artifact.ErrCorrupt, "reading %s: tensor %q is in two of its %d parts: they are not those of one model; fetch them again", path, name, len(parts))
		}
	}
	if first.Has(splitTensors) {
		n, err := first.Int(splitTensors)
		if err != nil {
			return nil, err
		}
		if n != len(all.infos) {
			return nil, artifact.Errorf(artifact.ErrCorrupt, "reading %s: its %d parts have %d tensors, and %s is %d: they are not those of one model; fetch them again", path, len(parts), len(all.infos), splitTensors, n)
		}
	}
	all.close = func() (err error) {
		for _, part := range parts {
			err = errors.Join(err, part.Close())
		}
		return err
	}
	return all, nil
}
