package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

func newApprovalsListCmd() *cobra.Command {
	var f clientFlags
	var q pb.ListApprovalsRequest
	var all bool
	var states []string
	cmd := &cobra.Command{
		Use:   "list [--all | --state STATE] [--mine] [--mine-to-decide]",
		Short: "List approval requests, the newest first",
		Long: `List shows the requests that wait for people and that you may see: your own and
those that you may decide. Who holds the verb admin or audit_read sees all.`,
		Example: `  sluice approvals list
  sluice approvals list --all --mine
  sluice approvals list --output json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if all && len(states) > 0 {
				return usage("--all and --state exclude each other: --all is every state")
			}
			var err error
			if q.States, err = wantedStates(all, states); err != nil {
				return err
			}
			return f.listApprovals(cmd, &q)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "those too that were decided or ended otherwise")
	cmd.Flags().StringSliceVar(&states, "state", nil, "only those in these `states`: "+strings.Join(stateNames(pb.ApprovalState_name, "APPROVAL_STATE_"), ", "))
	cmd.Flags().BoolVar(&q.Mine, "mine", false, "only your own")
	cmd.Flags().BoolVar(&q.Approvable, "mine-to-decide", false, "only those that you may decide now")
	cmd.Flags().StringVar(&q.Model, "model", "", "only those about this `model`")
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(stateNames(pb.ApprovalState_name, "APPROVAL_STATE_"), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// wantedStates reads --all and --state; neither is what waits.
func wantedStates(all bool, names []string) ([]pb.ApprovalState, error) {
	switch {
	case all:
		return nil, nil
	case len(names) == 0:
		return []pb.ApprovalState{pb.ApprovalState_APPROVAL_STATE_PENDING}, nil
	}
	values, err := statesOf(names, pb.ApprovalState_value, "APPROVAL_STATE_")
	states := make([]pb.ApprovalState, 0, len(values))
	for _, v := range values {
		states = append(states, pb.ApprovalState(v))
	}
	return states, err
}

// stateNames are an enumeration's words as people write them, sorted.
func stateNames(names map[int32]string, prefix string) []string {
	var out []string
	for n, name := range names {
		if n != 0 {
			out = append(out, strings.ToLower(strings.TrimPrefix(name, prefix)))
		}
	}
	slices.Sort(out)
	return out
}

// stateName is one such word.
func stateName(name, prefix string) string { return strings.ToLower(strings.TrimPrefix(name, prefix)) }

func statesOf(names []string, values map[string]int32, prefix string) ([]int32, error) {
	var known []string
	for name, v := range values {
		if v != 0 {
			known = append(known, stateName(name, prefix))
		}
	}
	slices.Sort(known)
	var out []int32
	for _, name := range names {
		v, ok := values[prefix+strings.ToUpper(name)]
		if !ok || v == 0 {
			return nil, usage("--state %q: use one of %s%s", name, strings.Join(known, ", "), access.DidYouMean(name, known))
		}
		out = append(out, v)
	}
	return out, nil
}

func (f *clientFlags) listApprovals(cmd *cobra.Command, q *pb.ListApprovalsRequest) error {
	r, err := f.dial(cmd)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	client := pb.NewApprovalServiceClient(r)
	found, err := pages(func(token string) ([]*pb.Approval, string, error) {
		q.PageToken, q.PageSize = token, pageSize
		page, err := ask(cmd, r, client.ListApprovals, q)
		return page.GetApprovals(), page.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	if f.output == "json" {
		return printJSON(cmd.OutOrStdout(), true, found...)
	}
	t, now := newTable("ID", "STATE", "VERB", "MODEL", "BY", "GUARD", "ASKED", "ENDS", "REASON"), time.Now()
	for _, a := range found {
		ends := ago(a.GetExpiresAt(), now)
		if a.GetState() != pb.ApprovalState_APPROVAL_STATE_PENDING {
			ends = ago(a.GetEndedAt(), now)
		}
		t.add(a.GetId(), stateOf(a), a.GetVerb(), a.GetModel(), nameOf(a.GetRequester()), a.GetGuard(), ago(a.GetCreatedAt(), now), ends, a.GetReason())
	}
	return t.write(cmd.OutOrStdout(), "no approval requests")
}

// stateOf is a request's state, with how far it is.
func stateOf(a *pb.Approval) string {
	state := stateName(a.GetState().String(), "APPROVAL_STATE_")
	if n := a.GetTerms().GetCount(); n > 1 && a.GetState() == pb.ApprovalState_APPROVAL_STATE_PENDING {
		state += fmt.Sprintf(" %d/%d", len(a.GetDecisions()), n)
	}
	return state
}

const (
	pageSize = 500
	// maxListed bounds how much one command gathers.
	maxListed = 20_000
)

// pages gathers a list that comes in pages.
func pages[M any](next func(token string) ([]M, string, error)) ([]M, error) {
	var all []M
	for token := ""; ; {
		page, more, err := next(token)
		if err != nil {
			return nil, err
		}
		if all = append(all, page...); more == "" || more == token || len(all) >= maxListed {
			return all, nil
		}
		token = more
	}
}
