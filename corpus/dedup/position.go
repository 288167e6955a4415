package dedup

import (
	"cmp"
	"encoding/binary"
)

// A Position is where a document, or a paragraph of it, stands in the order of
// the sources. Positions are compared by Source, then Document, then Part.
type Position struct {
	// Source is the number of the source, or of its shard, in the order in which
	// they are given.
	Source uint32
	// Document is the document's number in its source, or the offset at which it
	// begins: what grows from one document to the next.
	Document uint64
	// Part is the number of a paragraph in its document, see Paragraphs. It is 0
	// for a document as a whole.
	Part uint32
}

// Compare returns -1, 0 or 1 as p stands before q, is q, or stands behind it.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Source, q.Source), cmp.Compare(p.Document, q.Document), cmp.Compare(p.Part, q.Part))
}

// Bytes of a position in a record: of a document, and of a paragraph. Written
// big-endian, positions sort as their bytes do.
const (
	documentBytes = 4 + 8
	partBytes     = documentBytes + 4
)

func (p Position) append(record []byte, size int) []byte {
	record = binary.BigEndian.AppendUint32(record, p.Source)
	record = binary.BigEndian.AppendUint64(record, p.Document)
	if size == partBytes {
		record = binary.BigEndian.AppendUint32(record, p.Part)
	}
	return record
}

// positionAt reads a position that fills record.
func positionAt(record []byte) Position {
	p := Position{Source: binary.BigEndian.Uint32(record), Document: binary.BigEndian.Uint64(record[4:])}
	if len(record) == partBytes {
		p.Part = binary.BigEndian.Uint32(record[documentBytes:])
	}
	return p
}

// A Duplicate says that the text At repeats the text Of, which stands before it
// and stays.
type Duplicate struct{ At, Of Position }
