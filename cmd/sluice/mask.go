package main

import "github.com/spf13/cobra"

func newMaskCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mask",
		Short: "Try the masking rules of a policy, without a server",
		Args:  noArgs,
		RunE:  showHelp,

		DisableFlagsInUseLine: true,
	}
	cmd.AddCommand(newMaskTestCmd())
	return cmd
}
