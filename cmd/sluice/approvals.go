package main

import (
	"github.com/spf13/cobra"

	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

func newApprovalsCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "approvals",
		Short: "See and decide what waits for people",
		Long: `The approvals commands ask a running gateway about approval requests: calls that
a guard holds until people agree, and rights that somebody asked for ahead.

Which gateway is SLUICE_SERVER or --server, and who asks is the last
"sluice login" there, or SLUICE_TOKEN.`,
		Example: `  sluice approvals list
  sluice approvals show 06f3a1k2q8v7c5m9x4z1w0t6rb
  sluice approvals approve 06f3a1k2q8v7c5m9x4z1w0t6rb --reason "window of CHG-1234"`,
		Args: noArgs,
		RunE: showHelp,

		DisableFlagsInUseLine: true,
	}
	cmd.AddCommand(newApprovalsListCmd(), newApprovalsShowCmd(), newApprovalsWatchCmd(),
		newDecideCmd("approve", "Agree to what waits", approveOne), newDecideCmd("deny", "Refuse what waits", denyOne), newLinkSlackCmd(), newUnlinkSlackCmd())
	return cmd
}

// completeApprovals offers the requests that the caller may decide.
func completeApprovals(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	server, _ := cmd.Flags().GetString("server")
	ca, _ := cmd.Flags().GetString("ca")
	plaintext, _ := cmd.Flags().GetBool("plaintext")
	r, err := (&clientFlags{server: server, ca: ca, plaintext: plaintext}).dial(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer func() { _ = r.Close() }()
	found, err := ask(cmd, r, pb.NewApprovalServiceClient(r).ListApprovals, &pb.ListApprovalsRequest{States: []pb.ApprovalState{pb.ApprovalState_APPROVAL_STATE_PENDING}})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var ids []string
	for _, a := range found.GetApprovals() {
		ids = append(ids, a.GetId()+"\t"+shown(a.GetVerb()+" "+a.GetModel()+" for "+nameOf(a.GetRequester())))
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

// idArgs is for commands that take the ids of things.
func idArgs(what string, many bool) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return misused(cmd, "say which %s, by its id", what)
		case len(args) > 1 && !many:
			return misused(cmd, "unexpected argument %q: one id at a time", args[1])
		}
		return nil
	}
}

// nameOf is a human's word for a principal.
func nameOf(p *pb.Principal) string {
	if p.GetName() != "" {
		return p.GetName()
	}
	return p.GetId()
}

// about is a verb and its model.
func about(verb, model, version string) string {
	if model == "" {
		return verb
	}
	if version != "" {
		model += " version " + version
	}
	return verb + " " + model
}
