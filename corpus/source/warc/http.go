package warc

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
)

// Content is what a record says of its URI.
type Content struct {
	// Status is that of the HTTP response, 0 where the record is none.
	Status int
	// Header has the fields of the HTTP response.
	Header Fields
	// Type is the content type, with its parameters, as it was sent.
	Type string
	// Body is what was sent, without chunks and unpacked. It is valid until the next
	// record is read.
	Body []byte
}

// maxCodings is how many codings a body may have, one in the other.
const maxCodings = 4

// Content returns what a record holds: of a resource or conversion the block, of an
// HTTP response its body, with the codings undone that its header names: chunked, gzip,
// deflate, br, zstd. Where the body plainly has no such coding it is taken as it is,
// since many programs that record responses undo codings and keep the header. The error
// is a *Fault.
func (r *Record) Content() (*Content, error) {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if r.Type != "response" || !strings.EqualFold(strings.TrimSpace(kind), "application/http") && !bytes.HasPrefix(r.Block, []byte("HTTP/")) {
		return &Content{Type: r.Header.Get("Content-Type"), Body: r.Block}, nil
	}
	c, bad := r.response()
	if bad != nil {
		return nil, &Fault{File: r.reader.name, Offset: r.Offset, Within: r.Within, Bytes: int64(len(r.Block)), Reason: bad.reason, Detail: bad.detail}
	}
	return c, nil
}

func (r *Record) response() (*Content, *fault) {
	line, rest, _ := bytes.Cut(r.Block, []byte{'\n'})
	c := &Content{}
	protocol, status, _ := strings.Cut(string(bytes.TrimSpace(line)), " ")
	status, _, _ = strings.Cut(strings.TrimSpace(status), " ")
	var err error
	if c.Status, err = strconv.Atoi(status); err != nil || !strings.HasPrefix(protocol, "HTTP/") || c.Status < 100 || c.Status > 999 {
		return nil, faultf(BadResponse, "its first line is %.40q", line)
	}
	head, body, ok := cutHead(rest)
	if !ok {
		return nil, faultf(BadResponse, "its header has no end")
	}
	c.Header = parseFields(head)
	c.Type = c.Header.Get("Content-Type")
	c.Body = body
	codings := append(codingsOf(c.Header, "Content-Encoding"), codingsOf(c.Header, "Transfer-Encoding")...)
	if len(codings) > maxCodings {
		return nil, faultf(BadResponse, "it has %d codings; the limit is %d", len(codings), maxCodings)
	}
	for i := len(codings) - 1; i >= 0; i-- {
		var bad *fault
		if c.Body, bad = r.decode(codings[i], c.Body); bad != nil {
			return nil, bad
		}
	}
	if int64(len(c.Body)) > r.reader.options.MaxBody {
		return nil, faultf(TooLarge, "its body has %d bytes; the limit is %d", len(c.Body), r.reader.options.MaxBody)
	}
	return c, nil
}

// cutHead cuts behind the first empty line, which may be the first.
func cutHead(data []byte) (head, body []byte, ok bool) {
	for at := 0; at < len(data); {
		end := bytes.IndexByte(data[at:], '\n')
		if end < 0 {
			break
		}
		if len(bytes.TrimRight(data[at:at+end], "\r")) == 0 {
			return data[:at], data[at+end+1:], true
		}
		at += end + 1
	}
	return nil, nil, false
}

// codingsOf lists the codings that a header's fields name, in the order in which they
// were applied.
func codingsOf(header Fields, name string) (codings []string) {
	for _, field := range header {
		if strings.EqualFold(field.Name, name) {
			for coding := range strings.SplitSeq(field.Value, ",") {
				coding = strings.ToLower(strings.TrimSpace(coding))
				if coding != "" && coding != "identity" && coding != "none" {
					codings = append(codings, coding)
				}
			}
		}
	}
	return codings
}

