package warc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// entry writes a record whose Content-Length is that of its block.
func entry(version, kind, block string, fields ...string) string {
	return fmt.Sprintf("WARC/%s\r\nWARC-Type: %s\r\nWARC-Record-ID: <urn:uuid:1>\r\nWARC-Target-URI: http://example.com/\r\n%sContent-Length: %d\r\n\r\n%s\r\n\r\n",
		version, kind, strings.Join(append(fields, ""), "\r\n"), len(block), block)
}

func gz(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(text))
	z.Close()
	return b.String()
}

func zst(text string) string {
	z, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return string(z.EncodeAll([]byte(text), nil))
}

// read reads an archive: of each record and fault a line, then what was passed over.
func read(t testing.TB, data string, o Options) (lines []string, passed map[string]int64) {
	t.Helper()
	r, err := NewReader(strings.NewReader(data), "archive", o)
	if err != nil {
		t.Fatal(err)
	}
	for record, err := range r.Records() {
		var fault *Fault
		switch {
		case errors.As(err, &fault):
			lines = append(lines, fmt.Sprintf("%d+%d: %s: %s", fault.Offset, fault.Within, fault.Reason, fault.Detail))
		case err != nil:
			t.Fatal(err)
		default:
			lines = append(lines, fmt.Sprintf("%d+%d: %s %s %s", record.Offset, record.Within, record.Version, record.Type, record.Block))
		}
	}
	return lines, r.Passed()
}

