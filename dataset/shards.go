package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sort"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// The format is drawn in docs/formats/shards.md.

const (
	shardsFile    = "shards.json"
	shardsVersion = 1
	// maxShardsFile bounds what is read of shards.json, in bytes.
	maxShardsFile = 16 << 20
	// DefaultShardTokens is the number of tokens after which a shard ends.
	DefaultShardTokens = 64 << 20
)

// ShardsInfo is the content of shards.json.
type ShardsInfo struct {
	Version int `json:"version"`
	// Type is "u16" where VocabSize is at most 65,536, else "u32".
	Type      string `json:"type"`
	VocabSize int    `json:"vocab_size"`
	// EndToken ends every document.
	EndToken  int32       `json:"end_token"`
	Tokens    int64       `json:"tokens"` // end tokens counted
	Documents int64       `json:"documents"`
	Shards    []ShardInfo `json:"shards"`
	// Source says what the tokens were made from, or "".
	Source string `json:"source,omitempty"`
}

// ShardInfo describes NAME.bin and NAME.idx.
type ShardInfo struct {
	Name        string `json:"name"` // "00000" and on
	Tokens      int64  `json:"tokens"`
	Documents   int64  `json:"documents"`
	TokensSHA   string `json:"bin_sha256"`
	DocumentSHA string `json:"idx_sha256"`
}

func (s ShardsInfo) width() int64 {
	if s.Type == "u16" {
		return 2
	}
	return 4
}

// ShardOptions say how shards are written.
type ShardOptions struct {
	// VocabSize bounds the ids and decides their width.
	VocabSize int
	// EndToken is written after every document.
	EndToken int32
	// ShardTokens is the number of tokens at which a shard is full; a document
	// is never divided, so a shard may exceed it. 0: DefaultShardTokens.
	ShardTokens int64
	// Source says what the tokens are made from, for a reader who wants to
	// know whether they still are. It is written into shards.json as it is.
	Source string
}

// A ShardWriter writes shards into a folder. Nothing counts as written before
// Close returned: shards.json comes last.
type ShardWriter struct {
	folder string
	opts   ShardOptions
	info   ShardsInfo
	bin    *shardFile // nil between shards
	idx    *shardFile
	cur    ShardInfo
	buf    []byte
	err    error
}

// shardFile is a durable file that is hashed as it is written.
type shardFile struct {
	out *artifact.Writer
	sum hash.Hash
}

func createShardFile(path string) (*shardFile, error) {
	out, err := artifact.Create(path)
	if err != nil {
		return nil, err
	}
	return &shardFile{out, sha256.New()}, nil
}

func (f *shardFile) write(p []byte) error {
	f.sum.Write(p)
	_, err := f.out.Write(p)
	return err
}

// NewShardWriter makes the folder and starts. Close or Abort must follow.
func NewShardWriter(folder string, opts ShardOptions) (*ShardWriter, error) {
	if opts.ShardTokens == 0 {
		opts.ShardTokens = DefaultShardTokens
	}
	if opts.VocabSize < 1 || opts.VocabSize > math.MaxInt32 || opts.EndToken < 0 || int(opts.EndToken) >= opts.VocabSize || opts.ShardTokens < 1 {
		return nil, fmt.Errorf("writing token shards %s: vocabulary of %d, end token %d, %d tokens a shard: the end token must lie in the vocabulary, and all sizes be positive", folder, opts.VocabSize, opts.EndToken, opts.ShardTokens)
	}
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return nil, fmt.Errorf("making folder for token shards: %w", err)
	}
	w := &ShardWriter{folder: folder, opts: opts}
	w.info = ShardsInfo{Version: shardsVersion, Type: "u16", VocabSize: opts.VocabSize, EndToken: opts.EndToken, Shards: []ShardInfo{}, Source: opts.Source}
	if opts.VocabSize > 1<<16 {
		w.info.Type = "u32"
	}
	return w, nil
}

// Append adds one document, without its end token, which the writer adds. An
// empty document adds the end token alone. After an error every call returns
// it.
func (w *ShardWriter) Append(tokens []int32) error {
	if w.err == nil {
		w.err = w.append(tokens)
	}
	return w.err
}

