// Package warc reads web archives: WARC files (ISO 28500; versions 0.17, 0.18, 1.0 and
// 1.1) and Common Crawl's WET, which is WARC with extracted text.
//
// Terms:
//
//   - A record is a header of named fields and a block of bytes. Its type says
//     what the block is: an HTTP response as it came over the wire ("response"),
//     a thing as it is ("resource"), text made of another record ("conversion").
//     The others ("warcinfo", "request", "metadata", "revisit", "continuation")
//     hold nothing to train on; they are passed over and counted.
//   - A member is a packed piece of a file: a member of gzip, a frame of zstd.
//     Most archives have a record in each, so that one can be fetched alone.
//   - A Fault is a part of a file that is not taken: where, why, how much.
//
// Example:
//
//	r, err := warc.NewReader(file, "CC-MAIN-0017.warc.gz", warc.Options{})
//	for record, err := range r.Records() {
//		var fault *warc.Fault
//		if errors.As(err, &fault) { // counted; reading goes on
//			continue
//		} else if err != nil {
//			return err // the file cannot be read further
//		}
//		content, err := record.Content()
//	}
//	r.Passed() // {"request": 41027, "warcinfo": 1, …}
//
// Damage ends a record, not the file: reading goes on at the next record that can
// be told, which in a packed file is the next member that begins one. Memory is
// bounded by Options whatever a file says.
//
// It does not write archives, and does not read ARC, the format before WARC, which it
// refuses by that name. It does not follow revisits, nor joins records in segments.
package warc
