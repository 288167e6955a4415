package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/artifact"
	"github.com/seed-b72bdb6c/alma/compute/cpu/kernel"
)

type versions struct {
	Alma     string `json:"alma"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"` // the working tree had changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Kernels  string `json:"kernels"` // the instruction set that computes
}

func readVersions() versions {
	v := versions{Alma: artifact.Version(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Kernels: kernel.Name()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Revision = s.Value
			case "vcs.modified":
				v.Modified = s.Value == "true"
			}
		}
	}
	return v
}

func (v versions) String() string {
	text := "alma " + v.Alma
	if v.Revision != "" {
		text += " " + v.Revision[:min(12, len(v.Revision))]
	}
	if v.Modified {
		text += " with changes"
	}
	return text + ", " + v.Go + " " + v.Platform + ", kernels " + v.Kernels
}

func newVersionCommand(c *call) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		GroupID: groupCheck,
		Short:   "Print the version",
		Long: `Print the version of alma, the commit that it was built from, the version of Go
that built it, the platform, and the kernels that run on it.`,
		Example: examples("alma version", "alma version --json"),
		Args:    arguments(0, 0),
		RunE: func(*cobra.Command, []string) error {
			v := readVersions()
			if c.json {
				return c.printJSON(v)
			}
			c.printf("%s\n", v)
			return nil
		},
	}
	c.jsonFlag(cmd)
	return cmd
}