func (w *ShardWriter) append(tokens []int32) error {
	for i, id := range tokens {
		if id < 0 || int(id) >= w.opts.VocabSize {
			return fmt.Errorf("writing token shards %s: document %d: token %d is %d, outside the vocabulary of %d", w.folder, w.info.Documents, i, id, w.opts.VocabSize)
		}
	}
	if w.bin == nil {
		w.cur = ShardInfo{Name: fmt.Sprintf("%05d", len(w.info.Shards))}
		var err error
		if w.bin, err = createShardFile(filepath.Join(w.folder, w.cur.Name+".bin")); err != nil {
			return err
		}
		if w.idx, err = createShardFile(filepath.Join(w.folder, w.cur.Name+".idx")); err != nil {
			return err
		}
	}
	w.buf = w.buf[:0]
	for _, id := range tokens {
		w.put(id)
	}
	w.put(w.opts.EndToken)
	if err := w.bin.write(w.buf); err != nil {
		return err
	}
	n := int64(len(tokens)) + 1
	w.cur.Tokens += n
	w.cur.Documents++
	w.info.Tokens += n
	w.info.Documents++
	if err := w.idx.write(binary.LittleEndian.AppendUint64(nil, uint64(w.cur.Tokens))); err != nil {
		return err
	}
	if w.cur.Tokens >= w.opts.ShardTokens {
		return w.finishShard()
	}
	return nil
}

func (w *ShardWriter) put(id int32) {
	if w.info.Type == "u16" {
		w.buf = binary.LittleEndian.AppendUint16(w.buf, uint16(id))
	} else {
		w.buf = binary.LittleEndian.AppendUint32(w.buf, uint32(id))
	}
}

func (w *ShardWriter) finishShard() error {
	if err := w.bin.out.Commit(); err != nil {
		return err
	}
	if err := w.idx.out.Commit(); err != nil {
		return err
	}
	w.cur.TokensSHA = hex.EncodeToString(w.bin.sum.Sum(nil))
	w.cur.DocumentSHA = hex.EncodeToString(w.idx.sum.Sum(nil))
	w.info.Shards = append(w.info.Shards, w.cur)
	w.bin, w.idx = nil, nil
	return nil
}

// Close finishes the last shard and writes shards.json.
func (w *ShardWriter) Close() (ShardsInfo, error) {
	defer w.Abort()
	if w.err != nil {
		return ShardsInfo{}, w.err
	}
	if w.bin != nil {
		if w.err = w.finishShard(); w.err != nil {
			return ShardsInfo{}, w.err
		}
	}
	data, err := json.MarshalIndent(w.info, "", "\t")
	if err != nil {
		return ShardsInfo{}, fmt.Errorf("writing token shards %s: %w", w.folder, err)
	}
	if w.err = artifact.WriteFile(filepath.Join(w.folder, shardsFile), append(data, '\n')); w.err != nil {
		return ShardsInfo{}, w.err
	}
	info := w.info
	w.err = errors.New("writing token shards: the writer is closed")
	return info, nil
}

// Abort gives up the shard being written; after Close it does nothing.
func (w *ShardWriter) Abort() {
	for _, f := range []*shardFile{w.bin, w.idx} {
		if f != nil {
			f.out.Abort()
		}
	}
	w.bin, w.idx = nil, nil
}

// Shards reads a folder of token shards. Its memory is eight bytes a document
// and a buffer; tokens stay on disk. It is not safe for concurrent use.
type Shards struct {
	Info   ShardsInfo
	folder string
	files  []*os.File
	// bases[i] is the position in the whole of shard i's first token, with one
	// entry more for the end of the last.
	bases []int64
	// ends are the positions where documents end, in the whole.
	ends []int64
	buf  []byte
}

// OpenShards opens a folder that a ShardWriter closed. It checks that names,
// counts, file sizes and document ends agree before it believes them; what does
// not is an error of kind artifact.ErrCorrupt that names the file. The SHA-256
// sums are left to Verify.
func OpenShards(folder string) (*Shards, error) {
	s := &Shards{folder: folder}
	if err := s.open(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// IsShards tells whether a folder holds token shards.
func IsShards(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, shardsFile))
	return err == nil
}

// The folders of token shards in the folder of what made them from a corpus, with
// slashes.
const (
	TrainingShards   = "train"
	ValidationShards = "validation"
)

// TextShards is the folder of token shards that a folder stands for: its training text,
// where it is a tokenised corpus (alma tokenize).
func TextShards(path string) string {
	if inside := filepath.Join(path, TrainingShards); !IsShards(path) && IsShards(inside) {
		return inside
	}
	return path
}

