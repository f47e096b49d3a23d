package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

func newSessionsCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sessions",
		Short: "See who is on the gateway, and put them out",
		Long: `The sessions commands ask a running gateway who is on it: a session is one
stream's calls, or those of one principal on one connection. They need the verb
admin; your own sessions you may always see and kill.`,
		Example: `  sluice sessions list
  sluice sessions kill 5f0c9d7b2a6e4f18b3d2c1a097e6f5d4
  sluice sessions kill --principal "https://login.example.com#1234" --for 24h --reason "left the company"`,
		Args: noArgs,
		RunE: showHelp,

		DisableFlagsInUseLine: true,
	}
	cmd.AddCommand(newSessionsListCmd(), newSessionsKillCmd())
	return cmd
}

func newSessionsListCmd() *cobra.Command {
	var f clientFlags
	var q pb.ListSessionsRequest
	var ended bool
	cmd := &cobra.Command{
		Use:   "list [--mine | --principal ID | --ended]",
		Short: "List live sessions of every replica, the newest first",
		Long: `List shows the live sessions of every replica of the gateway; those of other
replicas are some seconds old. With --ended it shows who is kept out.`,
		Example: `  sluice sessions list
  sluice sessions list --ended --output json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if ended && (q.Mine || q.Principal != "") {
				return usage("--ended lists all who are kept out; leave --mine and --principal away")
			}
			r, err := f.dial(cmd)
			if err != nil {
				return err
			}
			defer func() { _ = r.Close() }()
			if ended {
				return f.listEnded(cmd, r)
			}
			return f.listSessions(cmd, r, &q)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&q.Mine, "mine", false, "only your own")
	cmd.Flags().StringVar(&q.Principal, "principal", "", "only those of this principal, an `ID` as issuer#subject")
	cmd.Flags().BoolVar(&ended, "ended", false, "who is kept out")
	return cmd
}

func (f *clientFlags) listSessions(cmd *cobra.Command, r *remote, q *pb.ListSessionsRequest) error {
	client, partial := pb.NewSessionServiceClient(r), false
	found, err := pages(func(token string) ([]*pb.Session, string, error) {
		q.PageToken, q.PageSize = token, pageSize
		page, err := ask(cmd, r, client.ListSessions, q)
		partial = partial || page.GetPartial()
		return page.GetSessions(), page.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	if partial {
		fmt.Fprintln(cmd.ErrOrStderr(), "sluice: the store is away: only sessions of the replica that answered are here")
	}
	if f.output == "json" {
		return printJSON(cmd.OutOrStdout(), true, found...)
	}
	t, now := newTable("ID", "WHO", "DOOR", "FROM", "STREAM", "SINCE", "USED", "CALLS", "OPEN", "MODEL", "REPLICA"), time.Now()
	for _, s := range found {
		model := ""
		if m := s.GetModels(); len(m) > 0 {
			model = m[len(m)-1]
		}
		t.add(s.GetId(), nameOf(s.GetPrincipal()), s.GetDoor(), s.GetClientAddress(), s.GetRpc(), ago(s.GetStartedAt(), now), ago(s.GetLastUsedAt(), now),
			fmt.Sprint(s.GetCalls()), fmt.Sprint(s.GetOpenCalls()), model, s.GetReplica())
	}
	return t.write(cmd.OutOrStdout(), "nobody is on the gateway")
}

func (f *clientFlags) listEnded(cmd *cobra.Command, r *remote) error {
	client := pb.NewSessionServiceClient(r)
	found, err := pages(func(token string) ([]*pb.Ended, string, error) {
		page, err := ask(cmd, r, client.ListEnded, &pb.ListEndedRequest{PageToken: token, PageSize: pageSize})
		return page.GetEnded(), page.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	if f.output == "json" {
		return printJSON(cmd.OutOrStdout(), true, found...)
	}
	t, now := newTable("PRINCIPAL", "SINCE", "UNTIL", "BY", "REASON"), time.Now()
	for _, e := range found {
		t.add(e.GetId(), ago(e.GetEndedAt(), now), untilOf(e, now), nameOf(e.GetEndedBy()), e.GetReason())
	}
	return t.write(cmd.OutOrStdout(), "nobody is kept out")
}

func untilOf(e *pb.Ended, now time.Time) string {
	if e.GetExpiresAt() == nil {
		return "lifted"
	}
	return ago(e.GetExpiresAt(), now)
}
