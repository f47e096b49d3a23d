package main

import "github.com/spf13/cobra"

func newMaskCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mask",
		Short: "Try the masking rules of a policy, and reveal what tokens stand for",
		Long: `Mask test reads the masking rules of policy files and shows what they do: it
needs no server and changes nothing. Mask reveal asks a running gateway what the
tokens stand for that action tokenize has written.`,
		Example: `  sluice mask test --policy policy.yaml --model chat --tensor text_output < answer.txt
  sluice mask reveal EMAIL_tok_mfrggzdfmztwq2lknnwg23tpoa --reason "ticket 4711"`,
		Args: noArgs,
		RunE: showHelp,

		DisableFlagsInUseLine: true,
	}
	cmd.AddCommand(newMaskTestCmd(), newMaskRevealCmd())
	return cmd
}
