package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
)

// A FileEntry is what a manifest knows of a file.
type FileEntry struct {
	Name   string `json:"name"` // relative to the manifest's folder, with slashes
	Size   int64  `json:"size"` // bytes
	SHA256 string `json:"sha256"`
}

// HashFile returns the size and the SHA-256, in hexadecimal, of a file.
func HashFile(path string) (size int64, sum string, err error) { return disk.hashFile(path) }

func (d Disk) hashFile(path string) (size int64, sum string, err error) {
	f, err := d.FS.Open(path)
	if err != nil {
		return 0, "", fmt.Errorf("hashing: %w", err)
	}
	hash := sha256.New()
	size, err = io.CopyBuffer(hash, f, make([]byte, 256<<10))
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return 0, "", fmt.Errorf("hashing %s: %w", path, err)
	}
	return size, hex.EncodeToString(hash.Sum(nil)), nil
}

// HashInput returns the SHA-256, in hexadecimal, that stands for an input of
// a stage: of a file, its content; of a file that is a part of a model
// ([PartsOf]), the names and contents of all parts; of a complete stage folder, its
// artifact.json; of any other folder, the names and contents of all files in
// it and below it, in the order of names.
func HashInput(path string) (string, error) { return disk.HashInput(path) }

// HashInput is [HashInput] on d.
func (d Disk) HashInput(path string) (string, error) {
	info, err := d.FS.Stat(path)
	if err != nil {
		return "", fmt.Errorf("hashing input: %w", err)
	}
	if !info.IsDir() {
		if parts := PartsOf(path); len(parts) > 1 {
			return d.hashFiles(filepath.Dir(path), parts)
		}
		_, sum, err := d.hashFile(path)
		return sum, err
	}
	manifest := filepath.Join(path, manifestName)
	complete, err := d.exists(manifest)
	if err != nil {
		return "", fmt.Errorf("hashing input: %w", err)
	}
	if complete {
		_, sum, err := d.hashFile(manifest)
		return sum, err
	}
	names, err := d.listFiles(path, "")
	if err != nil {
		return "", fmt.Errorf("hashing input %s: %w", path, err)
	}
	return d.hashFiles(path, names)
}

// hashFiles hashes the names and contents of files of a folder, by slash-separated names
// relative to it.
func (d Disk) hashFiles(folder string, names []string) (string, error) {
	hash := sha256.New()
	for _, name := range names {
		size, sum, err := d.hashFile(filepath.Join(folder, filepath.FromSlash(name)))
		if err != nil {
			return "", err
		}
		line, err := json.Marshal(FileEntry{name, size, sum})
		if err != nil {
			return "", fmt.Errorf("hashing input %s: %w", folder, err)
		}
		hash.Write(append(line, '\n'))
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// partName is the name of a part of a model in several files, as llama.cpp writes it.
var partName = regexp.MustCompile(`^(.*)-(\d{5})-of-(\d{5})\.gguf$`)

// maxParts bounds the parts that a name may ask for.
const maxParts = 10000

// PartsOf lists the names of all files, in the folder of a file, that make a model with
// it by its own name: NAME-00001-of-00003.gguf and so on. It is the file's own name alone
// for any other.
func PartsOf(path string) []string {
	base := filepath.Base(path)
	match := partName.FindStringSubmatch(base)
	if match == nil {
		return []string{base}
	}
	part, _ := strconv.Atoi(match[2]) // five digits
	count, _ := strconv.Atoi(match[3])
	if part < 1 || part > count || count > maxParts {
		return []string{base}
	}
	var names []string
	for i := 1; i <= count; i++ {
		names = append(names, fmt.Sprintf("%s-%05d-of-%05d.gguf", match[1], i, count))
	}
	return names
}

// listFiles lists the files in folder/below and under it, by slash-separated
// names relative to folder, sorted. What belongs to this package's own
// housekeeping is left out: temporaries and the lock.
func (d Disk) listFiles(folder, below string) ([]string, error) {
	entries, err := d.FS.ReadDir(filepath.Join(folder, filepath.FromSlash(below)))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		if entry.Name() == lockName || isTemporary(entry.Name()) {
			continue
		}
		name := entry.Name()
		if below != "" {
			name = below + "/" + name
		}
		if !entry.IsDir() {
			names = append(names, name)
			continue
		}
		more, err := d.listFiles(folder, name)
		if err != nil {
			return nil, err
		}
		names = append(names, more...)
	}
	sort.Strings(names)
	return names, nil
}

// verifyFiles checks the files of a folder against a manifest's entries, by
// size only or by hash as well, and reports every one that differs.
func (d Disk) verifyFiles(folder string, files []FileEntry, byHash bool) error {
	var damage []error
	for _, want := range files {
		if !filepath.IsLocal(filepath.FromSlash(want.Name)) {
			damage = append(damage, &CorruptError{Path: folder, Reason: fmt.Sprintf("the manifest names the file %q, which lies outside the folder", want.Name)})
			continue
		}
		path := filepath.Join(folder, filepath.FromSlash(want.Name))
		info, err := d.FS.Stat(path)
		switch {
		case isNotExist(err):
			damage = append(damage, &CorruptError{Path: path, Reason: "the file is missing"})
			continue
		case err != nil:
			damage = append(damage, fmt.Errorf("verifying: %w", err))
			continue
		case info.IsDir():
			damage = append(damage, &CorruptError{Path: path, Reason: "a folder stands where the manifest names a file"})
			continue
		case info.Size() != want.Size:
			damage = append(damage, &CorruptError{Path: path, Reason: fmt.Sprintf("%d bytes, the manifest says %d", info.Size(), want.Size)})
			continue
		}
		if !byHash {
			continue
		}
		_, sum, err := d.hashFile(path)
		switch {
		case err != nil:
			damage = append(damage, err)
		case sum != want.SHA256:
			damage = append(damage, &CorruptError{Path: path, Reason: fmt.Sprintf("checksum differs from manifest: found %s, want %s", sum, want.SHA256)})
		}
	}
	return errors.Join(damage...)
}
