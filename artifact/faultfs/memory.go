package faultfs

import (
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// inode is a file or folder apart from its name. Its entries (a folder's) are
// by base name.
type inode struct {
	folder  bool
	data    []byte
	entries map[string]*inode
}

// opKind says what a recorded change did.
type opKind int

const (
	opWrite      opKind = iota // data at offset of a file
	opSync                     // a file's content
	opNames                    // a change of names in one folder
	opSyncFolder               // a folder's names
)

// op is one recorded change.
type op struct {
	kind   opKind
	node   *inode // the file written or synced, the folder changed or synced
	offset int
	data   []byte
	remove string // name taken out of node, for opNames
	add    string // name put into node
	target *inode // what add stands for
}

// Memory is a file system in memory that records its changes. Paths are
// relative to its root, which exists; "." is the root. It is safe for use by
// several goroutines.
type Memory struct {
	mu   sync.Mutex
	root *inode
	log  []op
}

// NewMemory returns an empty file system.
func NewMemory() *Memory { return &Memory{root: newFolder()} }

func newFolder() *inode { return &inode{folder: true, entries: map[string]*inode{}} }

// Operations returns the number of changes recorded so far.
func (m *Memory) Operations() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.log)
}

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

func (m *Memory) lookup(name string) (*inode, error) {
	node := m.root
	clean := filepath.Clean(name)
	if clean == "." || clean == string(filepath.Separator) {
		return node, nil
	}
	for _, part := range strings.Split(strings.Trim(clean, string(filepath.Separator)), string(filepath.Separator)) {
		if !node.folder {
			return nil, syscall.ENOTDIR
		}
		next := node.entries[part]
		if next == nil {
			return nil, fs.ErrNotExist
		}
		node = next
	}
	return node, nil
}

func (m *Memory) lookupFolder(name string) (*inode, error) {
	node, err := m.lookup(name)
	if err == nil && !node.folder {
		err = syscall.ENOTDIR
	}
	return node, err
}

// apply makes a change and records it.
func (m *Memory) apply(o op) {
	applyOp(o)
	m.log = append(m.log, o)
}

func applyOp(o op) {
	switch o.kind {
	case opWrite:
		if need := o.offset + len(o.data); need > len(o.node.data) {
			o.node.data = append(o.node.data, make([]byte, need-len(o.node.data))...)
		}
		copy(o.node.data[o.offset:], o.data)
	case opNames:
		if o.remove != "" {
			delete(o.node.entries, o.remove)
		}
		if o.add != "" {
			o.node.entries[o.add] = o.target
		}
	}
}

// CreateNew implements artifact.FS.
func (m *Memory) CreateNew(name string) (artifact.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	folder, err := m.lookupFolder(filepath.Dir(name))
	if err != nil {
		return nil, pathError("create", name, err)
	}
	base := filepath.Base(name)
	if folder.entries[base] != nil {
		return nil, pathError("create", name, fs.ErrExist)
	}
	node := &inode{}
	m.apply(op{kind: opNames, node: folder, add: base, target: node})
	return &memoryFile{m: m, node: node, writable: true}, nil
}

// Open implements artifact.FS.
func (m *Memory) Open(name string) (artifact.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, err := m.lookup(name)
	if err == nil && node.folder {
		err = syscall.EISDIR
	}
	if err != nil {
		return nil, pathError("open", name, err)
	}
	return &memoryFile{m: m, node: node}, nil
}

// SyncFile implements artifact.FS.
func (m *Memory) SyncFile(name string) error {
	f, err := m.Open(name)
	if err != nil {
		return err
	}
	return f.Sync()
}

// Mkdir implements artifact.FS.
func (m *Memory) Mkdir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	folder, err := m.lookupFolder(filepath.Dir(name))
	if err == nil && folder.entries[filepath.Base(name)] != nil {
		err = fs.ErrExist
	}
	if err != nil {
		return pathError("mkdir", name, err)
	}
	m.apply(op{kind: opNames, node: folder, add: filepath.Base(name), target: newFolder()})
	return nil
}

// Rename implements artifact.FS. Both names must be in one folder, which is
// all that durable writing asks for.
func (m *Memory) Rename(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if filepath.Dir(oldName) != filepath.Dir(newName) {
		return pathError("rename", oldName, syscall.EXDEV)
	}
	folder, err := m.lookupFolder(filepath.Dir(oldName))
	if err != nil {
		return pathError("rename", oldName, err)
	}
	oldBase, newBase := filepath.Base(oldName), filepath.Base(newName)
	node, there := folder.entries[oldBase], folder.entries[newBase]
	switch {
	case node == nil:
		err = fs.ErrNotExist
	case there == nil || there == node:
	case there.folder && (!node.folder || len(there.entries) > 0):
		err = syscall.ENOTEMPTY
	case !there.folder && node.folder:
		err = syscall.ENOTDIR
	}
	if err != nil {
		return pathError("rename", oldName, err)
	}
	m.apply(op{kind: opNames, node: folder, remove: oldBase, add: newBase, target: node})
	return nil
}

// Remove implements artifact.FS.
func (m *Memory) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	folder, err := m.lookupFolder(filepath.Dir(name))
	if err != nil {
		return pathError("remove", name, err)
	}
	node := folder.entries[filepath.Base(name)]
	switch {
	case node == nil:
		return pathError("remove", name, fs.ErrNotExist)
	case len(node.entries) > 0:
		return pathError("remove", name, syscall.ENOTEMPTY)
	}
	m.apply(op{kind: opNames, node: folder, remove: filepath.Base(name)})
	return nil
}

// SyncFolder implements artifact.FS.
func (m *Memory) SyncFolder(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	folder, err := m.lookupFolder(name)
	if err != nil {
		return pathError("sync", name, err)
	}
	m.apply(op{kind: opSyncFolder, node: folder})
	return nil
}

