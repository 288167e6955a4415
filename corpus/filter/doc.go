// Package filter decides which texts are worth learning from, by the rules that
// others have published, and says why a text is not.
//
// A Filter is a pure function of a text and of what is known about it: it gives
// the text that stays, which may have lost lines or personal data, or a Refusal,
// with the value that was measured and the limit that it passed. Each filter has
// a file with its paper, its limits as configuration, and its reasons:
//
//	urls.go               lists of domains, addresses and words in addresses
//	language.go           what is in none of the languages wanted
//	gopher_repetition.go  what repeats itself
//	gopher_quality.go     what is no prose
//	c4.go                 lines and documents that are no sentences
//	fineweb.go            lists and menus
//	chinese.go            the same for Chinese
//	code.go               generated, minified and unlicensed program text
//	harmful.go            words that harm, and a classifier's verdict
//	personal.go           addresses and numbers of people
//	decontaminate.go      what evaluations ask
//
// What several filters need of a text, its words, lines and n-grams, is measured
// once, by the Text.
//
// Example:
//
//	list, err := filter.FineWeb()
//	text, refusal := list.Apply(page, filter.Facts{URL: "https://example.org/"})
//
// Terms:
//
//   - A word is what words.go says: much as spaCy's English tokenizer, which
//     FineWeb used, so marks of punctuation are words too; a character of a script
//     that is written without spaces is a word.
//   - Lengths are in characters, that is Unicode's code points, unless they say
//     bytes.
//   - A limit is one that may be reached: a text is refused beyond it.
//
// The package does not look for duplicates between documents and reads no
// documents; that is package corpus.
package filter
