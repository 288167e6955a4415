package warc

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
)

func packed(text string, make func(io.Writer) io.WriteCloser) string {
	var b bytes.Buffer
	w := make(&b)
	io.WriteString(w, text)
	w.Close()
	return b.String()
}

func br(text string) string {
	return packed(text, func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) })
}

func zlibbed(text string) string {
	return packed(text, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) })
}

func deflated(text string) string {
	return packed(text, func(w io.Writer) io.WriteCloser { z, _ := flate.NewWriter(w, 6); return z })
}

func chunked(text string, size int) string {
	return each(pieces(text, size), func(piece string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(piece), piece) }) + "0\r\n\r\n"
}

// content returns what the HTTP response in a record holds.
func content(t *testing.T, response string, o Options, fields ...string) (*Content, error) {
	t.Helper()
	r, err := NewReader(strings.NewReader(entry("1.0", "response", response, append(fields, "Content-Type: application/http; msgtype=response")...)), "archive", o)
	if err != nil {
		t.Fatal(err)
	}
	for record, err := range r.Records() {
		if err != nil {
			t.Fatal(err)
		}
		return record.Content()
	}
	t.Fatal("no record")
	return nil, nil
}

func TestBodiesAreDecoded(t *testing.T) {
	const text = "<p>a page of some words, and some words more</p>\r\n"
	head := func(fields ...string) string {
		return "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n" + strings.Join(append(fields, ""), "\r\n") + "\r\n"
	}
	for what, response := range map[string]string{
		"as it is":                head() + text,
		"line feeds":              "HTTP/1.0 200\nContent-type: text/html\n\n" + text,
		"a line that is no field": head("what is this") + text,
		"HTTP/2":                  strings.Replace(head(), "HTTP/1.1", "HTTP/2", 1) + text,
		"chunks":                  head("Transfer-Encoding: chunked") + chunked(text, 7),
		"chunks with extensions":  head("transfer-encoding:Chunked") + "005;a=b\r\n" + text[:5] + "\r\n" + fmt.Sprintf("%X \r\n", len(text)-5) + text[5:] + "\r\n0\r\nX: y\r\n\r\n",
		"chunks in lines of LF":   head("Transfer-Encoding: chunked") + fmt.Sprintf("%x\n%s\n0\n\n", len(text), text),
		"no chunks":               head("Transfer-Encoding: chunked") + text,
		"gzip":                    head("Content-Encoding: gzip") + gz(text),
		"two members":             head("Content-Encoding: x-gzip") + gz(text[:9]) + gz(text[9:]),
		"bytes behind gzip":       head("Content-Encoding: gzip") + gz(text) + "\r\n<!-- cached -->",
		"no gzip":                 head("Content-Encoding: gzip") + text,
		"deflate by the standard": head("Content-Encoding: deflate") + zlibbed(text),
		"deflate alone":           head("Content-Encoding: deflate") + deflated(text),
		"brotli":                  head("Content-Encoding: br") + br(text),
		"zstd":                    head("Content-Encoding: zstd") + zst(text),
		"chunks of gzip":          head("Content-Encoding: gzip", "Transfer-Encoding: chunked") + chunked(gz(text), 10),
		"gzip of brotli, chunks":  head("Content-Encoding: br, gzip", "Transfer-Encoding: chunked") + chunked(gz(br(text)), 100),
		"transfer by gzip":        head("Transfer-Encoding: gzip, chunked") + chunked(gz(text), 100),
		"what Common Crawl undid": head("X-Crawl-Content-Encoding: br", "X-Crawl-Transfer-Encoding: chunked") + text,
		"identity":                head("Content-Encoding: identity") + text,
	} {
		c, err := content(t, response, Options{})
		if err != nil || string(c.Body) != text || c.Status != 200 || c.Type != "text/html" {
			t.Errorf("%s: %+v, %v", what, c, err)
		}
	}
}