func check(t *testing.T, what, data string, o Options, want ...string) {
	t.Helper()
	if got, _ := read(t, data, o); !slices.Equal(got, want) {
		t.Errorf("%s:\n\t%s\nwant\n\t%s", what, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// What other programs wrote: the test files of warcio.
func TestArchivesOfOtherPrograms(t *testing.T) {
	for _, c := range []struct {
		file    string
		records []string // offset, type, URI, status, content type, size of the body
		passed  string
	}{
		{"example.warc.gz", []string{"784+0 response http://example.com/ 200 text/html 1270"}, "map[request:2 revisit:1 warcinfo:2]"},
		// All records in one member.
		{"example-bad-non-chunked.warc.gz", []string{"0+1197 response http://example.com/ 200 text/html 1270"}, "map[request:2 revisit:1 warcinfo:2]"},
		{"example-bad.warc.gz.bad", []string{
			"0+460 response http://example.com?example=1 200 text/html 1270",
			"0+4771 response http://www.iana.org/domains/example 302 text/html; charset=iso-8859-1 201",
		}, "map[request:2 revisit:1 warcinfo:1]"},
		{"example-digest.warc", nil, "map[request:4]"},
		{"example-iana.org-chunked.warc", []string{"405+0 response http://www.iana.org/ 200 text/html; charset=UTF-8 7223"}, "map[request:1 warcinfo:1]"},
		{"example-resource.warc.gz", []string{"802+0 resource http://example.com/ 0 text/html; charset=utf-8 1303"}, "map[warcinfo:2]"},
		{"example-space-in-target-uri.warc.gz", []string{"241+0 resource file:///example%20with%20spaces.png 0 image/png 70"}, "map[warcinfo:1]"},
		{"example-trunc.warc", []string{"1197+0: damaged record: no record follows where its block ends by its Content-Length"}, "map[request:1 warcinfo:2]"},
		{"example-wget-bad-target-uri.warc.gz", []string{
			"824+0 response http://example.com/ 200 text/html 1270",
			"2295+0 resource metadata://gnu.org/software/wget/warc/wget_arguments.txt 0 text/plain 49",
			"2681+0 resource metadata://gnu.org/software/wget/warc/wget.log 0 text/plain 471",
		}, "map[metadata:1 request:1 warcinfo:1]"},
		// A record over several members.
		{"example-wrong-chunks.warc.gz", []string{"0+0 response http://example.com/ 200 text/html; charset=UTF-8 1270"}, "map[request:1]"},
		{"post-test.warc.gz", []string{
			"0+0 response http://httpbin.org/post 200 application/json 545",
			"1196+0 response http://httpbin.org/post 200 application/json 552",
			"2395+0 response http://httpbin.org/post?foo=bar 200 application/json 551",
		}, "map[request:3]"},
		{"bad.arc", []string{"0+0: not a WARC file: it is an ARC file, which is not read; convert it to WARC, as warcio recompress does"}, "map[]"},
		{"example.arc.gz", []string{"0+0: not a WARC file: it is an ARC file, which is not read; convert it to WARC, as warcio recompress does"}, "map[]"},
	} {
		data, err := os.ReadFile(filepath.Join("testdata", c.file))
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewReader(bytes.NewReader(data), c.file, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for record, err := range r.Records() {
			var fault *Fault
			if errors.As(err, &fault) {
				got = append(got, fmt.Sprintf("%d+%d: %s: %s", fault.Offset, fault.Within, fault.Reason, fault.Detail))
				continue
			}
			content, err := record.Content()
			if err != nil {
				t.Errorf("%s: %v", c.file, err)
				continue
			}
			got = append(got, fmt.Sprintf("%d+%d %s %s %d %s %d", record.Offset, record.Within, record.Type, record.URI(), content.Status, content.Type, len(content.Body)))
		}
		if passed := fmt.Sprint(r.Passed()); !slices.Equal(got, c.records) || passed != c.passed {
			t.Errorf("%s:\n\t%s\n\t%s\nwant\n\t%s\n\t%s", c.file, strings.Join(got, "\n\t"), passed, strings.Join(c.records, "\n\t"), c.passed)
		}
	}
}

// some are records of every version, some to be passed over, one empty, one longer than
// any buffer.
var some = []string{
	entry("1.0", "warcinfo", "software: test"),
	entry("1.0", "response", "HTTP/1.1 200 OK\r\n\r\none"),
	entry("1.1", "Resource", ""),
	entry("1.1", "metadata", "x: y"),
	entry("0.18", "conversion", strings.Repeat("long and longer ", 20_000)),
	entry("0.17", "revisit", ""),
	entry("1.0", "conversion", "WARC/1.0\r\nwithin a block\r\n\r\nWARC/1.0\r\n"),
	entry("1.0", "future", "?"),
	entry("1.0", "resource", "last"),
}

// packings are ways in which archives are packed.
var packings = map[string]func(records []string) string{
	"plain":               func(r []string) string { return strings.Join(r, "") },
	"gzip by record":      func(r []string) string { return each(r, gz) },
	"one member":          func(r []string) string { return gz(strings.Join(r, "")) },
	"members of one size": func(r []string) string { return each(pieces(strings.Join(r, ""), 50), gz) },
	"zstd by record":      func(r []string) string { return each(r, zst) },
	"one frame":           func(r []string) string { return zst(strings.Join(r, "")) },
	"frames of one size":  func(r []string) string { return each(pieces(strings.Join(r, ""), 777), zst) },
	"frames to be skipped": func(r []string) string {
		return each(r, func(text string) string { return "\x50\x2a\x4d\x18\x03\x00\x00\x00abc" + zst(text) })
	},
	"gzip with zeros": func(r []string) string {
		return each(r, func(text string) string { return gz(text) + "\x00\x00\x00" })
	},
}

func each(parts []string, pack func(string) string) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteString(pack(part))
	}
	return b.String()
}

func pieces(text string, size int) (all []string) {
	for piece := range slices.Chunk([]byte(text), size) {
		all = append(all, string(piece))
	}
	return all
}

// Every packing yields the same records, and what is said of their places is true: what
// unpacks from the offset begins, behind so many bytes, with the record.
func TestEveryPackingYieldsTheSameRecordsAtTheirPlaces(t *testing.T) {
	for name, pack := range packings {
		data := pack(some)
		r, err := NewReader(strings.NewReader(data), name, Options{})
		if err != nil {
			t.Fatal(err)
		}
		want := []int{1, 2, 4, 6, 8}
		for record, err := range r.Records() {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			text := some[want[0]]
			want = want[1:]
			if _, block, _ := strings.Cut(text, "\r\n\r\n"); string(record.Block) != strings.TrimSuffix(block, "\r\n\r\n") {
				t.Errorf("%s: block %.40q, want that of %.120q", name, record.Block, text)
			}
			if record.Header.Get("content-length") != fmt.Sprint(len(record.Block)) || record.URI() != "http://example.com/" {
				t.Errorf("%s: header %v", name, record.Header)
			}
			var in io.Reader = strings.NewReader(data[record.Offset:])
			switch {
			case strings.Contains(name, "frame"), strings.Contains(name, "zstd"):
				in, err = zstd.NewReader(in)
			case name != "plain":
				in, err = gzip.NewReader(in)
				if err == nil && name == "gzip with zeros" {
					in.(*gzip.Reader).Multistream(false)
				}
			}
			if err != nil {
				t.Errorf("%s: nothing begins at %d: %v", name, record.Offset, err)
				continue
			}
			begin := make([]byte, record.Within+60)
			if _, err := io.ReadFull(in, begin); err != nil || string(begin[record.Within:]) != text[:60] {
				t.Errorf("%s: at %d+%d stands %q, want %.60q (%v)", name, record.Offset, record.Within, begin[record.Within:], text, err)
			}
			if strings.HasSuffix(name, "by record") && record.Within != 0 {
				t.Errorf("%s: a record begins within a member, at %d+%d", name, record.Offset, record.Within)
			}
		}
		if len(want) > 0 {
			t.Errorf("%s: %d records are missing", name, len(want))
		}
		if got := fmt.Sprint(r.Passed()); got != "map[future:1 metadata:1 revisit:1 warcinfo:1]" {
			t.Errorf("%s: passed over %s", name, got)
		}
	}
}

func TestFramesThatShareADictionary(t *testing.T) {
	var samples [][]byte
	for i := range 200 {
		samples = append(samples, []byte(entry("1.0", "response", fmt.Sprintf("HTTP/1.1 200 OK\r\n\r\n%d pages of %d", i, i*i))))
	}
	dictionary, err := zstd.BuildDict(zstd.BuildDictOptions{ID: 7, Contents: samples, History: slices.Concat(samples[:8]...), Offsets: [3]int{1, 4, 8}})
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderDict(dictionary))
	if err != nil {
		t.Fatal(err)
	}
	frames := each(some, func(text string) string { return string(z.EncodeAll([]byte(text), nil)) })
	want, _ := read(t, strings.Join(some, ""), Options{})
	for name, held := range map[string]string{"as it is": string(dictionary), "packed": zst(string(dictionary))} {
		begin := binary.LittleEndian.AppendUint32([]byte("\x5d\x2a\x4d\x18"), uint32(len(held)))
		got, _ := read(t, string(begin)+held+frames, Options{})
		if len(got) != len(want) || !strings.HasSuffix(got[len(got)-1], "last") {
			t.Errorf("with a dictionary %s: %q", name, got)
		}
	}
	if got, _ := read(t, frames, Options{}); len(got) == 0 || !strings.Contains(got[0], string(BadArchive)) {
		t.Errorf("without the dictionary: %q", got)
	}
}

func TestDamageEndsARecordAndNotTheFile(t *testing.T) {
	a, b, c := entry("1.0", "resource", "one"), entry("1.1", "conversion", "two"), entry("0.18", "resource", "three")
	second, third := len(a), len(a)+len(b)
	recordA, recordB, recordC := "0+0: 1.0 resource one", fmt.Sprintf("%d+0: 1.1 conversion two", second), fmt.Sprintf("%d+0: 0.18 resource three", third)
	moved := func(n int) string { return fmt.Sprintf("%d+0: 1.1 conversion two", second+n) }
	check(t, "whole", a+b+c, Options{}, recordA, recordB, recordC)
	check(t, "bytes between", a+"garbage\r\n"+b, Options{}, recordA, fmt.Sprintf("%d+0: damaged record: no record begins here", second), moved(9))
	check(t, "length too long", strings.Replace(a, "Length: 3", "Length: 9", 1)+b+c, Options{},
		"0+0: damaged record: no record follows where its block ends by its Content-Length", recordB, recordC)
	check(t, "length too short", strings.Replace(a, "Length: 3", "Length: 2", 1)+b, Options{},
		"0+0: damaged record: no record follows where its block ends by its Content-Length", recordB)
	check(t, "length beyond the file", strings.Replace(a, "Length: 3", "Length: 1152921504606846976", 1)+b, Options{},
		fmt.Sprintf("0+0: damaged record: its block has 1152921504606846976 bytes, and the file %d more", 3+4+len(b)), moved(18))
	check(t, "length below zero", strings.Replace(a, "Length: 3", "Length: -3", 1)+b, Options{}, `0+0: damaged record: Content-Length "-3" is no length`, moved(1))
	check(t, "two lengths", strings.Replace(a, "Content-Length: 3", "Content-Length: 3\r\nContent-length: 4", 1)+b, Options{}, `0+0: damaged record: Content-Length is 3 and 4`, moved(19))
	check(t, "no length", strings.Replace(a, "Content-Length: 3\r\n", "", 1)+b, Options{}, "0+0: damaged record: its header has no Content-Length", moved(-19))
	check(t, "no type", strings.Replace(a, "WARC-Type", "X-Type", 1)+b, Options{}, "0+0: damaged record: its header has no WARC-Type", moved(-3))
	check(t, "another version", strings.Replace(a, "WARC/1.0", "WARC/2.0", 1)+b, Options{}, `0+0: damaged record: a record of version "2.0"; known are 0.17, 0.18, 1.0 and 1.1`, recordB)
	check(t, "header without end", "WARC/1.0\r\nX: "+strings.Repeat("x", 5000)+"\r\n"+b, Options{MaxHeader: 1000},
		"0+0: damaged record: its header is longer than 1000 bytes", "5015+0: 1.1 conversion two")
	check(t, "file ends in a header", a+b[:40], Options{}, recordA, fmt.Sprintf("%d+0: damaged record: the file ends in its header", second))
	check(t, "file ends in a block", a+b[:len(b)-6], Options{}, recordA, fmt.Sprintf("%d+0: damaged record: its block has 3 bytes, and the file 1 more", second))
	check(t, "too large", entry("1.0", "resource", strings.Repeat("x", 5000))+b, Options{MaxRecord: 4999},
		"0+0: too large: its block has 5000 bytes; the limit is 4999", fmt.Sprintf("%d+0: 1.1 conversion two", len(entry("1.0", "resource", strings.Repeat("x", 5000)))))
	check(t, "a segment", entry("1.0", "response", "x", "WARC-Segment-Number: 1")+c, Options{},
		"0+0: record in segments: its block is segment 1", fmt.Sprintf("%d+0: 0.18 resource three", len(entry("1.0", "response", "x", "WARC-Segment-Number: 1"))))
	check(t, "no archive", "hello\nworld\n", Options{}, "0+0: not a WARC file: it holds no record: no record begins here")
	check(t, "empty", "", Options{}, "0+0: not a WARC file: it holds no record")

	// Packed, by record.
	packedA, packedB, packedC := gz(a), gz(b), gz(c)
	at := func(n int, text string) string { return fmt.Sprintf("%d+0: %s", n, text) }
	gB, gC := len(packedA), len(packedA)+len(packedB)
	flip := func(text string, at int) string {
		data := []byte(text)
		data[at] ^= 0xff
		return string(data)
	}
	check(t, "a damaged member", packedA+flip(packedB, 30)+packedC, Options{}, recordA, at(gB, "damaged archive: damaged: "+errorOf(t, flip(packedB, 30))), at(gC, "0.18 resource three"))
	check(t, "a wrong checksum", packedA+flip(packedB, len(packedB)-6)+packedC, Options{}, recordA, at(gB, "damaged archive: damaged: gzip: invalid checksum"), at(gC, "0.18 resource three"))
	check(t, "a damaged header of a member", packedA+flip(packedB, 2)+packedC, Options{}, recordA, at(gB, "damaged archive: damaged: gzip: invalid header"), at(gC, "0.18 resource three"))
	check(t, "a member that is cut", packedA+packedB[:len(packedB)/2]+packedC, Options{}, recordA, at(gB, "damaged archive: damaged: "+errorOf(t, packedB[:len(packedB)/2]+packedC)), at(len(packedA)+len(packedB)/2, "0.18 resource three"))
	check(t, "the file ends in a member", packedA+packedB[:len(packedB)-20], Options{}, recordA, at(gB, "damaged archive: damaged: unexpected EOF"))
	check(t, "a record that its member ends in", gz(a[:len(a)-6])+packedB, Options{},
		fmt.Sprintf("0+0: damaged record: another record begins in its block, at byte %d of the file", len(gz(a[:len(a)-6]))), at(len(gz(a[:len(a)-6])), "1.1 conversion two"))
	check(t, "a header that its member ends in", gz(a[:50])+packedB, Options{},
		fmt.Sprintf("0+0: damaged record: another record begins in its header, at byte %d of the file", len(gz(a[:50]))), at(len(gz(a[:50])), "1.1 conversion two"))
	check(t, "no line ends behind the block", gz(strings.TrimSpace(a))+packedB, Options{}, recordA, at(len(gz(strings.TrimSpace(a))), "1.1 conversion two"))
	check(t, "a damaged frame", zst(a)+flip(zst(b), len(zst(b))-1)+zst(c), Options{}, recordA, at(len(zst(a)), "damaged archive: damaged: CRC check failed"), at(len(zst(a)+zst(b)), "0.18 resource three"))
	check(t, "bytes between frames", zst(a)+"bytes"+zst(c), Options{}, recordA, at(len(zst(a)), "damaged archive: damaged: zstd: no frame begins here"), at(len(zst(a))+5, "0.18 resource three"))
	check(t, "the file ends in a frame's header", zst(a)+zst(b)[:5], Options{}, recordA, at(len(zst(a)), "damaged archive: damaged: unexpected EOF"))
	check(t, "the file ends in a frame", zst(a)+zst(b)[:50], Options{}, recordA, at(len(zst(a)), "damaged archive: damaged: unexpected EOF"))
}

// errorOf is what gzip says of data.
func errorOf(t *testing.T, data string) string {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(data))
	if err == nil {
		_, err = io.Copy(io.Discard, z)
	}
	if err == nil {
		t.Fatal("gzip finds no damage")
	}
	return err.Error()
}

