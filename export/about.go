package export

import (
	"bufio"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/artifact/gguf"
	"github.com/seed-b72bdb6c/alma/dataset"
	"github.com/seed-b72bdb6c/alma/evaluate"
	"github.com/seed-b72bdb6c/alma/model/file"
	"github.com/seed-b72bdb6c/alma/tokenizer"
)

// About is what is known of a model that lies at a path: of a GGUF file its
// metadata, of a stage's folder what its manifest keeps in "extra" (an import's
// keeps what it read), of another folder the head of its README.md.
func About(path string) file.About {
	if file.IsGGUF(path) {
		f, err := gguf.Open(path)
		if err != nil {
			return file.About{}
		}
		defer f.Close()
		return file.AboutGGUF(f)
	}
	if manifest, err := artifact.Open(path, false); err == nil {
		return file.AboutCard(func(key string) string { return manifest.Extra[key] })
	}
	readme, err := os.Open(filepath.Join(path, "README.md"))
	if err != nil {
		return file.About{}
	}
	defer readme.Close()
	head := frontMatter(readme)
	return file.AboutCard(func(key string) string { return head[key] })
}

// ValidationText is the text that the pretraining in a model's line left for validation,
// as token shards; "" if there is none that is still there and has the tokens of the
// model's tokenizer.
func ValidationText(source string, t *tokenizer.Tokenizer) string {
	for _, a := range lineage(source) {
		if a.manifest == nil {
			continue
		}
		path := filepath.Join(a.path, "shards", dataset.ValidationShards)
		shards, err := dataset.OpenShards(path)
		if err != nil {
			continue
		}
		fits := shards.Info.VocabSize == t.VocabSize() && shards.Tokens() >= evaluate.LeastTokens
		shards.Close()
		if fits {
			return path
		}
	}
	return ""
}

// frontMatter are the keys with plain values in the YAML at the head of a
// README.md, as text. It reads 64 KiB at most.
func frontMatter(from io.Reader) map[string]string {
	head := make(map[string]string)
	lines := bufio.NewScanner(io.LimitReader(from, 64<<10))
	for first := true; lines.Scan(); first = false {
		line := strings.TrimRight(lines.Text(), " \r")
		if fence := line == "---"; first != fence {
			break
		}
		if key, value, ok := strings.Cut(line, ":"); ok {
			value, _, _ = strings.Cut(value, " #") // a comment
			head[key] = strings.Trim(strings.TrimSpace(value), `"'`)
		}
	}
	return head
}

// Origin is the artifact that an exported file or folder came from: its digest, and
// where it lies if it is found beside the path or below one of the folders, such as
// runs.
func Origin(path string, folders ...string) (source artifact.Input, ok bool) {
	source.SHA256 = About(path).Lineage
	if source.SHA256 == "" {
		return source, false
	}
	const depth = 3 // a folder of runs, a run, a stage
	parent := filepath.Dir(filepath.Clean(path))
	for _, root := range append([]string{parent, filepath.Dir(parent)}, folders...) {
		level := func(path string) int { return strings.Count(filepath.Clean(path), string(filepath.Separator)) }
		_ = filepath.WalkDir(root, func(at string, d fs.DirEntry, err error) error { // what cannot be read is not it
			if err != nil || !d.IsDir() {
				return nil
			}
			if level(at)-level(root) > depth {
				return fs.SkipDir
			}
			if _, err := artifact.Open(at, false); err != nil {
				return nil
			}
			if sum, err := artifact.HashInput(at); err == nil && sum == source.SHA256 {
				source.Path = at
				return fs.SkipAll
			}
			return nil
		})
		if source.Path != "" {
			return source, true
		}
	}
	return source, true
}
