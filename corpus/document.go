package corpus

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seed-b72bdb6c/alma/corpus/filter"
)

// A Document is one text of a corpus.
type Document struct {
	// ID names the document within its source, and is unique there: a path
	// with forward slashes, and where a file holds several documents the line
	// or part, as in "a/b.jsonl:17".
	ID string `json:"id"`
	// Source is the Name of the source that yielded the document.
	Source string `json:"source"`
	// Group decides the split; see Shares.Of. Empty stands for the ID.
	Group string `json:"group,omitempty"`
	// Text is valid UTF-8.
	Text string `json:"text"`
}

// A Source yields documents. The same source on the same input yields the same
// documents in the same order.
type Source interface {
	// Name says where the documents come from, for reports.
	Name() string
	// Read calls accept for every document, in order, and refuse for
	// everything it does not take. Bad input is refused, never an error; an
	// error means that the source itself cannot be read, or is what accept
	// returned.
	Read(ctx context.Context, accept func(Document) error, refuse func(Refusal)) error
}

// A Reason says why something was not taken into the corpus.
type Reason string

// The reasons. Sources may add their own.
const (
	Binary     Reason = "binary"                 // holds a NUL byte
	BadUTF8    Reason = "bad UTF-8"              // offset of the first bad byte
	TooLarge   Reason = "too large"              // past Folder.MaxDocument
	TooSmall   Reason = "too small"              // under Options.MinBytes, or only white space
	Duplicate  Reason = "duplicate"              // same normalised text as an earlier document
	BadJSON    Reason = "bad JSON"               // a line that is not a JSON object
	NoText     Reason = "no text field"          // an object without a string "text"
	BadArchive Reason = "damaged archive"        // gzip or zstd that ends early or fails its checksum
	Bomb       Reason = "unpacks past the limit" // compressed data that grows beyond ratio or size
	Unreadable Reason = "unreadable"             // the operating system refused to open or read
	Hidden     Reason = "hidden"                 // a name that begins with a period
	NotRegular Reason = "not a regular file"     // links, devices, sockets
	PastBudget Reason = "past the size budget"   // a source's own cap on bytes was reached
)

// A Refusal is something that was not taken.
type Refusal struct {
	Source string `json:"source"`
	// File is the path within the source.
	File string `json:"file"`
	// Offset is the byte in the file (in what it unpacks to, for an archive)
	// where the refused part begins or the fault lies.
	Offset int64  `json:"offset"`
	Reason Reason `json:"reason"`
	// Bytes is the size of what was refused, as far as it was read.
	Bytes int64 `json:"bytes"`
	// Detail is what else there is to say, such as a parser's message.
	Detail string `json:"detail,omitempty"`
}

// A Split is one of the three parts of a corpus.
type Split string

// The splits. Nothing of Test may be seen by any training or tuning.
const (
	Train      Split = "train"
	Validation Split = "validation"
	Test       Split = "test"
)

// Splits lists the splits in the order in which reports show them.
var Splits = []Split{Train, Validation, Test}

// Shares are the expected shares of groups held out, each in [0, 1). What is
// left is for training.
type Shares struct {
	Validation float64 `json:"validation"`
	Test       float64 `json:"test"`
}

// DefaultShares hold out 3 % of the groups for validation and 5 % for the test.
var DefaultShares = Shares{Validation: .03, Test: .05}

// of is the share of a split.
func (s Shares) of(split Split) float64 {
	switch split {
	case Validation:
		return s.Validation
	case Test:
		return s.Test
	}
	return 1 - s.Validation - s.Test
}

// Check returns an error that says which share is out of range.
func (s Shares) Check() error {
	ok := func(x float64) bool { return x >= 0 && x < 1 } // false for NaN
	switch {
	case !ok(s.Validation):
		return fmt.Errorf("splitting the corpus: validation share %v must lie in [0, 1)", s.Validation)
	case !ok(s.Test):
		return fmt.Errorf("splitting the corpus: test share %v must lie in [0, 1)", s.Test)
	case s.Validation+s.Test >= 1:
		return fmt.Errorf("splitting the corpus: validation share %v and test share %v leave nothing to train on", s.Validation, s.Test)
	}
	return nil
}

// Of returns the split of a group. It depends on the group's name and the
// shares only: the first eight bytes of the SHA-256 of the name, read as a
// fraction of 1, fall below the test share, below test + validation, or above.
// Raising the validation share therefore moves no group into or out of Test.
func (s Shares) Of(group string) Split {
	sum := sha256.Sum256([]byte(group))
	x := float64(binary.BigEndian.Uint64(sum[:8])>>11) * 0x1p-53
	switch {
	case x < s.Test:
		return Test
	case x < math.Min(1, s.Test+s.Validation):
		return Validation
	}
	return Train
}

// checkText returns the reason and offset for which a text is not usable, or
// an empty reason.
func checkText(text string) (Reason, int64) {
	if i := strings.IndexByte(text, 0); i >= 0 {
		return Binary, int64(i)
	}
	for i, r := range text {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(text[i:]); n == 1 {
				return BadUTF8, int64(i)
			}
		}
	}
	return "", 0
}

// program are the endings of names of files that hold program text.
var program = strings.Fields(".go .c .h .cc .cpp .cxx .hpp .java .kt .scala .py .rb .pl .php .js .mjs .jsx .ts .tsx .rs .swift .cs .fs .hs .ml .lua .r .jl .sh .bash .sql .s .asm .m .dart .ex .exs .erl .clj .zig .v .css .scss")

// Facts is what filters are told of a document: its name, and by that whether it is
// prose or program text.
func Facts(id string) filter.Facts {
	name, _, _ := strings.Cut(id, "#") // a part of a file
	f := filter.Facts{ID: id, Kind: filter.Prose}
	if slices.Contains(program, strings.ToLower(path.Ext(name))) {
		f.Kind = filter.Code
	}
	return f
}
