package warc

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
	"strings"
)

// A Field is a named field of a header, the value without white space at its ends.
type Field struct{ Name, Value string }

// Fields are the fields of a header, in order.
type Fields []Field

// Get returns the value of the first field of a name, whatever its case, "" without one.
func (f Fields) Get(name string) string {
	for _, field := range f {
		if strings.EqualFold(field.Name, name) {
			return field.Value
		}
	}
	return ""
}

// A Record is a record of an archive.
type Record struct {
	// Version is the one that the record names: "1.0".
	Version string
	// Type is WARC-Type in small letters.
	Type string
	// Header has all fields, those of Type and Version too.
	Header Fields
	// Offset is where in the file the record begins, or the member in which it does;
	// Within is how many bytes of what that unpacks to stand before it: 0 where
	// every record has a member of its own.
	Offset, Within int64
	// Block is what the record holds. It is valid until the next record is read.
	Block []byte

	reader *Reader
}

// URI returns WARC-Target-URI as a URI: without the angle brackets that some programs
// wrote after WARC 1.0's grammar, spaces as %20.
func (r *Record) URI() string {
	uri := r.Header.Get("WARC-Target-URI")
	if strings.HasPrefix(uri, "<") && strings.HasSuffix(uri, ">") {
		uri = uri[1 : len(uri)-1]
	}
	return strings.ReplaceAll(uri, " ", "%20")
}

// Truncated is why the record holds less than there was ("length", "time",
// "disconnect"), "" if it holds all.
func (r *Record) Truncated() string { return r.Header.Get("WARC-Truncated") }

// A Reason says why something was not taken. Where package corpus has the same reason
// it has the same words.
type Reason string

// The reasons.
const (
	BadArchive  Reason = "damaged archive"        // gzip or zstd that ends early or fails its checksum
	Bomb        Reason = "unpacks past the limit" // see Options.MaxRatio, MaxUnpacked
	TooLarge    Reason = "too large"              // see Options.MaxRecord, MaxBody
	BadRecord   Reason = "damaged record"         // a header or length that makes no record
	NoWARC      Reason = "not a WARC file"        // nothing in it is a record
	Segmented   Reason = "record in segments"     // of which the block is one
	BadDigest   Reason = "digest differs"         // of the block, see Options.Digests
	BadResponse Reason = "damaged HTTP response"
)

// A Fault is a part of a file that is not taken. Reading goes on behind it.
type Fault struct {
	File string
	// Offset and Within say where it begins, as those of a Record do.
	Offset, Within int64
	// Bytes is its size as far as it was read, unpacked.
	Bytes  int64
	Reason Reason
	// Detail is what else there is to say.
	Detail string
}

func (f *Fault) Error() string {
	at := fmt.Sprintf("byte %d", f.Offset)
	if f.Within > 0 {
		at += fmt.Sprintf(", unpacked byte %d", f.Within)
	}
	return fmt.Sprintf("reading %s: %s: %s: %s", f.File, at, f.Reason, f.Detail)
}

// fault is what is wrong with a record, before it is known where that stands.
type fault struct {
	reason Reason
	detail string
}

func faultf(reason Reason, format string, args ...any) *fault {
	return &fault{reason, fmt.Sprintf(format, args...)}
}

// parseHeader reads a record's header: a line with the version, fields, of which a line
// that begins with white space goes on with the one before. Lines may end with LF
// alone.
func parseHeader(header []byte) (version string, fields Fields, length int64, bad *fault) {
	line, rest, _ := bytes.Cut(header, []byte{'\n'})
	version = strings.TrimPrefix(string(bytes.TrimSpace(line)), "WARC/")
	switch version {
	case "0.17", "0.18", "1.0", "1.1":
	default:
		return "", nil, 0, faultf(BadRecord, "a record of version %.20q; known are 0.17, 0.18, 1.0 and 1.1", version)
	}
	fields = parseFields(rest)
	length = -1
	for _, field := range fields {
		if !strings.EqualFold(field.Name, "Content-Length") {
			continue
		}
		n, err := strconv.ParseUint(field.Value, 10, 62)
		if err != nil {
			return "", nil, 0, faultf(BadRecord, "Content-Length %.40q is no length", field.Value)
		}
		if length >= 0 && length != int64(n) {
			return "", nil, 0, faultf(BadRecord, "Content-Length is %d and %d", length, n)
		}
		length = int64(n)
	}
	if length < 0 {
		return "", nil, 0, faultf(BadRecord, "its header has no Content-Length")
	}
	if fields.Get("WARC-Type") == "" {
		return "", nil, 0, faultf(BadRecord, "its header has no WARC-Type")
	}
	return version, fields, length, nil
}

// parseFields reads fields up to the end or an empty line. A line that is no field is
// passed over, as browsers do.
func parseFields(lines []byte) (fields Fields) {
	for len(lines) > 0 {
		var line []byte
		line, lines, _ = bytes.Cut(lines, []byte{'\n'})
		if len(bytes.TrimRight(line, "\r")) == 0 {
			return fields
		}
		if line[0] == ' ' || line[0] == '\t' {
			if len(fields) > 0 {
				last := &fields[len(fields)-1]
				last.Value = strings.TrimSpace(last.Value + " " + string(bytes.TrimSpace(line)))
			}
			continue
		}
		if name, value, ok := bytes.Cut(line, []byte{':'}); ok {
			fields = append(fields, Field{string(bytes.TrimSpace(name)), string(bytes.TrimSpace(value))})
		}
	}
	return fields
}

// checkDigest compares a block with the digest that its header names: "sha1:" and
// base 32, as most have it, or hexadecimal. What it does not know, it does not check.
func checkDigest(noted string, block []byte) *fault {
	name, want, ok := strings.Cut(noted, ":")
	if !ok {
		return nil
	}
	var h hash.Hash
	switch strings.ToLower(strings.ReplaceAll(name, "-", "")) {
	case "sha1":
		h = sha1.New()
	case "sha256":
		h = sha256.New()
	case "md5":
		h = md5.New()
	default:
		return nil
	}
	h.Write(block)
	sum := h.Sum(nil)
	if strings.EqualFold(want, hex.EncodeToString(sum)) ||
		strings.EqualFold(strings.TrimRight(want, "="), base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum)) {
		return nil
	}
	return faultf(BadDigest, "its block has not the digest %.80q that its header names", noted)
}
