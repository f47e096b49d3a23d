package main

import "github.com/spf13/cobra"

func newBackendsCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "backends",
		Short:   "Look at the model servers",
		Long:    `The backends commands ask the model servers of a configuration.`,
		Example: `  sluice backends status --config sluice.yaml`,
		Args:    noArgs,
		RunE:    showHelp,

		DisableFlagsInUseLine: true,
	}
	cmd.AddCommand(newBackendsStatusCmd())
	return cmd
}
