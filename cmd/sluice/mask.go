package main

import "github.com/spf13/cobra"

func newMaskCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mask",
		Short: "Try the masking rules of a policy, without a server",
		Long: `The mask commands read the masking rules of policy files and show what they do.
They need no server and change nothing. The files are those of --policy, or
those that the configuration names.`,
		Example: `  sluice mask test --policy policy.yaml --model chat --tensor text_output < answer.txt`,
		Args:    noArgs,
		RunE:    showHelp,

		DisableFlagsInUseLine: true,
	}
	cmd.AddCommand(newMaskTestCmd())
	return cmd
}