// Stat implements artifact.FS.
func (m *Memory) Stat(name string) (fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, err := m.lookup(name)
	if err != nil {
		return nil, pathError("stat", name, err)
	}
	return node.info(filepath.Base(name)), nil
}

// ReadDir implements artifact.FS.
func (m *Memory) ReadDir(name string) ([]fs.DirEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	folder, err := m.lookupFolder(name)
	if err != nil {
		return nil, pathError("readdir", name, err)
	}
	var entries []fs.DirEntry
	for base, node := range folder.entries {
		entries = append(entries, fs.FileInfoToDirEntry(node.info(base)))
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Name() < entries[j].Name() })
	return entries, nil
}

// ReadFile returns the content of a file.
func (m *Memory) ReadFile(name string) ([]byte, error) {
	f, err := m.Open(name)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(f)
}

// memoryInfo implements fs.FileInfo.
type memoryInfo struct {
	name   string
	size   int64
	folder bool
}

func (n *inode) info(name string) memoryInfo { return memoryInfo{name, int64(len(n.data)), n.folder} }

func (i memoryInfo) Name() string       { return i.name }
func (i memoryInfo) Size() int64        { return i.size }
func (i memoryInfo) ModTime() time.Time { return time.Time{} }
func (i memoryInfo) IsDir() bool        { return i.folder }
func (i memoryInfo) Sys() any           { return nil }
func (i memoryInfo) Mode() fs.FileMode {
	if i.folder {
		return fs.ModeDir | 0o777
	}
	return 0o666
}

// memoryFile is an open file with a position.
type memoryFile struct {
	m        *Memory
	node     *inode
	position int
	writable bool
	closed   bool
}

func (f *memoryFile) Write(p []byte) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed || !f.writable {
		return 0, fs.ErrClosed
	}
	f.m.apply(op{kind: opWrite, node: f.node, offset: f.position, data: append([]byte(nil), p...)})
	f.position += len(p)
	return len(p), nil
}

func (f *memoryFile) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, int64(f.position))
	f.position += n
	if n > 0 {
		err = nil
	}
	return n, err
}

func (f *memoryFile) ReadAt(p []byte, offset int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return 0, fs.ErrClosed
	}
	if offset < 0 || offset > int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[offset:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memoryFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return fs.ErrClosed
	}
	f.m.apply(op{kind: opSync, node: f.node})
	return nil
}

func (f *memoryFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return fs.ErrClosed
	}
	f.closed = true
	return nil
}

// Crash returns what a power loss after the first operations changes could
// have left on the disk: everything that was synced by then, and of the rest
// a part that random chooses. The result is independent of m; its own record
// begins with that state, durable, so that it can crash again.
func (m *Memory) Crash(operations int, random *rand.Rand) *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	if operations < 0 || operations > len(m.log) {
		panic(fmt.Sprintf("faultfs: %d operations asked for, %d recorded", operations, len(m.log)))
	}
	log := m.log[:operations]

	// durable[node] is the position of the last sync of node: what changed it
	// before that is on the disk.
	durable := map[*inode]int{}
	for i, o := range log {
		if o.kind == opSync || o.kind == opSyncFolder {
			durable[o.node] = i
		}
	}
	// Each crash leans its own way, so that "all lost" and "all arrived" come
	// up as often as mixtures do.
	arrives := []float64{0, 0.1, 0.5, 0.9, 1}[random.IntN(5)]

	copies := map[*inode]*inode{m.root: newFolder()}
	copyOf := func(node *inode) *inode {
		if copies[node] == nil {
			copies[node] = &inode{folder: node.folder}
			if node.folder {
				copies[node].entries = map[string]*inode{}
			}
		}
		return copies[node]
	}
	for i, o := range log {
		o.node = copyOf(o.node)
		if o.target != nil {
			o.target = copyOf(o.target)
		}
		if i < durable[log[i].node] {
			applyOp(o)
			continue
		}
		switch o.kind {
		case opWrite:
			tear(o, arrives, random)
		case opNames:
			if random.Float64() < arrives {
				applyOp(o)
			}
		}
	}
	after := &Memory{root: copies[m.root]}
	after.recordDurable(after.root)
	return after
}

// recordDurable records a tree as if it had been written and synced.
func (m *Memory) recordDurable(node *inode) {
	if !node.folder {
		m.log = append(m.log, op{kind: opWrite, node: node, data: append([]byte(nil), node.data...)}, op{kind: opSync, node: node})
		return
	}
	names := make([]string, 0, len(node.entries))
	for name := range node.entries {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		m.log = append(m.log, op{kind: opNames, node: node, add: name, target: node.entries[name]})
		m.recordDurable(node.entries[name])
	}
	m.log = append(m.log, op{kind: opSyncFolder, node: node})
}

// tear applies an unsynced write: whole, not at all, or in blocks of which
// each arrives or does not.
func tear(o op, arrives float64, random *rand.Rand) {
	block := []int{max(1, len(o.data)), 512, 4096}[random.IntN(3)]
	whole := o.data
	start := o.offset
	for len(whole) > 0 {
		// Blocks lie at multiples of their size in the file.
		n := min(len(whole), block-o.offset%block)
		if random.Float64() < arrives {
			applyOp(op{kind: opWrite, node: o.node, offset: o.offset, data: whole[:n]})
		}
		whole = whole[n:]
		o.offset += n
	}
	// The length of a file is metadata and can arrive without the data.
	if end := start + len(o.data); random.Float64() < arrives && len(o.node.data) < end {
		o.node.data = append(o.node.data, make([]byte, end-len(o.node.data))...)
	}
}
