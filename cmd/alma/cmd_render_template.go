package main

import (
	"github.com/spf13/cobra"

	"github.com/seed-b72bdb6c/alma/chat"
)

// newRenderTemplateCommand is what the program starts itself with to render the
// chat templates of others: a process without files and with little memory.
func newRenderTemplateCommand() *cobra.Command {
	return &cobra.Command{
		Use:    chat.Verb,
		Hidden: true,
		Short:  "Render chat templates for another process",
		Long: `Render chat templates, as the program itself asks for it when a model has a
template of its own. Requests are read from standard input, one JSON object a
line (template, variables, now); a line that says that it is ready, then the
answers, are written to standard output. Before that the process gives up its
files and most of its memory (docs/formats/chat-templates.md).`,
		Args: arguments(0, 0),
		RunE: func(*cobra.Command, []string) error { return chat.Serve() },
	}
}
