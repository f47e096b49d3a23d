package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

// keptOut is how long a killed principal is kept out if nobody says.
const keptOut = 24 * time.Hour

// killed is what became of one session or principal, as JSON.
type killed struct {
	ID string `json:"id"`
	// Sessions are how many were ended, as far as the replica that answered knows.
	Sessions   int32     `json:"killed"`
	Everywhere bool      `json:"everywhere"`
	Expires    time.Time `json:"expiresAt,omitzero"`
}

// killing is what sessions kill is told.
type killing struct {
	clientFlags
	principal, reason string
	span              time.Duration
	lift              bool
}

func newSessionsKillCmd() *cobra.Command {
	var k killing
	cmd := &cobra.Command{
		Use:   "kill (ID... | --principal ID [--for TIME | --lift]) [--reason TEXT]",
		Short: "End sessions, or all of a principal and keep him out",
		Long: `Kill ends running streams and calls at once, on every replica of the gateway.

By a session's id it ends that session; its principal may begin another. With
--principal it ends all that the principal has running, and refuses whatever he
begins until the time is over (--for 0 is for ever) or it is lifted with --lift.
A principal is written issuer#subject, as "sluice sessions list -o json" shows it.`,
		Example: `  sluice sessions kill 5f0c9d7b2a6e4f18b3d2c1a097e6f5d4
  sluice sessions kill --principal "https://login.example.com#1234" --for 24h --reason "left the company"
  sluice sessions kill --principal "https://login.example.com#1234" --lift`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 && k.principal == "":
				return misused(cmd, "say which session, by its id, or whose sessions with --principal")
			case len(args) > 0 && k.principal != "":
				return misused(cmd, "say sessions or --principal, not both")
			case k.principal == "" && (k.lift || cmd.Flags().Changed("for")):
				return misused(cmd, "--for and --lift are about a principal: say whom with --principal")
			case k.lift && cmd.Flags().Changed("for"):
				return misused(cmd, "--lift and --for exclude each other")
			case k.span < 0:
				return misused(cmd, "--for %v: say how long from now, as --for 24h", k.span)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := k.dial(cmd)
			if err != nil {
				return err
			}
			defer func() { _ = r.Close() }()
			switch {
			case k.lift:
				return k.liftEnded(cmd, r)
			case k.principal != "":
				return k.killPrincipal(cmd, r)
			}
			return k.killSessions(cmd, r, args)
		},
	}
	k.add(cmd)
	cmd.Flags().StringVar(&k.principal, "principal", "", "all sessions of this principal, an `ID` as issuer#subject")
	cmd.Flags().DurationVar(&k.span, "for", keptOut, "how long the principal is kept out; 0 is until it is lifted")
	cmd.Flags().BoolVar(&k.lift, "lift", false, "let the principal in again")
	cmd.Flags().StringVar(&k.reason, "reason", "", "why, for the record; the principal is not told")
	return cmd
}

func (k *killing) killSessions(cmd *cobra.Command, r *remote, ids []string) error {
	all := []killed{}
	var failed error
	for _, id := range ids {
		q := &pb.KillSessionRequest{Target: &pb.KillSessionRequest_SessionId{SessionId: id}, Reason: k.reason}
		got, err := ask(cmd, r, pb.NewSessionServiceClient(r).KillSession, q)
		if err != nil {
			if len(ids) > 1 {
				err = fmt.Errorf("%s: %w", shown(id), err)
			}
			failed = errors.Join(failed, err)
			continue
		}
		if all = append(all, killed{ID: id, Sessions: got.GetKilled(), Everywhere: got.GetEverywhere()}); k.output != "json" {
			fmt.Fprintf(cmd.OutOrStdout(), "%s killed\n", shown(id))
		}
	}
	if k.output == "json" {
		if err := printValue(cmd.OutOrStdout(), all); err != nil {
			return err
		}
	}
	return failed
}

func (k *killing) killPrincipal(cmd *cobra.Command, r *remote) error {
	q := &pb.KillSessionRequest{Target: &pb.KillSessionRequest_Principal{Principal: k.principal}, Reason: k.reason}
	if k.span > 0 {
		q.Duration = durationpb.New(k.span)
	}
	got, err := ask(cmd, r, pb.NewSessionServiceClient(r).KillSession, q)
	if err != nil {
		return err
	}
	if !got.GetEverywhere() {
		fmt.Fprintln(cmd.ErrOrStderr(), "sluice: the store is away: the replica that answered obeys, the others will when it is back; ask each of them, or run this again")
	}
	at := got.GetEnded().GetExpiresAt()
	if k.output == "json" {
		answer := killed{ID: k.principal, Sessions: got.GetKilled(), Everywhere: got.GetEverywhere()}
		if at != nil {
			answer.Expires = at.AsTime()
		}
		return printValue(cmd.OutOrStdout(), answer)
	}
	until := "until that is lifted"
	if at != nil {
		until = "until " + at.AsTime().Local().Format("2006-01-02 15:04 MST")
	}
	n := fmt.Sprintf("%d sessions", got.GetKilled())
	if got.GetKilled() == 1 {
		n = "1 session"
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s killed; %s is kept out %s\n", n, shown(k.principal), until)
	return err
}

func (k *killing) liftEnded(cmd *cobra.Command, r *remote) error {
	_, err := ask(cmd, r, pb.NewSessionServiceClient(r).LiftEnded, &pb.LiftEndedRequest{Id: k.principal, Reason: k.reason})
	if err != nil {
		return err
	}
	if k.output == "json" {
		return printValue(cmd.OutOrStdout(), map[string]string{"id": k.principal})
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s may come back\n", shown(k.principal))
	return err
}