func TestDamagedResponsesAreRefused(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	long := strings.Repeat("words and more words, ", 100)
	for response, want := range map[string]string{
		"":                                     `its first line is ""`,
		"hello":                                `its first line is "hello"`,
		"HTTP/1.1 OK\r\n\r\n":                  `its first line is "HTTP/1.1 OK\r"`,
		ok + "Server: x\r\n":                   "its header has no end",
		ok + "Content-Encoding: lzma\r\n\r\nx": `its coding "lzma" is not known`,
		ok + "Content-Encoding: gzip,gzip,gzip,gzip,gzip\r\n\r\nx": "it has 5 codings; the limit is 4",
		ok + "Content-Encoding: gzip\r\n\r\n" + gz(long)[:40]:      "undoing gzip: unexpected EOF",
		ok + "Content-Encoding: br\r\n\r\n" + long:                 "undoing br: brotli:",
		ok + "Content-Encoding: deflate\r\n\r\n" + long:            "undoing deflate: flate: corrupt input",
		ok + "Content-Encoding: zstd\r\n\r\n" + zst(long)[:30]:     "undoing zstd: unexpected EOF",
		ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz":   `byte 8 of its body should begin a chunk and is "xyz"`,
		ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n":      "its body ends without a last chunk",
		ok + "Transfer-Encoding: chunked\r\n\r\n9\r\nabc":          "its body ends in a chunk: 3 of 9 bytes",
	} {
		c, err := content(t, response, Options{})
		if err == nil || !strings.Contains(err.Error(), "reading archive: byte 0: damaged HTTP response: "+want) {
			t.Errorf("%.60q: %v, %v; want %q", response, c, err, want)
		}
	}
}

// Common Crawl cuts bodies off, and says so.
func TestOfATruncatedRecordWhatThereIsIsTaken(t *testing.T) {
	long := strings.Repeat("words and more words, ", 3) + benchmarkText(4000)
	for fields, body := range map[string]string{
		"":                            long[:2000],
		"Transfer-Encoding: chunked":  chunked(long, 1000)[:2000],
		"Content-Encoding: gzip":      gz(long)[:500],
		"Content-Encoding: deflate":   deflated(long)[:500],
		"Content-Encoding: deflate, ": zlibbed(long)[:500],
		"Transfer-Encoding:  chunked": chunked(long, 1000)[:1007],
	} {
		c, err := content(t, "HTTP/1.1 200 OK\r\n"+fields+"\r\n\r\n"+body, Options{}, "WARC-Truncated: length")
		if fields == "" {
			c, err = content(t, "HTTP/1.1 200 OK\r\n\r\n"+body, Options{}, "WARC-Truncated: length")
		}
		if err != nil || !strings.HasPrefix(long, string(c.Body)) || len(c.Body) < 500 {
			t.Errorf("%s: %v, %v", fields, c, err)
		}
	}
}

func TestBodiesThatUnpackPastTheLimitsAreRefused(t *testing.T) {
	zeros := strings.Repeat("\x00", 4<<20)
	for coding, pack := range map[string]func(string) string{"gzip": gz, "br": br, "deflate": zlibbed, "zstd": zst} {
		c, err := content(t, "HTTP/1.1 200 OK\r\nContent-Encoding: "+coding+"\r\n\r\n"+pack(zeros), Options{})
		if err == nil || !strings.Contains(err.Error(), string(Bomb)) {
			t.Errorf("%s: %v, %v", coding, c, err)
		}
	}
	c, err := content(t, "HTTP/1.1 200 OK\r\n\r\n"+strings.Repeat("x", 1001), Options{MaxBody: 1000})
	if err == nil || !strings.Contains(err.Error(), "too large: its body has 1001 bytes; the limit is 1000") {
		t.Errorf("a body past the limit: %v, %v", c, err)
	}
	if c, err := content(t, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"+gz(zeros), Options{MaxRatio: 5000}); err != nil || len(c.Body) != len(zeros) {
		t.Errorf("within the ratio: %v", err)
	}
}
