package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

func newApprovalsWatchCmd() *cobra.Command {
	var f clientFlags
	var q pb.WatchApprovalsRequest
	cmd := &cobra.Command{
		Use:   "watch [--mine | --mine-to-decide]",
		Short: "Print approval requests as they come and change",
		Long: `Watch prints the requests that are open, then a line for each that comes or
changes, until it is ended (Ctrl-C) or your token runs out. With --output json
each line is one request.`,
		Example: `  sluice approvals watch --mine-to-decide
  sluice approvals watch --output json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := f.dial(cmd)
			if err != nil {
				return err
			}
			defer func() { _ = r.Close() }()
			return f.watchApprovals(cmd, r, &q)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&q.Mine, "mine", false, "only your own")
	cmd.Flags().BoolVar(&q.Approvable, "mine-to-decide", false, "only those that you may decide")
	return cmd
}

func (f *clientFlags) watchApprovals(cmd *cobra.Command, r *remote, q *pb.WatchApprovalsRequest) error {
	stream, err := pb.NewApprovalServiceClient(r).WatchApprovals(cmd.Context(), q)
	if err != nil {
		return r.explain(cmd.Context(), err)
	}
	for {
		got, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return errors.New("the gateway has ended the watch; start it again")
		case err != nil:
			return r.explain(cmd.Context(), err)
		}
		if f.output == "json" {
			err = printJSON(cmd.OutOrStdout(), false, got.GetApproval())
		} else {
			a := got.GetApproval()
			_, err = fmt.Fprintln(cmd.OutOrStdout(), shown(fmt.Sprintf("%s  %s  %s: %s%s",
				time.Now().Format(time.TimeOnly), a.GetId(), stateOf(a), asked(a), quoted(a.GetReason()))))
		}
		if err != nil {
			return err
		}
	}
}

// waitEvery is how often somebody who waits for a decision asks; the gateway is
// asked and not watched, so that a restart in between loses nothing.
const waitEvery = time.Second

// await waits until a request is decided, or ends otherwise.
func (r *remote) await(cmd *cobra.Command, id string) (*pb.Approval, error) {
	for {
		got, err := ask(cmd, r, pb.NewApprovalServiceClient(r).GetApproval, &pb.GetApprovalRequest{Id: id})
		if err != nil {
			return nil, err
		}
		if a := got.GetApproval(); a.GetState() != pb.ApprovalState_APPROVAL_STATE_PENDING {
			return a, nil
		}
		if err := pause(cmd.Context(), waitEvery); err != nil {
			return nil, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
