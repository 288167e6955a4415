// Package recipes holds the recipes that the program carries with it, for alma new
// and alma recipe show.
package recipes

import "embed"

// Files are the recipes, NAME.yaml.
//
//go:embed godoc.yaml assistant.yaml own-text.yaml classifier.yaml encoder.yaml
var Files embed.FS
