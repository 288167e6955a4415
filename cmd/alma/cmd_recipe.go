package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute/cpu"
	"github.com/seed-b72bdb6c/alma/recipe"
)

func newRecipeCommand(c *call) *cobra.Command {
	cmd := family(&cobra.Command{
		Use:     "recipe",
		GroupID: groupMake,
		Short:   "Show and check recipes, and what may stand in them",
		Long: `A recipe lists stages by name (docs/recipes.md). Whether one is right can be asked
before it is run; editors that know JSON Schema can ask while it is written.`,
	})
	cmd.AddCommand(newRecipeShowCommand(c), newRecipeCheckCommand(c), newRecipeStagesCommand(c), newRecipeSchemaCommand(c))
	return cmd
}

func newRecipeShowCommand(c *call) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show RECIPE",
		Short:   "Show the stages of a recipe, what each reads, and every value with its origin",
		Long:    "Show the stages of a recipe in the order in which they run, what each reads, and every\nvalue with its origin. RECIPE is a file, or the name of one that alma new lists.",
		Example: examples("alma recipe show assistant", "alma recipe show mine.yaml --set sft.lr=1e-4"),
		Args:    arguments(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := c.loadRecipe(args[0])
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(r.Resolved.Values)
			}
			c.printf("%s: %s\n\n", r.Name, r.About)
			for i, s := range r.Steps {
				c.printf("%2d  %-14s %-16s %s\n", i+1, s.Name, s.Stage.Kind, s.Stage.Does)
				for _, in := range s.Stage.Inputs {
					for _, ref := range s.Inputs[in.Name] {
						c.printf("    %14s %-16s %s\n", "", in.Name, ref)
					}
				}
			}
			c.printf("\n")
			return r.Resolved.Print(c.out)
		},
	}
	c.setFlag(cmd)
	c.jsonFlag(cmd)
	return cmd
}

// loadRecipe reads a recipe of the user's, or one that the program carries.
func (c *call) loadRecipe(name string) (*recipe.Recipe, error) {
	o := recipe.Options{Set: c.set}
	if _, err := os.Stat(name); err != nil && !strings.ContainsAny(name, `./\`) {
		text, err := carriedRecipe(name)
		if err != nil {
			return nil, err
		}
		return recipe.Parse(name+".yaml", text, o)
	}
	return recipe.Load(name, o)
}

func newRecipeCheckCommand(c *call) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check RECIPE",
		Short: "Check a recipe: its keys, its stages, and the files that it reads",
		Long: `Check a recipe without running it: keys and values, the stages that inputs name, and
whether the files and folders that it reads are there, of the right kind, and can be
read. What is wrong is told with its line.`,
		Example: examples("alma recipe check mine.yaml"),
		Args:    arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := recipe.Load(args[0], recipe.Options{Set: c.set})
			if err != nil {
				return err
			}
			folder := filepath.Join("runs", r.Name)
			if err := r.Check(cmd.Context(), folder, recipe.Selection{}); err != nil {
				return err
			}
			if _, err := r.Plan(folder, 0, cpu.MemoryBound(), recipe.Selection{}); err != nil {
				return err
			}
			c.printf("%s: %d stages, and what they read is there\n", args[0], len(r.Steps))
			return nil
		},
	}
	c.setFlag(cmd)
	return cmd
}

func newRecipeStagesCommand(c *call) *cobra.Command {
	return &cobra.Command{
		Use:     "stages [KIND]",
		Short:   "List the kinds of stages, or tell all of one",
		Long:    "List the kinds of stages that a recipe may use, or tell all of one: what it does, what it\nreads, what it leaves, and its configuration.",
		Example: examples("alma recipe stages", "alma recipe stages ppo"),
		Args:    arguments(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				for _, s := range recipe.Stages {
					c.printf("%-16s %s\n", s.Kind, wrapped(s.Does, 17))
				}
				return nil
			}
			s := recipe.StageOf(args[0])
			if s == nil {
				var kinds []string
				for _, s := range recipe.Stages {
					kinds = append(kinds, s.Kind)
				}
				hint := ""
				if near := nearest(args[0], kinds); near != "" {
					hint = "; did you mean " + near + "?"
				}
				return artifact.Errorf(artifact.ErrNotFound, "showing a stage: there is no kind %q%s", args[0], hint)
			}
			config := s.Config()
			fields, err := recipe.Describe(config)
			if err != nil {
				return err
			}
			c.printf("%s: %s\n", s.Kind, wrapped(s.Does, len(s.Kind)+2))
			if len(s.Inputs) > 0 {
				c.printf("\nreads\n")
			}
			for _, in := range s.Inputs {
				need := ""
				if in.Required {
					need = " (needed)"
				}
				var kinds []string
				for _, k := range in.Kinds {
					kinds = append(kinds, string(k))
				}
				c.printf("  %-16s %s%s\n  %-16s %s\n", in.Name, strings.Join(kinds, ", "), need, "", wrapped(in.Doc, 19))
			}
			c.printf("\nleaves\n")
			for _, o := range s.Outputs(config) {
				name := "the stage's name"
				if o.Part != "" {
					name = "." + o.Part
				}
				c.printf("  %-16s %s: %s\n", name, o.Kind, wrapped(o.Doc, 19))
			}
			if len(fields) > 0 {
				c.printf("\nconfiguration\n%s", describeFields(fields))
			}
			return nil
		},
	}
}

func newRecipeSchemaCommand(c *call) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of recipes, for editors",
		Long: `Print the JSON Schema of recipes, made of what the stages say of themselves. With it an
editor completes keys and marks faults: in VS Code with the YAML extension, a first line

  # yaml-language-server: $schema=recipe.schema.json

in the recipe, beside the file that this command wrote.`,
		Example: examples("alma recipe schema > recipe.schema.json"),
		Args:    arguments(0, 0),
		RunE: func(*cobra.Command, []string) error {
			text, err := recipe.Schema()
			if err != nil {
				return err
			}
			c.printf("%s", text)
			return nil
		},
	}
}