func TestLineEndsAndFoldedFieldsOfOtherWriters(t *testing.T) {
	a, b := entry("1.0", "resource", "one"), entry("1.1", "conversion", "two")
	unix := strings.ReplaceAll(a, "\r\n", "\n")
	check(t, "line feeds alone", unix+strings.ReplaceAll(b, "\r\n", "\n"), Options{}, "0+0: 1.0 resource one", fmt.Sprintf("%d+0: 1.1 conversion two", len(unix)))
	check(t, "more empty lines", "\r\n\r\n"+a+"\r\n\n\r\n"+b, Options{}, "4+0: 1.0 resource one", fmt.Sprintf("%d+0: 1.1 conversion two", len(a)+9))
	r, err := NewReader(strings.NewReader(strings.Replace(a, "http://example.com/", "<http://example.com/\r\n\ta b>", 1)), "folded", Options{})
	if err != nil {
		t.Fatal(err)
	}
	for record, err := range r.Records() {
		if err != nil || record.URI() != "http://example.com/%20a%20b" {
			t.Errorf("folded URI %q, %v", record.URI(), err)
		}
	}
}

func TestDigestsAreCompared(t *testing.T) {
	for digest, sound := range map[string]bool{
		"sha1:7Z3XPQJNVZ7TGWHYOSGLZ3BR3KU3KLMO":                                    false,
		"sha1:ZL6SDPC5VS7Y4AZS4VQAGR2XCYMONMIV":                                    false,
		"sha1:fe05bcdcdc4928012781a5f1a2a77cbb5398e106":                            true,
		"sha1:" + strings.ToUpper("fe05bcdcdc4928012781a5f1a2a77cbb5398e106"):      true,
		"sha1:7YC3ZXG4JEUACJ4BUXY2FJ34XNJZRYIG":                                    true,
		"md5:f97c5d29941bfb1b2fdab0874906ab82":                                     true,
		"sha-256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed": true,
		"sha-256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ee": false,
		"crc9:1": true, "": true,
	} {
		data := entry("1.0", "resource", "one", "WARC-Block-Digest: "+digest)
		if got, _ := read(t, data, Options{Digests: true}); strings.Contains(got[0], string(BadDigest)) == sound {
			t.Errorf("digest %q: %q", digest, got)
		}
		if got, _ := read(t, data, Options{}); got[0] != "0+0: 1.0 resource one" {
			t.Errorf("digest %q, not looked at: %q", digest, got)
		}
	}
}

