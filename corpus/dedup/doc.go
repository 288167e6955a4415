// Package dedup finds texts that repeat an earlier one: exactly, as whole
// documents and as paragraphs, or nearly, by MinHash.
//
// Terms:
//
//   - A Position is where a document stands in the order of the sources. Of
//     texts that repeat each other the one with the lowest position stays, so
//     that which one stays depends on no hash, no thread and no machine.
//   - A Key is the identity of a text for exact repeats: equal for texts that
//     differ in white space only.
//   - A shingle is a run of consecutive words; two texts are alike by the
//     share s of their shingles that they have in common (Jaccard). A
//     signature keeps, for each of some hundred permutations of all shingles,
//     the first one that the text has: two signatures agree in a place with
//     probability s (Broder, "On the resemblance and containment of
//     documents", 1997).
//   - A band is a part of a signature, cut into equal rows. Texts that agree
//     in all rows of a band are held for near repeats of each other, which
//     happens with probability 1 − (1 − s^rows)^bands (MinHash-LSH; Indyk and
//     Motwani 1998, with the parameters of FineWeb, Penedo et al. 2024).
//   - A record is what a document leaves for this: a key, or the hash of a
//     band, with the position. Record files hold sorted runs of them.
//
// The work has two halves. Workers, in any number and order, each write the
// record file of a shard; a record file is a durable write, there as a whole
// or not at all, and a finished one is never computed again. Then one of
// Exact and Near merges all record files and yields the repeats in the order
// of positions:
//
//	w, err := dedup.CreateBands("signatures/00017.bands", dedup.MinHash{}, 0)
//	signer, err := dedup.NewSigner(dedup.MinHash{})
//	for number, text := range documents {
//		bands = signer.Sign(text, bands)
//		err = w.Add(bands, dedup.Position{Source: 17, Document: uint64(number)})
//	}
//	err = w.Commit()
//	...
//	for d, err := range dedup.Near(ctx, files, dedup.MinHash{}, dedup.Options{Folder: "signatures"}) {
//		// d.At is dropped: it repeats d.Of
//	}
//
// What the second half puts on the disk between are temporaries. A killed
// process leaves them; artifact.CleanTemporaries removes them at the next
// start, under the folder's lock, and the half is done again. The bytes of its
// result depend on the record files' documents alone.
//
// The package does not read documents and drops none itself. It looks at words
// only: it knows no paraphrases, and no translation.
package dedup
