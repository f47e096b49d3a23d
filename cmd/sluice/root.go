package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"
)

// Run runs the program with its arguments. Data goes to stdout, talk to stderr.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	root := newRootCmd()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx)
}

func newRootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:   "sluice",
		Short: "The gateway that self-hosted models stand behind",
		Long: `Sluice is a gRPC gateway for self-hosted models. It speaks KServe v2 as Triton
does: clients change their endpoint and nothing else. On the way it knows who
calls, decides what they may do to which model, and writes it down.`,
		Example: `  # everything at once, on this machine, with nothing else installed
  sluice demo

  # a gateway with a configuration of your own
  sluice check --config sluice.yaml
  sluice serve --config sluice.yaml`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          showHelp,

		DisableFlagsInUseLine: true,
	}
	root.SetFlagErrorFunc(flagError) // the commands below inherit it
	root.AddCommand(newServeCmd(), newCheckCmd(), newDemoCmd(), newPolicyCmd(), newMaskCmd(), newBackendsCmd(), newStoreCmd(), newAuditCmd(), newSecretsCmd(), newVersionCmd(),
		newApprovalsCmd(), newAccessCmd(), newGrantsCmd(), newSessionsCmd(), newLoginCmd(), newLogoutCmd(), newWhoAmICmd())
	addOwn(root)
	return root
}
