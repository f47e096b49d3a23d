package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

// decision is what one of approve and deny does to one request; it returns what
// became of that, and what to tell.
type decision func(cmd *cobra.Command, r *remote, a *pb.Approval, reason string) (*pb.Approval, string, error)

func newDecideCmd(verb, short string, decide decision) *cobra.Command {
	var f clientFlags
	var reason string
	long := `Approve agrees to what is asked: once enough people have, held calls go on and
the requester has a grant. You can't approve what you ask for yourself. The
approval is bound to the digest that "approvals show" shows: what changes after
you have looked is not approved.`
	if verb == "deny" {
		long = `Deny refuses what is asked: one person is enough, and held calls end with that.
The requester may take back his own request by it.`
	}
	cmd := &cobra.Command{
		Use:   verb + " ID... [--reason TEXT]",
		Short: short,
		Long: long + `

With several ids each is decided by itself; the exit code is 1 if any of them
could not be.`,
		Example:           "  sluice approvals " + verb + ` 06f3a1k2q8v7c5m9x4z1w0t6rb --reason "window of CHG-1234"`,
		Args:              idArgs("approval request", true),
		ValidArgsFunction: completeApprovals,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.dial(cmd)
			if err != nil {
				return err
			}
			defer func() { _ = r.Close() }()
			return f.decideAll(cmd, r, args, reason, decide)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the requester and the record")
	return cmd
}

// decideAll decides one after the other and goes on after an error.
func (f *clientFlags) decideAll(cmd *cobra.Command, r *remote, ids []string, reason string, decide decision) error {
	var all []*pb.Approval
	var failed error
	for _, id := range ids {
		got, err := ask(cmd, r, pb.NewApprovalServiceClient(r).GetApproval, &pb.GetApprovalRequest{Id: id})
		var said string
		var a *pb.Approval
		if err == nil {
			a, said, err = decide(cmd, r, got.GetApproval(), reason)
		}
		if err != nil {
			if len(ids) > 1 {
				err = fmt.Errorf("%s: %w", shown(id), err)
			}
			failed = errors.Join(failed, err)
			continue
		}
		all = append(all, a)
		if f.output != "json" {
			fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", a.GetId(), shown(said))
		}
	}
	if f.output == "json" {
		if err := printJSON(cmd.OutOrStdout(), true, all...); err != nil {
			return err
		}
	}
	return failed
}

// asked says what a request is for.
func asked(a *pb.Approval) string {
	return about(a.GetVerb(), a.GetModel(), a.GetVersion()) + " for " + nameOf(a.GetRequester())
}

func approveOne(cmd *cobra.Command, r *remote, a *pb.Approval, reason string) (*pb.Approval, string, error) {
	q := &pb.ApproveRequest{Id: a.GetId(), Reason: reason, Digest: a.GetCoverage().GetDigest()}
	got, err := ask(cmd, r, pb.NewApprovalServiceClient(r).Approve, q)
	if err != nil {
		return nil, "", err
	}
	a = got.GetApproval()
	if g := got.GetGrant(); g != nil {
		return a, fmt.Sprintf("approved: %s; grant %s ends %s", asked(a), g.GetId(), ago(g.GetExpiresAt(), time.Now())), nil
	}
	if a.GetState() == pb.ApprovalState_APPROVAL_STATE_PENDING {
		return a, fmt.Sprintf("agreed: %s; %d of %d people have", asked(a), len(a.GetDecisions()), a.GetTerms().GetCount()), nil
	}
	return a, stateOf(a) + ": " + asked(a), nil
}

func denyOne(cmd *cobra.Command, r *remote, a *pb.Approval, reason string) (*pb.Approval, string, error) {
	got, err := ask(cmd, r, pb.NewApprovalServiceClient(r).Deny, &pb.DenyRequest{Id: a.GetId(), Reason: reason})
	if err != nil {
		return nil, "", err
	}
	return got.GetApproval(), stateOf(got.GetApproval()) + ": " + asked(got.GetApproval()), nil
}