// Zeros pack a thousandfold. What unpacks beyond the ratio ends the member, whether its
// record is wanted or not.
func TestBombsAreRefused(t *testing.T) {
	zeros, b := strings.Repeat("\x00", 8<<20), entry("1.1", "conversion", "two")
	for _, kind := range []string{"resource", "request"} {
		for name, pack := range map[string]func(string) string{"gzip": gz, "zstd": zst} {
			bomb := pack(entry("1.0", kind, zeros))
			check(t, name+" "+kind, bomb+pack(b), Options{}, "0+0: unpacks past the limit: unpacks past the limit of 200 times its size", fmt.Sprintf("%d+0: 1.1 conversion two", len(bomb)))
		}
	}
	check(t, "past the size", each([]string{b, b, b, b, b}, gz), Options{MaxUnpacked: 300}, "0+0: 1.1 conversion two", fmt.Sprintf("%d+0: 1.1 conversion two", len(gz(b))),
		fmt.Sprintf("%d+0: unpacks past the limit: unpacks past the limit of 300 bytes for the file", 2*len(gz(b))))
}

// A length is no reason to take memory.
func TestMemoryFollowsWhatThereIs(t *testing.T) {
	data := gz(strings.Replace(entry("1.0", "resource", "one"), "Length: 3", "Length: 30000000", 1)) + gz(entry("1.0", "resource", "two"))
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			read(b, data, Options{})
		}
	}).AllocedBytesPerOp()
	if allocated > 3<<20 {
		t.Errorf("a record that says it has 30 MB takes %d bytes", allocated)
	}
}

