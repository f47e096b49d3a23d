package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

func newAccessCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "access",
		Short: "Ask for a right ahead of its use",
		Long: `The access commands ask a running gateway for what no role of yours allows, or
for what a guard would stop: others approve it, or in an emergency nobody does.`,
		Example: `  sluice access request load llama-7b --for 1h --reason "canary of the new weights"
  sluice access break-glass unload prod-llama --reason "outage INC-77"`,
		Args: noArgs,
		RunE: showHelp,

		DisableFlagsInUseLine: true,
	}
	cmd.AddCommand(newAccessRequestCmd(), newAccessBreakGlassCmd())
	return cmd
}

// wish is what somebody asks for.
type wish struct {
	span           time.Duration
	reason, ticket string
}

func (w *wish) add(cmd *cobra.Command, span string) {
	cmd.Flags().DurationVar(&w.span, "for", 0, span)
	cmd.Flags().StringVar(&w.reason, "reason", "", "why, for those who decide and for the record")
	cmd.Flags().StringVar(&w.ticket, "ticket", "", "a ticket's `number`, where one is asked for")
}

// check reads VERB MODEL, and what needs no server to be found wrong.
func (w *wish) check(cmd *cobra.Command, args []string) (verb, model string, err error) {
	v, model, err := verbAndModel(args)
	switch {
	case err != nil:
		return "", "", err
	case cmd.Flags().Changed("for") && w.span <= 0:
		return "", "", usage("--for %v: say how long from now, as --for 1h", w.span)
	}
	return v.String(), model, nil
}

func (w *wish) duration() *durationpb.Duration {
	if w.span == 0 {
		return nil
	}
	return durationpb.New(w.span)
}

func newAccessRequestCmd() *cobra.Command {
	var f clientFlags
	var w wish
	var wait bool
	cmd := &cobra.Command{
		Use:   "request VERB MODEL [--for TIME] --reason TEXT [--ticket NUMBER] [--wait]",
		Short: "Ask people for a right",
		Long: `Request asks those whom the policy names under "access" to let you do a verb to a
model for some time. It prints the request's id and ends; with --wait it ends
when the request is decided, with 0 if it was approved and with 1 if not.`,
		Example: `  sluice access request load llama-7b --for 1h --reason "canary of the new weights"
  sluice access request unload llama-7b --reason "rollback" --ticket CHG-1234 --wait`,
		ValidArgsFunction: completeVerb,
		RunE: func(cmd *cobra.Command, args []string) error {
			verb, model, err := w.check(cmd, args)
			if err != nil {
				return err
			}
			r, err := f.dial(cmd)
			if err != nil {
				return err
			}
			defer func() { _ = r.Close() }()
			got, err := ask(cmd, r, pb.NewAccessServiceClient(r).RequestAccess, &pb.RequestAccessRequest{
				Verb: verb, Model: model, Duration: w.duration(), Reason: w.reason, Ticket: w.ticket,
			})
			if err != nil {
				return err
			}
			return f.requested(cmd, r, got.GetApproval(), wait)
		},
	}
	f.add(cmd)
	w.add(cmd, "how long you need it (default: as long as the policy gives)")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until it is decided")
	return cmd
}

// requested says what became of a request.
func (f *clientFlags) requested(cmd *cobra.Command, r *remote, a *pb.Approval, wait bool) error {
	if wait && a.GetState() == pb.ApprovalState_APPROVAL_STATE_PENDING {
		fmt.Fprintf(cmd.ErrOrStderr(), "sluice: request %s waits for %s\n", shown(a.GetId()), shown(termsOf(a.GetTerms())))
		var err error
		if a, err = r.await(cmd, a.GetId()); err != nil {
			return err
		}
	}
	var err error
	switch {
	case f.output == "json":
		err = printJSON(cmd.OutOrStdout(), false, a)
	case a.GetState() == pb.ApprovalState_APPROVAL_STATE_PENDING:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s waits for %s, and ends %s\n", shown(a.GetId()), shown(termsOf(a.GetTerms())), ago(a.GetExpiresAt(), time.Now()))
	default:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", shown(a.GetId()), shown(outcome(a)))
	}
	if err == nil && wait && a.GetState() != pb.ApprovalState_APPROVAL_STATE_APPROVED {
		return &exitError{code: exitFailure}
	}
	return err
}

// outcome says how a request ended, and who said what.
func outcome(a *pb.Approval) string {
	text := stateOf(a)
	for _, d := range a.GetDecisions() {
		text += " by " + nameOf(d.GetPrincipal()) + quoted(d.GetReason())
	}
	if a.GetGrantId() != "" {
		text += "; grant " + a.GetGrantId()
	}
	return text
}

func newAccessBreakGlassCmd() *cobra.Command {
	var f clientFlags
	var w wish
	cmd := &cobra.Command{
		Use:   "break-glass VERB MODEL --reason TEXT [--for TIME]",
		Short: "Give yourself a right in an emergency, without anybody's approval",
		Long: `Break-glass gives you a grant at once. It needs the verb break_glass on the model
and a reason; everybody concerned is told, and the record says so for ever.`,
		Example:           `  sluice access break-glass unload prod-llama --reason "outage INC-77"`,
		ValidArgsFunction: completeVerb,
		RunE: func(cmd *cobra.Command, args []string) error {
			verb, model, err := w.check(cmd, args)
			if err != nil {
				return err
			}
			if w.reason == "" {
				return misused(cmd, "say why with --reason: everybody concerned is told")
			}
			r, err := f.dial(cmd)
			if err != nil {
				return err
			}
			defer func() { _ = r.Close() }()
			got, err := ask(cmd, r, pb.NewAccessServiceClient(r).BreakGlass, &pb.BreakGlassRequest{
				Verb: verb, Model: model, Duration: w.duration(), Reason: w.reason, Ticket: w.ticket,
			})
			if err != nil {
				return err
			}
			g := got.GetGrant()
			if f.output == "json" {
				return printJSON(cmd.OutOrStdout(), false, g)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "grant %s: you may %s; ends %s\n", shown(g.GetId()), shown(about(g.GetVerb(), g.GetModel(), "")), ago(g.GetExpiresAt(), time.Now()))
			return err
		},
	}
	f.add(cmd)
	w.add(cmd, "how long you need it (default: as long as break-glass gives)")
	return cmd
}