// decode undoes one coding.
func (r *Record) decode(coding string, body []byte) ([]byte, *fault) {
	if len(body) == 0 {
		return body, nil
	}
	var in io.Reader
	var err error
	switch coding {
	case "chunked":
		return unchunk(body, r.Truncated() != "")
	case "gzip", "x-gzip":
		if !bytes.HasPrefix(body, gzipMagic[:2]) {
			return body, nil
		}
		in, err = r.reader.gunzip(body)
	case "zstd":
		if !bytes.HasPrefix(body, zstdMagic) {
			return body, nil
		}
		d, zErr := newZstd(bytes.NewReader(body))
		if zErr == nil {
			defer d.Close()
		}
		in, err = d, zErr
	case "deflate": // zlib by the standard, deflate alone by many servers
		if len(body) >= 2 && body[0]&0xf == 8 && (int(body[0])<<8|int(body[1]))%31 == 0 {
			in, err = zlib.NewReader(bytes.NewReader(body))
		} else {
			in = flate.NewReader(bytes.NewReader(body))
		}
	case "br":
		in = brotli.NewReader(bytes.NewReader(body))
	default:
		return nil, faultf(BadResponse, "its coding %.40q is not known", coding)
	}
	if err != nil {
		return nil, faultf(BadResponse, "undoing %s: %v", coding, err)
	}
	o := r.reader.options
	limit := min(o.MaxBody, max(ratioFloor, int64(len(body))*min(o.MaxRatio, 1<<20)))
	var out bytes.Buffer
	n, err := out.ReadFrom(io.LimitReader(in, limit+1))
	if n > limit {
		return nil, faultf(Bomb, "its body of %d bytes by %s; the limits are %d bytes and %d times its size", len(body), coding, o.MaxBody, o.MaxRatio)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) && r.Truncated() != "" {
		err = nil
	}
	if err != nil {
		return nil, faultf(BadResponse, "undoing %s: %v", coding, err)
	}
	return out.Bytes(), nil
}

// gunzip reads one member, or several; what follows them is passed over, as browsers
// do.
func (r *Reader) gunzip(body []byte) (io.Reader, error) {
	in := bytes.NewReader(body)
	var err error
	if r.bodyGzip == nil {
		r.bodyGzip, err = gzip.NewReader(in)
	} else {
		err = r.bodyGzip.Reset(in)
	}
	if err != nil {
		return nil, err
	}
	r.bodyGzip.Multistream(false)
	return &gzipMembers{r.bodyGzip, in}, nil
}

type gzipMembers struct {
	z  *gzip.Reader
	in *bytes.Reader
}

func (g *gzipMembers) Read(p []byte) (int, error) {
	n, err := g.z.Read(p)
	if err != io.EOF || n > 0 {
		if err == io.EOF {
			err = nil
		}
		return n, err
	}
	if g.z.Reset(g.in) != nil { // the end, or no member
		return 0, io.EOF
	}
	g.z.Multistream(false)
	return g.z.Read(p)
}

// unchunk undoes the chunks of HTTP/1.1 (RFC 9112, 7.1). A body that does not begin with
// a chunk is taken as it is. Of one that is truncated, what there is is taken.
func unchunk(body []byte, truncated bool) ([]byte, *fault) {
	out := make([]byte, 0, len(body))
	for at := 0; ; {
		line, _, ended := bytes.Cut(body[at:], []byte{'\n'})
		size, ok := chunkSize(line)
		if !ok || !ended && size != 0 {
			switch {
			case at == 0:
				return body, nil
			case truncated:
				return out, nil
			case at >= len(body):
				return nil, faultf(BadResponse, "its body ends without a last chunk")
			}
			return nil, faultf(BadResponse, "byte %d of its body should begin a chunk and is %.20q", at, line)
		}
		if size == 0 {
			return out, nil
		}
		at += len(line) + 1
		if size > len(body)-at {
			if truncated {
				return append(out, body[at:]...), nil
			}
			return nil, faultf(BadResponse, "its body ends in a chunk: %d of %d bytes", len(body)-at, size)
		}
		out = append(out, body[at:at+size]...)
		at += size
		at += len(body[at:]) - len(bytes.TrimPrefix(bytes.TrimPrefix(body[at:], []byte{'\r'}), []byte{'\n'}))
	}
}

// chunkSize reads the line that begins a chunk: digits of base 16, perhaps white space and
// extensions behind a semicolon.
func chunkSize(line []byte) (int, bool) {
	digits, _, _ := bytes.Cut(line, []byte{';'})
	n, err := strconv.ParseUint(string(bytes.TrimSpace(digits)), 16, 31)
	return int(n), err == nil
}