// A disk that fails is no damage.
func TestAReadErrorIsTheLast(t *testing.T) {
	for name, pack := range packings {
		data := pack(some)
		for _, at := range []int{0, len(data) / 3, len(data) - 1} {
			in := &failingReader{*strings.NewReader(data), int64(at)}
			r, err := NewReader(in, "archive", Options{})
			if err == nil {
				for _, err = range r.Records() {
				}
			}
			if !errors.Is(err, errDisk) {
				t.Errorf("%s: failing at %d: %v", name, at, err)
			}
		}
	}
}

var errDisk = errors.New("the disk fails")

type failingReader struct {
	strings.Reader
	at int64
}

func (f *failingReader) Read(p []byte) (int, error) {
	offset := f.Size() - int64(f.Len())
	if offset >= f.at {
		return 0, errDisk
	}
	return f.Reader.Read(p[:min(int64(len(p)), f.at-offset)])
}

// Any damaged byte costs the record that it stands in, and those that a wrong length
// runs over, and no more.
func TestAnyDamagedByteCostsFewRecords(t *testing.T) {
	var records []string
	for i := range 12 {
		records = append(records, entry("1.0", "resource", fmt.Sprintf("the block of record %d", i)))
	}
	for _, name := range []string{"plain", "gzip by record", "zstd by record"} {
		data := packings[name](records)
		for i := range data {
			for _, bits := range []byte{0x01, 0xff} {
				damaged := []byte(data)
				damaged[i] ^= bits
				lines, _ := read(t, string(damaged), Options{})
				sound := 0
				for i := range 12 {
					if slices.ContainsFunc(lines, func(line string) bool { return strings.HasSuffix(line, fmt.Sprintf("the block of record %d", i)) }) {
						sound++
					}
				}
				if sound < 10 && !(i < 4 && name != "plain") { // what the file is packed by is not known
					t.Fatalf("%s: with byte %d another, %d of 12 records are read: %q", name, i, sound, lines)
				}
			}
		}
	}
}

