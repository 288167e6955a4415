package main

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/recipe"
	"github.com/seed-b72bdb6c/alma/recipes"
)

func newNewCommand(c *call) *cobra.Command {
	return &cobra.Command{
		Use:     "new [NAME [FILE]]",
		GroupID: groupMake,
		Short:   "List the recipes to begin with, and copy one to where you are",
		Long: `Without arguments, list the recipes that alma carries with it. With the name of one,
write it to NAME.yaml, or to FILE, for you to change; a file that is there is kept.`,
		Example: examples("alma new", "alma new assistant", "alma new own-text book.yaml"),
		Args:    arguments(0, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.listRecipes()
			}
			text, err := carriedRecipe(args[0])
			if err != nil {
				return err
			}
			path := args[0] + ".yaml"
			if len(args) > 1 {
				path = args[1]
			}
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				return artifact.Errorf(artifact.ErrUsage, "writing %s: it is there already; give another name: alma new %s FILE", path, args[0])
			}
			if err := artifact.WriteFile(path, text); err != nil {
				return err
			}
			c.printf("wrote %s\n\n  alma recipe check %s      what it would read, and whether that is there\n  alma run %s --dry-run    every value, and what it would take\n  alma run %s\n", path, path, path, path)
			return nil
		},
	}
}

// carriedNames lists the recipes that the program carries.
func carriedNames() []string {
	entries, err := recipes.Files.ReadDir(".")
	if err != nil {
		panic(err) // they are part of the program
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	slices.Sort(names)
	return names
}

// carriedRecipe returns the text of a recipe that the program carries.
func carriedRecipe(name string) ([]byte, error) {
	text, err := recipes.Files.ReadFile(name + ".yaml")
	if err != nil {
		hint := ";"
		if near := nearest(name, carriedNames()); near != "" {
			hint = "; did you mean " + near + "?"
		}
		return nil, artifact.Errorf(artifact.ErrNotFound, "choosing a recipe: there is none called %q%s there are %s", name, hint, strings.Join(carriedNames(), ", "))
	}
	return text, nil
}

func (c *call) listRecipes() error {
	for _, name := range carriedNames() {
		text, err := carriedRecipe(name)
		if err != nil {
			return err
		}
		r, err := recipe.Parse(name+".yaml", text, recipe.Options{})
		if err != nil {
			return err
		}
		c.printf("%-18s %s\n", name, wrapped(r.About, 19))
	}
	c.printf("\nalma new NAME writes one to NAME.yaml, for you to change.\n")
	return nil
}

// wrapped breaks a text into lines of helpColumns, indented from the second on.
func wrapped(text string, indent int) string {
	var b strings.Builder
	column := indent
	for i, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case i == 0:
		case column+1+n > helpColumns:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}
