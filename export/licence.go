package export

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/artifact/gguf"
	"github.com/seed-b72bdb6c/alma/model"
)

// LicenceKey is the key under which the manifest of an import keeps the licence
// of what was imported.
const LicenceKey = "license"

// Licence is the name of the licence under which a model came, as the Hugging Face
// Hub abbreviates it ("apache-2.0"): of a GGUF file general.license, of a stage's
// folder what its manifest keeps, of another folder the key "license" at the head
// of its README.md. It is "" where none is named.
func Licence(path string) string {
	if model.IsGGUF(path) {
		file, err := gguf.Open(path)
		if err != nil {
			return ""
		}
		defer file.Close()
		const key = "general.license"
		if !file.Has(key) {
			return ""
		}
		name, err := file.Text(key)
		if err != nil {
			return ""
		}
		return licenceName(name)
	}
	if manifest, err := artifact.Open(path, false); err == nil {
		return licenceName(manifest.Extra[LicenceKey])
	}
	file, err := os.Open(filepath.Join(path, "README.md"))
	if err != nil {
		return ""
	}
	defer file.Close()
	return licenceName(frontMatter(file, "license"))
}

// longestLicence bounds the name of a licence, in bytes.
const longestLicence = 100

func licenceName(name string) string {
	name = strings.Trim(strings.TrimSpace(name), `"'`)
	if len(name) > longestLicence {
		return ""
	}
	return name
}

// frontMatter is the value of a key with a plain value in the YAML at the head of a
// README.md, "" if there is none. It reads 64 KiB at most.
func frontMatter(from io.Reader, key string) string {
	lines := bufio.NewScanner(io.LimitReader(from, 64<<10))
	for first := true; lines.Scan(); first = false {
		line := strings.TrimRight(lines.Text(), " \r")
		if fence := line == "---"; first != fence {
			return ""
		}
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			return value
		}
	}
	return ""
}