func FuzzRecords(f *testing.F) {
	small := []string{some[0], some[1], some[6], some[8]}
	for _, pack := range packings {
		f.Add([]byte(pack(small)))
	}
	for _, name := range []string{"example.arc.gz", "example-wrong-chunks.warc.gz", "example-trunc.warc"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := NewReader(bytes.NewReader(data), "archive", Options{MaxUnpacked: 1 << 20, MaxRecord: 64 << 10, MaxBody: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for record, err := range r.Records() {
			var fault *Fault
			switch {
			case err == nil:
				if record.Offset < 0 || record.Offset >= int64(len(data)) || record.Within < 0 || len(record.Block) > 64<<10 {
					t.Errorf("a record of %d bytes at %d+%d of %d bytes", len(record.Block), record.Offset, record.Within, len(data))
				}
				if content, err := record.Content(); err == nil && len(content.Body) > 64<<10 && content.Status > 0 {
					t.Errorf("a body of %d bytes", len(content.Body))
				} else if err != nil && !errors.As(err, &fault) {
					t.Error(err)
				}
			case !errors.As(err, &fault):
				t.Fatal(err)
			case fault.Offset < 0 || fault.Offset > int64(len(data)) || fault.Within < 0 || fault.Bytes < 0:
				t.Errorf("%+v in %d bytes", fault, len(data))
			}
			if n++; n > 2*len(data)+2 {
				t.Fatal("reading does not end")
			}
		}
	})
}

func BenchmarkRecords(b *testing.B) {
	page := "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nServer: test\r\n\r\n<html>" + benchmarkText(30<<10)
	record := entry("1.0", "request", strings.Repeat("GET / HTTP/1.1\r\n", 30)) + entry("1.0", "response", page) + entry("1.0", "metadata", "fetchTimeMs: 176")
	for name, data := range map[string]string{
		"plain": strings.Repeat(record, 200),
		"gzip":  strings.Repeat(gz(record), 200),
		"zstd":  strings.Repeat(zst(record), 200),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(200 * len(record)))
			for b.Loop() {
				r, err := NewReader(strings.NewReader(data), name, Options{})
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				for record, err := range r.Records() {
					if err != nil {
						b.Fatal(err)
					}
					if _, err := record.Content(); err != nil {
						b.Fatal(err)
					}
					n++
				}
				if n != 200 {
					b.Fatalf("%d records", n)
				}
			}
		})
	}
}

// benchmarkText is text that packs as pages do, some fourfold.
func benchmarkText(n int) string {
	var b strings.Builder
	for x := uint64(1); b.Len() < n; {
		x = x*6364136223846793005 + 1442695040888963407
		fmt.Fprintf(&b, "%s ", []string{"the", "of", "<p>", "page", "href", "class", "and", "archive"}[x>>61])
		if x>>55&7 == 0 {
			fmt.Fprintf(&b, "%x\n", x>>40)
		}
	}
	return b.String()
}
