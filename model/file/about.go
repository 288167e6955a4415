package file

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/seed-b72bdb6c/alma/artifact/gguf"
)

// About is what a model's file or folder says of where the model comes from; what
// it does not say is "". The model does not depend on it.
type About struct {
	Name   string // as its makers call it: "SmolLM2 135M Instruct"
	Author string
	// Licence is its name as the Hugging Face Hub abbreviates it ("apache-2.0"), or
	// "other": then LicenceName and LicenceLink say which.
	Licence, LicenceName, LicenceLink string
	// Lineage is the SHA-256 of the artifact of alma's that was exported
	// (artifact.HashInput), which leads back to what it was made from.
	Lineage string
}

// fact is a field of About with its key in GGUF's metadata, and its key in the
// front matter of a model card, as llama.cpp's converter reads one.
type fact struct {
	gguf, card string
	value      *string
}

func (a *About) facts() []fact {
	return []fact{
		{"general.name", "model_name", &a.Name},
		{"general.author", "model_author", &a.Author},
		{"general.license", "license", &a.Licence},
		{"general.license.name", "license_name", &a.LicenceName},
		{"general.license.link", "license_link", &a.LicenceLink},
		{"alma.lineage", "alma_lineage", &a.Lineage},
	}
}

// AboutCard takes what is known from the keys of a model card's front matter.
func AboutCard(value func(key string) string) (a About) {
	for _, f := range a.facts() {
		*f.value = known(value(f.card))
	}
	return a
}

// AboutGGUF is what a GGUF file says.
func AboutGGUF(file *gguf.File) (a About) {
	for _, f := range a.facts() {
		if text, ok := file.Value(f.gguf); ok {
			if text, ok := text.(string); ok {
				*f.value = known(text)
			}
		}
	}
	return a
}

// Card lists what is known by the keys of a model card.
func (a About) Card() map[string]string {
	card := make(map[string]string)
	for _, f := range a.facts() {
		if *f.value != "" {
			card[f.card] = *f.value
		}
	}
	return card
}

// entries lists what is known as GGUF's metadata.
func (a About) entries() (entries []gguf.Entry) {
	for _, f := range a.facts() {
		if *f.value != "" {
			entries = append(entries, gguf.Entry{Key: f.gguf, Value: *f.value})
		}
	}
	return entries
}

// longestFact bounds a fact, in bytes.
const longestFact = 200

// known is a fact in one line, or "" for what cannot be one: it stands in file
// headers, in cards and on terminals, and comes from others.
func known(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > longestFact || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return ""
	}
	return text
}
