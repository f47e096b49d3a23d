package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

func newGrantsCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "grants",
		Short: "See and end what approvals have given",
		Long: `The grants commands ask a running gateway about grants: the time-boxed rights
that approvals and break-glass have given.`,
		Example: `  sluice grants list --mine
  sluice grants revoke 06f3a1m4c2v7c5m9x4z1w0t6rb --reason "done early"`,
		Args: noArgs,
		RunE: showHelp,

		DisableFlagsInUseLine: true,
	}
	cmd.AddCommand(newGrantsListCmd(), newGrantsRevokeCmd())
	return cmd
}

func newGrantsListCmd() *cobra.Command {
	var f clientFlags
	var q pb.ListGrantsRequest
	var all bool
	var states []string
	cmd := &cobra.Command{
		Use:   "list [--all | --state STATE] [--mine | --principal ID]",
		Short: "List grants, the newest first",
		Long: `List shows the grants that are in force and that you may see: your own and those
that you approved or could revoke. Who holds the verb admin or audit_read sees all.`,
		Example: `  sluice grants list
  sluice grants list --all --principal "https://login.example.com#1234" --output json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if all && len(states) > 0 {
				return usage("--all and --state exclude each other: --all is every state")
			}
			if !all && len(states) == 0 {
				states = []string{"active"}
			}
			values, err := statesOf(states, pb.GrantState_value, "GRANT_STATE_")
			if err != nil {
				return err
			}
			for _, v := range values {
				q.States = append(q.States, pb.GrantState(v))
			}
			return f.listGrants(cmd, &q)
		},
	}
	f.add(cmd)
	known := stateNames(pb.GrantState_name, "GRANT_STATE_")
	cmd.Flags().BoolVar(&all, "all", false, "those too that have ended")
	cmd.Flags().StringSliceVar(&states, "state", nil, "only those in these `states`: "+strings.Join(known, ", "))
	cmd.Flags().BoolVar(&q.Mine, "mine", false, "only your own")
	cmd.Flags().StringVar(&q.Principal, "principal", "", "only those of this principal, an `ID` as issuer#subject")
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(known, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (f *clientFlags) listGrants(cmd *cobra.Command, q *pb.ListGrantsRequest) error {
	r, err := f.dial(cmd)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	client := pb.NewGrantServiceClient(r)
	found, err := pages(func(token string) ([]*pb.Grant, string, error) {
		q.PageToken, q.PageSize = token, pageSize
		page, err := ask(cmd, r, client.ListGrants, q)
		return page.GetGrants(), page.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	if f.output == "json" {
		return printJSON(cmd.OutOrStdout(), true, found...)
	}
	t, now := newTable("ID", "STATE", "HOLDER", "VERB", "MODEL", "FOR", "ENDS", "USED", "APPROVERS", "REASON"), time.Now()
	for _, g := range found {
		ends := g.GetExpiresAt()
		if g.GetEndedAt() != nil {
			ends = g.GetEndedAt()
		}
		t.add(g.GetId(), stateName(g.GetState().String(), "GRANT_STATE_"), nameOf(g.GetPrincipal()), g.GetVerb(), g.GetModel(),
			coverOf(g), ago(ends, now), usedOf(g), approversOf(g), g.GetReason())
	}
	return t.write(cmd.OutOrStdout(), "no grants")
}

func coverOf(g *pb.Grant) string {
	if g.GetScope() == pb.GrantScope_GRANT_SCOPE_CALL {
		return "one call's content"
	}
	return "any call"
}

func usedOf(g *pb.Grant) string {
	if g.GetUses() == 0 {
		return "-" // good for any number, which is not counted
	}
	return fmt.Sprintf("%d/%d", g.GetUsed(), g.GetUses())
}

func approversOf(g *pb.Grant) string {
	if g.GetBreakGlass() {
		return "nobody: BREAK-GLASS"
	}
	var names []string
	for _, p := range g.GetApprovers() {
		names = append(names, nameOf(p))
	}
	return strings.Join(names, ", ")
}

func newGrantsRevokeCmd() *cobra.Command {
	var f clientFlags
	var reason string
	cmd := &cobra.Command{
		Use:   "revoke ID... [--reason TEXT]",
		Short: "End grants at once",
		Long: `Revoke ends grants: the next call needs an approval again, and a running stream
ends at its next message. Who may: who holds the grant, who may approve it, and
who holds the verb admin.`,
		Example: `  sluice grants revoke 06f3a1m4c2v7c5m9x4z1w0t6rb --reason "done early"`,
		Args:    idArgs("grant", true),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.dial(cmd)
			if err != nil {
				return err
			}
			defer func() { _ = r.Close() }()
			return f.revokeAll(cmd, r, args, reason)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record")
	return cmd
}

// revokeAll revokes one after the other and goes on after an error.
func (f *clientFlags) revokeAll(cmd *cobra.Command, r *remote, ids []string, reason string) error {
	var all []*pb.Grant
	var failed error
	for _, id := range ids {
		got, err := ask(cmd, r, pb.NewGrantServiceClient(r).RevokeGrant, &pb.RevokeGrantRequest{Id: id, Reason: reason})
		if err != nil {
			if len(ids) > 1 {
				err = fmt.Errorf("%s: %w", shown(id), err)
			}
			failed = errors.Join(failed, err)
			continue
		}
		g := got.GetGrant()
		all = append(all, g)
		if f.output != "json" {
			fmt.Fprintf(cmd.OutOrStdout(), "%s revoked: %s of %s\n", shown(g.GetId()), shown(about(g.GetVerb(), g.GetModel(), "")), shown(nameOf(g.GetPrincipal())))
		}
	}
	if f.output == "json" {
		if err := printJSON(cmd.OutOrStdout(), true, all...); err != nil {
			return err
		}
	}
	return failed
}
