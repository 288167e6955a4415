package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/export"
	"github.com/seed-b72bdb6c/alma/progress"
)

func newLineageCommand(c *call) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "lineage PATH",
		GroupID: groupUse,
		Short:   "Draw the chain from data to a model, an adapter or an exported file",
		Long: `Draw the chain that leads to a model, an adapter, a file of a stage, or an exported
file: which stage made it, from what, and what that was made from, down to the data.
What changed since, or is gone, is marked; alma verify reads everything again. An
exported file carries the digest of what it came from, which is looked for beside it
and below runs/.`,
		Example: examples("alma lineage runs/godoc/ppo", "alma lineage runs/godoc/rankings/rankings.jsonl --json"),
		Args:    arguments(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			link, err := trace(args[0], false)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(link)
			}
			c.drawLink(link, "", "", map[string]bool{})
			return nil
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

func newVerifyCommand(c *call) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "verify PATH",
		GroupID: groupCheck,
		Short:   "Read everything that a model was made from again, and compare its hashes",
		Long: `Walk the chain that leads to a model, an adapter, a file of a stage, or an exported file
(alma lineage), hash everything that is still there again, and name what changed or is
gone. Then the exit code is 5.`,
		Example: examples("alma verify runs/godoc/ppo"),
		Args:    arguments(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			link, err := trace(args[0], true)
			if err != nil {
				return err
			}
			found := problems(link, map[string]bool{})
			if c.json {
				if err := c.printJSON(struct {
					Path     string   `json:"path"`
					Checked  int      `json:"checked"`
					Problems []string `json:"problems"`
				}{args[0], links(link, map[string]bool{}), append([]string{}, found...)}); err != nil {
					return err
				}
			} else {
				c.printf("%d artifacts and files of the chain read again\n", links(link, map[string]bool{}))
				for _, p := range found {
					c.printf("  %s\n", p)
				}
			}
			if len(found) > 0 {
				return artifact.Errorf(artifact.ErrCheckNotMet, "verifying %s: %d of what it was made from changed or is gone", args[0], len(found))
			}
			return nil
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

// trace walks the chain of a path; what an exported file came from is looked for
// beside it and below runs.
func trace(path string, verify bool) (*artifact.Link, error) {
	return artifact.Trace(path, verify, func(path string) (artifact.Input, bool) { return export.Origin(path, "runs") })
}

// drawLink draws a chain as a tree, each artifact's inputs once.
func (c *call) drawLink(l *artifact.Link, lead, below string, seen map[string]bool) {
	what := "brought"
	if l.Manifest != nil {
		what = l.Manifest.Kind
		if l.Part != "" {
			what += "." + l.Part
		}
	}
	role := ""
	if l.Role != "" {
		role = l.Role + ": "
	}
	c.printf("%s%s%s (%s", lead, role, l.Path, what)
	if l.SHA256 != "" {
		c.printf(", %s", l.SHA256[:12])
	}
	if m := l.Manifest; m != nil {
		c.printf(", %s", m.Created.Format("2006-01-02"))
		if m.Tokens > 0 {
			c.printf(", %s tokens", progress.Count(m.Tokens))
		}
	}
	c.printf(")")
	if len(l.Problems) > 0 {
		c.printf(" ✗ %s", strings.Join(l.Problems, "; "))
	}
	if seen[l.Path] && len(l.Inputs) > 0 {
		c.printf(" … as above\n")
		return
	}
	c.printf("\n")
	seen[l.Path] = true
	for i, in := range l.Inputs {
		branch, under := "├── ", "│   "
		if i == len(l.Inputs)-1 {
			branch, under = "└── ", "    "
		}
		c.drawLink(in, below+branch, below+under, seen)
	}
}

// problems lists what changed or is gone in a chain, each once.
func problems(l *artifact.Link, seen map[string]bool) []string {
	if seen[l.Path] {
		return nil
	}
	seen[l.Path] = true
	var list []string
	for _, p := range l.Problems {
		list = append(list, fmt.Sprintf("%s: %s", l.Path, p))
	}
	for _, in := range l.Inputs {
		list = append(list, problems(in, seen)...)
	}
	return list
}

// links counts what a chain holds, each once.
func links(l *artifact.Link, seen map[string]bool) int {
	if seen[l.Path] {
		return 0
	}
	seen[l.Path] = true
	n := 1
	for _, in := range l.Inputs {
		n += links(in, seen)
	}
	return n
}
