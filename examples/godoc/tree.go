package godoc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"sort"
	"strings"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/corpus"
)

// Reasons for which files of the tree are not taken, beside those of corpus.
const (
	TestFile   corpus.Reason = "test file"
	Generated  corpus.Reason = "generated file"
	Vendored   corpus.Reason = "vendored code"
	TestData   corpus.Reason = "testdata or ignored folder"
	Unparsable corpus.Reason = "not parsable Go"
)

// maxFile is the largest Go file that is read; the largest that people wrote
// in the tree is a tenth of it.
const maxFile = 8 << 20

// Options say what to read.
type Options struct {
	// Root is the Go installation, the folder that holds src. Empty: see
	// FindRoot.
	Root string
	// MaxBytes keeps, of the Source's files, only those richest in comments up
	// to this many bytes over all splits. 0: all.
	MaxBytes int64
	// MaxDecl is the longest declaration, in bytes, that Functions takes.
	// 0: DefaultMaxDecl.
	MaxDecl int
}

// DefaultMaxDecl is the longest declaration, in bytes, that makes a prompt.
const DefaultMaxDecl = 240

// FindRoot returns the folder of a Go installation: explicit if it is not
// empty, else the environment's GOROOT, else what `go env GOROOT` prints. The
// error for a folder without src names the remedy.
func FindRoot(explicit string) (string, error) {
	root, from := explicit, "as given"
	if root == "" {
		root, from = os.Getenv("GOROOT"), "from the environment variable GOROOT"
	}
	if root == "" {
		out, err := exec.Command("go", "env", "GOROOT").Output()
		if err != nil {
			return "", artifact.Errorf(artifact.ErrNotFound, "finding the Go source tree: running go env GOROOT: %w; install Go, or name the folder that holds Go's src", err)
		}
		root, from = strings.TrimSpace(string(out)), "from go env GOROOT"
	}
	if info, err := os.Stat(filepath.Join(root, "src", "fmt")); err != nil || !info.IsDir() {
		if err == nil {
			err = errors.New("not a folder")
		}
		return "", artifact.Errorf(artifact.ErrNotFound, "finding the Go source tree: %s (%s) has no src/fmt: %w; name the folder of a Go installation with sources", root, from, err)
	}
	return root, nil
}

