package dedup

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"math"
	"sort"

	"github.com/seed-b72bdb6c/alma/artifact"
)

// A record of a band: the band's number, its hash, the document.
const (
	bandBytes  = 2 + 8
	bandRecord = bandBytes + documentBytes
)

// A BandWriter writes a record file of bands. It is for one goroutine.
type BandWriter struct {
	recordWriter
	bands  int
	record []byte
}

// CreateBands starts the record file of a shard's bands, as a Signer of the same
// configuration makes them. memory is that of CreateKeys.
func CreateBands(path string, config MinHash, memory int64) (*BandWriter, error) {
	return createBands(path, config, Options{Memory: memory})
}

func createBands(path string, config MinHash, o Options) (*BandWriter, error) {
	if err := config.Check(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	w, err := createRecords(path, bandHeader(config), o)
	if err != nil {
		return nil, err
	}
	return &BandWriter{recordWriter: *w, bands: config.Bands}, nil
}

func bandHeader(config MinHash) header {
	return header{kind: bandRecords, width: bandRecord, minHash: config.withDefaults()}
}

// Add says that the document at a position has these hashes of bands, all or none.
// Documents may come in any order; one that comes twice counts once.
func (w *BandWriter) Add(bands []uint64, at Position) error {
	if at.Part != 0 {
		return errors.New("recording bands: the position names a paragraph; near duplicates are documents as a whole")
	}
	if len(bands) != 0 && len(bands) != w.bands {
		return artifact.Errorf(artifact.ErrUsage, "recording bands: %d of them, and the file is for %d", len(bands), w.bands)
	}
	for band, hash := range bands {
		w.record = binary.BigEndian.AppendUint16(w.record[:0], uint16(band))
		w.record = binary.BigEndian.AppendUint64(w.record, hash)
		w.record = at.append(w.record, documentBytes)
		if err := w.add(w.record); err != nil {
			return err
		}
	}
	return nil
}

// Near reads the record files that CreateBands made with this configuration. Documents
// that agree in a band belong together, and so do those that belong together with the
// same one; Near yields, in the order of positions, every document of such a group
// but the first, with the first. It stops at the first error, which it yields; what
// came before is then not to be used.
//
// That two documents agree in a band is not looked at again: the share of repeats
// that is found, and of others that is taken for some, is MinHash.Match of their
// similarity.
func Near(ctx context.Context, files []string, config MinHash, o Options) iter.Seq2[Duplicate, error] {
	return sequence(func(yield func(Duplicate) error) error {
		if err := config.Check(); err != nil {
			return err
		}
		// Of each band's hash, the documents that have it are linked to the first of
		// them. A link is a document and one that does not stand behind it; the first
		// is linked to itself, so that every document of a group begins a link.
		links, err := newSorter(o, "near-links", 2*documentBytes)
		if err != nil {
			return err
		}
		defer links.remove()
		var group [bandBytes]byte
		var first, last [documentBytes]byte
		begun, linked := false, false
		var link [2 * documentBytes]byte
		add := func(at []byte) error {
			copy(link[copy(link[:], at):], first[:])
			return links.add(link[:])
		}
		err = mergeFiles(ctx, files, bandHeader(config), o, func(record []byte) error {
			band, at := record[:bandBytes], record[bandBytes:]
			switch {
			case !begun || !bytes.Equal(band, group[:]):
				begun, linked = true, false
				copy(group[:], band)
				copy(first[:], at)
			case !bytes.Equal(at, last[:]):
				if !linked {
					linked = true
					if err := add(first[:]); err != nil {
						return err
					}
				}
				if err := add(at); err != nil {
					return err
				}
			}
			copy(last[:], at)
			return nil
		})
		if err != nil {
			return err
		}
		var f forest
		err = links.each(ctx, func(link []byte) error {
			return f.link(positionAt(link[:documentBytes]), positionAt(link[documentBytes:]))
		})
		if err != nil {
			return err
		}
		for i := range f.parents {
			if root := f.root(uint32(i)); root != uint32(i) {
				if err := yield(Duplicate{f.position(uint32(i)), f.position(root)}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// A forest is a union-find over documents, which are numbered in the order of their
// positions. The root of a tree is its lowest number.
type forest struct {
	sources   []uint32
	documents []uint64
	parents   []uint32
}

func (f *forest) position(i uint32) Position {
	return Position{Source: f.sources[i], Document: f.documents[i]}
}

// link joins the groups of two documents. Links come in the order of at, and every
// document that is named is the at of one; to does not stand behind at. So what is
// new is at alone, and it stands behind all that there are.
func (f *forest) link(at, to Position) error {
	last := len(f.parents) - 1
	if last < 0 || f.position(uint32(last)) != at {
		if uint64(last+1) == math.MaxUint32 {
			return artifact.Errorf(artifact.ErrUsage, "grouping near duplicates: more than %d documents share a band with another; find the duplicates of parts of the corpus first", last)
		}
		last++
		f.sources = append(f.sources, at.Source)
		f.documents = append(f.documents, at.Document)
		f.parents = append(f.parents, uint32(last))
	}
	found := sort.Search(last, func(i int) bool { return f.position(uint32(i)).Compare(to) >= 0 })
	a, b := f.root(uint32(last)), f.root(uint32(found))
	if a < b {
		a, b = b, a
	}
	f.parents[a] = b
	return nil
}

// root returns the root of a document's tree, and halves the path to it.
func (f *forest) root(i uint32) uint32 {
	for f.parents[i] != i {
		f.parents[i] = f.parents[f.parents[i]]
		i = f.parents[i]
	}
	return i
}