// ReuseShards opens the shards that a ShardWriter with the same Source closed,
// every byte of them verified. If the folder holds others, damaged ones or ones
// that were never closed, it is removed, so that none of their files stays among
// new ones, and shards is nil; damage says what was found in damaged ones.
func ReuseShards(folder, source string) (shards *Shards, damage, err error) {
	shards, err = OpenShards(folder)
	if err == nil {
		err = shards.Verify()
		if err == nil && shards.Info.Source == source {
			return shards, nil, nil
		}
		shards.Close()
	}
	switch {
	case err == nil || errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, artifact.ErrCorrupt):
		damage = err
	default:
		return nil, nil, err
	}
	return nil, damage, artifact.RemoveFolder(folder)
}

func (s *Shards) corrupt(file, format string, args ...any) error {
	return artifact.Errorf(artifact.ErrCorrupt, "reading token shards %s: %s; make the shards anew", filepath.Join(s.folder, file), fmt.Sprintf(format, args...))
}

func (s *Shards) open() error {
	data, err := readLimited(filepath.Join(s.folder, shardsFile), maxShardsFile)
	if err != nil {
		if errors.Is(err, errTooLong) {
			return s.corrupt(shardsFile, "it is longer than %d bytes", maxShardsFile)
		}
		return fmt.Errorf("reading token shards: %w; alma tokenize leaves them in train of its folder, and alma pretrain in shards/train", err)
	}
	if err := json.Unmarshal(data, &s.Info); err != nil {
		return s.corrupt(shardsFile, "%v", err)
	}
	info := s.Info
	switch {
	case info.Version != shardsVersion:
		return s.corrupt(shardsFile, "version %d, this program reads %d", info.Version, shardsVersion)
	case info.VocabSize < 1 || info.VocabSize > math.MaxInt32:
		return s.corrupt(shardsFile, "vocabulary of %d", info.VocabSize)
	case info.Type != "u16" && info.Type != "u32" || (info.Type == "u16") != (info.VocabSize <= 1<<16):
		return s.corrupt(shardsFile, "type %q for a vocabulary of %d", info.Type, info.VocabSize)
	case info.EndToken < 0 || int(info.EndToken) >= info.VocabSize:
		return s.corrupt(shardsFile, "end token %d for a vocabulary of %d", info.EndToken, info.VocabSize)
	}
	s.bases = []int64{0}
	for i, sh := range info.Shards {
		if want := fmt.Sprintf("%05d", i); sh.Name != want {
			return s.corrupt(shardsFile, "shard %d is named %q, not %q", i, sh.Name, want)
		}
		if err := s.openShard(sh); err != nil {
			return err
		}
	}
	if tokens := s.bases[len(s.bases)-1]; tokens != info.Tokens || int64(len(s.ends)) != info.Documents {
		return s.corrupt(shardsFile, "the shards hold %d tokens in %d documents, the totals say %d in %d", tokens, len(s.ends), info.Tokens, info.Documents)
	}
	return nil
}

func (s *Shards) openShard(sh ShardInfo) error {
	width := s.Info.width()
	base := s.bases[len(s.bases)-1]
	// The products below cannot overflow after this.
	if sh.Documents < 1 || sh.Tokens < sh.Documents || sh.Tokens > 1<<48-base {
		return s.corrupt(shardsFile, "shard %s of %d tokens in %d documents", sh.Name, sh.Tokens, sh.Documents)
	}
	bin, err := s.openSized(sh.Name+".bin", sh.Tokens*width)
	if err != nil {
		return err
	}
	s.files = append(s.files, bin)
	idx, err := s.openSized(sh.Name+".idx", sh.Documents*8)
	if err != nil {
		return err
	}
	defer idx.Close()
	data, err := io.ReadAll(io.LimitReader(idx, sh.Documents*8))
	if err != nil || int64(len(data)) != sh.Documents*8 {
		return s.corrupt(sh.Name+".idx", "%d bytes of %d could be read (%v)", len(data), sh.Documents*8, err)
	}
	last := int64(0)
	for i := 0; i < len(data); i += 8 {
		end := binary.LittleEndian.Uint64(data[i:])
		if end <= uint64(last) || end > uint64(sh.Tokens) {
			return s.corrupt(sh.Name+".idx", "document %d ends at token %d; it must end after %d and not beyond %d", i/8, end, last, sh.Tokens)
		}
		last = int64(end)
		s.ends = append(s.ends, base+last)
	}
	if last != sh.Tokens {
		return s.corrupt(sh.Name+".idx", "the last document ends at token %d of %d", last, sh.Tokens)
	}
	s.bases = append(s.bases, base+sh.Tokens)
	return nil
}