// Version returns the first line of root's VERSION file, such as "go1.26.0",
// or "unknown version" for a tree without one.
func Version(root string) string {
	b, err := os.ReadFile(filepath.Join(root, "VERSION"))
	if err != nil {
		return "unknown version"
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(line)
}

// A goFile is one file of the tree that is taken.
type goFile struct {
	path       string // below src, with forward slashes
	importPath string
	text       []byte // licence header cut
}

// walk visits the Go files of root/src in lexical order of their paths.
func walk(ctx context.Context, root, source string, visit func(goFile) error, refuse func(corpus.Refusal)) error {
	src := filepath.Join(root, "src")
	err := filepath.WalkDir(src, func(name string, d fs.DirEntry, err error) error {
		if ctxErr := ctx.Err(); ctxErr != nil {
			return ctxErr
		}
		rel, relErr := filepath.Rel(src, name)
		if relErr != nil {
			return relErr
		}
		rel = filepath.ToSlash(rel)
		no := func(reason corpus.Reason, size int64, detail string) {
			refuse(corpus.Refusal{Source: source, File: rel, Reason: reason, Bytes: size, Detail: detail})
		}
		if err != nil {
			if rel == "." {
				return err
			}
			no(corpus.Unreadable, 0, err.Error())
			return nil
		}
		if d.IsDir() {
			switch base := d.Name(); {
			case rel == ".":
			case base == "vendor":
				no(Vendored, 0, "folder")
				return fs.SkipDir
			case base == "testdata" || base[0] == '_' || base[0] == '.':
				no(TestData, 0, "folder")
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		if !d.Type().IsRegular() {
			no(corpus.NotRegular, 0, "")
			return nil
		}
		info, err := d.Info()
		if err != nil {
			no(corpus.Unreadable, 0, err.Error())
			return nil
		}
		switch {
		case strings.HasSuffix(rel, "_test.go"):
			no(TestFile, info.Size(), "")
			return nil
		case info.Size() > maxFile:
			no(corpus.TooLarge, info.Size(), fmt.Sprintf("the limit is %d bytes", maxFile))
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			no(corpus.Unreadable, info.Size(), err.Error())
			return nil
		}
		if isGenerated(text) {
			no(Generated, int64(len(text)), "")
			return nil
		}
		return visit(goFile{path: rel, importPath: path.Dir(rel), text: cutLicence(text)})
	})
	if err != nil {
		return fmt.Errorf("reading the Go source tree %s: %w", src, err)
	}
	return nil
}

// generated is the line by which tools mark their output (go.dev/s/generatedcode).
var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.\r?$`)

// isGenerated reports whether the mark stands before the package clause.
func isGenerated(text []byte) bool {
	at := generated.FindIndex(text)
	if at == nil {
		return false
	}
	clause := packageClause.FindIndex(text)
	return clause == nil || at[0] < clause[0]
}

var packageClause = regexp.MustCompile(`(?m)^package\s`)

// cutLicence drops the comments that a file begins with as long as they speak
// of copyright, and the blank lines after them.
func cutLicence(text []byte) []byte {
	for {
		rest := bytes.TrimLeft(text, " \t\r\n")
		var comment []byte
		switch {
		case bytes.HasPrefix(rest, []byte("//")):
			n := 0
			for bytes.HasPrefix(rest[n:], []byte("//")) {
				end := bytes.IndexByte(rest[n:], '\n')
				if end < 0 {
					n = len(rest)
					break
				}
				n += end + 1
			}
			comment = rest[:n]
		case bytes.HasPrefix(rest, []byte("/*")):
			end := bytes.Index(rest, []byte("*/"))
			if end < 0 {
				return text
			}
			comment = rest[:end+2]
		}
		if len(comment) == 0 || !bytes.Contains(bytes.ToLower(comment), []byte("copyright")) {
			return text
		}
		text = bytes.TrimLeft(rest[len(comment):], " \t\r\n")
	}
}

// commentShare returns the share of the text's bytes that lie in comments.
func commentShare(text []byte) float64 {
	if len(text) == 0 {
		return 0
	}
	set := token.NewFileSet()
	f := set.AddFile("", set.Base(), len(text))
	var s scanner.Scanner
	s.Init(f, text, nil, scanner.ScanComments)
	n := 0
	for {
		_, tok, lit := s.Scan()
		if tok == token.EOF {
			return float64(n) / float64(len(text))
		}
		if tok == token.COMMENT {
			n += len(lit)
		}
	}
}

// Source is the tree as a source of documents. It implements corpus.Source.
type Source struct {
	root string
	opts Options
}

// NewSource finds the tree. The error is FindRoot's.
func NewSource(opts Options) (*Source, error) {
	root, err := FindRoot(opts.Root)
	if err != nil {
		return nil, err
	}
	return &Source{root: root, opts: opts}, nil
}

// Name returns the version of Go and what of it is read, as in "go1.26.0 src".
func (s *Source) Name() string { return Version(s.root) + " src" }

// Read yields one document per file. Its ID is the path below src, its group
// the import path. Files with the highest share of comments come first, equal
// shares by path; those past Options.MaxBytes are refused as PastBudget.
func (s *Source) Read(ctx context.Context, accept func(corpus.Document) error, refuse func(corpus.Refusal)) error {
	type file struct {
		corpus.Document
		comments float64 // share of the text
	}
	var files []file
	err := walk(ctx, s.root, s.Name(), func(f goFile) error {
		d := corpus.Document{ID: f.path, Source: s.Name(), Group: f.importPath, Text: string(f.text)}
		files = append(files, file{d, commentShare(f.text)})
		return nil
	}, refuse)
	if err != nil {
		return err
	}
	sort.SliceStable(files, func(i, j int) bool { return files[i].comments > files[j].comments })
	var total int64
	full := false
	for _, f := range files {
		n := int64(len(f.Text))
		// The budget cuts the order at one place: a small file further down
		// does not slip in after a large one was refused.
		if full = full || s.opts.MaxBytes > 0 && total+n > s.opts.MaxBytes; full {
			refuse(corpus.Refusal{Source: s.Name(), File: f.ID, Reason: corpus.PastBudget, Bytes: n,
				Detail: fmt.Sprintf("comment share %.3f; the budget is %d bytes", f.comments, s.opts.MaxBytes)})
			continue
		}
		total += n
		if err := accept(f.Document); err != nil {
			return err
		}
	}
	return nil
}
