// Package corpus turns raw text into the documents that every later stage
// reads: it takes documents from sources, refuses what cannot be used and says
// why, drops exact duplicates, and deals the rest into train, validation and
// test.
//
// Terms:
//
//   - A Source yields documents in an order of its own that never changes:
//     a Folder of text and JSONL files, or the Go tree of corpus/godoc.
//   - A Document is a text with a name (ID) and a Group.
//   - The Group decides the split: all documents of a group land in the same
//     one, chosen by a hash of the group's name alone, so that adding or
//     removing other documents moves nothing.
//   - A Refusal names a document, or a part of a file, that was not taken:
//     file, offset, reason, bytes. The Report counts refusals per reason.
//
// Example:
//
//	report, err := corpus.Build(ctx, []corpus.Source{corpus.Folder{Root: "texts"}},
//		corpus.Options{Out: "runs/a/corpus"})
//
// leaves train/documents.jsonl, validation/documents.jsonl,
// test/documents.jsonl and report.json below Out.
//
// The package does not tokenize and does not judge the quality of prose; it
// decides only what is readable, new, and of a usable size.
package corpus
