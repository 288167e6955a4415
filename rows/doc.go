// Package rows reads the files that people keep rows in: dialogues, preferences,
// labelled texts, whatever a tool wrote and its users have.
//
//	r, err := rows.Open("reviews.csv.gz", rows.Options{})
//	...
//	for {
//		row, err := r.Next()
//		if err == io.EOF {
//			break
//		}
//		var bad *rows.Bad
//		if errors.As(err, &bad) { // this row cannot be used; the next can
//			...
//		}
//		text, err := row.Text("text")
//	}
//
// # Terms
//
// A row is an object: keys with JSON values, as JSON Lines have it. Of a table the
// keys are the columns' names and the values are the cells, as JSON strings. A
// format is how a file holds rows:
//
//   - jsonl: an object a line; also objects written over several lines, and one
//     array of objects, whatever the file is called
//   - csv: RFC 4180 with any of , ; tab | between fields, read as Python's csv and
//     pandas read it
//   - tsv: fields between tabs; quotes are text
//   - lines: a text a line, a row with the one key "text"
//   - parquet: Apache Parquet, as Hugging Face's datasets write it
//
// Any of them may be compressed (gzip, zstandard, bzip2), begin with a byte order
// mark, or be UTF-16; the content tells, not the name.
//
// A bad row is one that cannot be read while those behind it can: broken JSON, a
// field too many, bytes that are not UTF-8, a line that is too long.
//
// # What it is not
//
// What the keys of a row mean is the matter of package dataset. Nothing here
// writes.
package rows