// openSized opens a file of the folder and checks its size.
func (s *Shards) openSized(name string, size int64) (*os.File, error) {
	f, err := os.Open(filepath.Join(s.folder, name))
	if err != nil {
		return nil, fmt.Errorf("reading token shards: %w", err)
	}
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() != size) {
		err = s.corrupt(name, "%d bytes, %s says %d", info.Size(), shardsFile, size)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Close closes the files.
func (s *Shards) Close() error {
	var first error
	for _, f := range s.files {
		if err := f.Close(); err != nil && first == nil {
			first = fmt.Errorf("closing token shards %s: %w", s.folder, err)
		}
	}
	s.files = nil
	return first
}

// Tokens is the number of tokens, end tokens counted.
func (s *Shards) Tokens() int64 { return s.bases[len(s.bases)-1] }

// Documents is the number of documents.
func (s *Shards) Documents() int { return len(s.ends) }

// Document returns where document i lies in the whole: its first position and
// its length, the end token counted.
func (s *Shards) Document(i int) (start, length int64) {
	if i > 0 {
		start = s.ends[i-1]
	}
	return start, s.ends[i] - start
}

// Read fills dst with the tokens from position at on. An id outside the
// vocabulary is an error of kind artifact.ErrCorrupt.
func (s *Shards) Read(dst []int32, at int64) error {
	if at < 0 || at > s.Tokens() || int64(len(dst)) > s.Tokens()-at {
		return fmt.Errorf("reading token shards %s: tokens %d to %d of %d", s.folder, at, at+int64(len(dst)), s.Tokens())
	}
	width := s.Info.width()
	for len(dst) > 0 {
		shard := sort.Search(len(s.files), func(i int) bool { return s.bases[i+1] > at })
		const chunk = 32 << 10 // tokens a read
		n := min(int64(len(dst)), s.bases[shard+1]-at, chunk)
		if int64(cap(s.buf)) < n*width {
			s.buf = make([]byte, n*width)
		}
		buf := s.buf[:n*width]
		name := s.Info.Shards[shard].Name + ".bin"
		if _, err := s.files[shard].ReadAt(buf, (at-s.bases[shard])*width); err != nil {
			return fmt.Errorf("reading token shards %s: %w", filepath.Join(s.folder, name), err)
		}
		for i := range dst[:n] {
			var id uint32
			if width == 2 {
				id = uint32(binary.LittleEndian.Uint16(buf[2*i:]))
			} else {
				id = binary.LittleEndian.Uint32(buf[4*i:])
			}
			if id >= uint32(s.Info.VocabSize) {
				return s.corrupt(name, "token %d is %d, outside the vocabulary of %d", at-s.bases[shard]+int64(i), id, s.Info.VocabSize)
			}
			dst[i] = int32(id)
		}
		dst = dst[n:]
		at += n
	}
	return nil
}

// Verify reads all files and compares them with the sums in shards.json.
func (s *Shards) Verify() error {
	for _, sh := range s.Info.Shards {
		for _, f := range []struct{ name, want string }{{sh.Name + ".bin", sh.TokensSHA}, {sh.Name + ".idx", sh.DocumentSHA}} {
			file, err := os.Open(filepath.Join(s.folder, f.name))
			if err != nil {
				return fmt.Errorf("verifying token shards: %w", err)
			}
			h := sha256.New()
			_, err = io.Copy(h, file)
			file.Close()
			if err != nil {
				return fmt.Errorf("verifying token shards %s: %w", filepath.Join(s.folder, f.name), err)
			}
			if got := hex.EncodeToString(h.Sum(nil)); got != f.want {
				return s.corrupt(f.name, "its SHA-256 is %s, %s says %s", got, shardsFile, f.want)
			}
		}
	}
	return nil
}

var errTooLong = errors.New("file too long")

// readLimited reads a file of at most limit bytes.
func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = errTooLong
	}
	return data, err
}
