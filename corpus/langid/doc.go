// Package langid tells in which language a text is written.
//
// The letters of a text are first sorted by their script, which for many
// languages says everything: Thai letters are Thai. Languages that share a
// script form a group, and within it a linear model decides: the sum, over the
// n-grams of characters and the words of the text, of a weight for each
// language, divided by their number, through a softmax. N-grams are hashed into
// a table of a fixed size. This is the classifier of Joulin, Grave, Bojanowski
// and Mikolov, "Bag of Tricks for Efficient Text Classification" (2016), without
// its hidden layer, and with the script as a prior that no weight overrules.
//
// The probability of a language is the share of the letters that are of its
// script, times what the softmax gives it within the script. A text that is half
// Chinese and half English therefore has two languages of about one half, and
// FineWeb's rule of .65 keeps neither.
//
// Example:
//
//	guess := langid.Identify("Où est la bibliothèque ?")
//	guess.Language // "fr"
//
// Terms:
//
//   - A group is a set of scripts and the languages written in them.
//   - A lane is the place of one language in a row of the table.
//
// A text of more than 2 KB is read in parts, 512 bytes of each 2 KB.
//
// Fit trains a model; the one that the package carries, model.bin, is written by
// go generate (see _generate). What it was trained from, and what it was
// measured on, is told in docs/data.md.
//
// The package knows the languages of Languages and no others. Malay is taken for
// Indonesian, Bosnian and Serbian in Latin letters for Croatian; other languages
// in Latin letters should come out as Unknown, and often come out as a neighbour.
package langid

//go:generate go run ./_generate -texts $LANGID_TEXTS -out model.bin -held testdata/held-out.tsv.gz
