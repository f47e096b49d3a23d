package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

func newApprovalsShowCmd() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show what an approval request asks, and what it covers",
		Long: `Show says who asks for what and why, who may decide it, and what exactly an
approval is bound to: parameters, inputs and outputs, files with their size and
SHA-256. What is text is masked as it would be for anybody.`,
		Example:           `  sluice approvals show 06f3a1k2q8v7c5m9x4z1w0t6rb`,
		Args:              idArgs("approval request", false),
		ValidArgsFunction: completeApprovals,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.dial(cmd)
			if err != nil {
				return err
			}
			defer func() { _ = r.Close() }()
			got, err := ask(cmd, r, pb.NewApprovalServiceClient(r).GetApproval, &pb.GetApprovalRequest{Id: args[0]})
			if err != nil {
				return err
			}
			if f.output == "json" {
				return printJSON(cmd.OutOrStdout(), false, got.GetApproval())
			}
			return writeApproval(cmd.OutOrStdout(), got.GetApproval(), time.Now())
		},
	}
	f.add(cmd)
	return cmd
}

// sheet is lines of a word and its value.
type sheet struct{ *tabwriter.Writer }

func newSheet(w io.Writer) sheet { return sheet{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)} }

// line writes a line, if there is a value.
func (s sheet) line(word, value string) {
	if value != "" {
		fmt.Fprintf(s, "%s\t%s\n", word, shown(value))
	}
}

func writeApproval(w io.Writer, a *pb.Approval, now time.Time) error {
	s := newSheet(w)
	s.line("id", a.GetId())
	s.line("state", stateOf(a))
	s.line("asks", about(a.GetVerb(), a.GetModel(), a.GetVersion()))
	s.line("by", person(a.GetRequester()))
	s.line("from", a.GetClientAddress())
	s.line("rpc", a.GetRpc())
	s.line("backend", a.GetBackend())
	s.line("reason", a.GetReason())
	s.line("ticket", a.GetTicket())
	s.line("guard", a.GetGuard())
	s.line("approvers", termsOf(a.GetTerms()))
	s.line("gives", givesOf(a.GetTerms()))
	s.line("asked", ago(a.GetCreatedAt(), now))
	if a.GetState() == pb.ApprovalState_APPROVAL_STATE_PENDING {
		s.line("ends", ago(a.GetExpiresAt(), now))
	} else {
		s.line("ended", ago(a.GetEndedAt(), now))
	}
	if n := a.GetHeldCalls(); n > 0 {
		s.line("held calls", fmt.Sprint(n))
	}
	s.line("session", a.GetSessionId())
	s.line("grant", a.GetGrantId())
	for _, d := range a.GetDecisions() {
		said := "denied"
		if d.GetApproved() {
			said = "approved"
		}
		s.line(said+" by", person(d.GetPrincipal())+quoted(d.GetReason())+" "+ago(d.GetDecidedAt(), now))
	}
	s.line("digest", a.GetCoverage().GetDigest())
	if err := s.Flush(); err != nil {
		return err
	}
	return writeCoverage(w, a.GetCoverage())
}

// writeCoverage says what an approval is bound to, part by part.
func writeCoverage(w io.Writer, c *pb.Coverage) error {
	if len(c.GetParts()) == 0 {
		return nil
	}
	t := newTable("COVERS", "NAME", "TYPE", "SIZE", "SHA-256", "VALUE")
	for _, p := range c.GetParts() {
		kind := strings.ReplaceAll(stateName(p.GetKind().String(), "COVERED_PART_KIND_"), "_", " ")
		datatype := p.GetDatatype()
		if len(p.GetShape()) > 0 {
			datatype += strings.ReplaceAll(fmt.Sprint(p.GetShape()), " ", ",")
		}
		text := p.GetText()
		if p.GetTextCut() {
			text += "…"
		}
		bytes := ""
		if p.GetSizeBytes() > 0 {
			bytes = size(p.GetSizeBytes())
		}
		t.add(kind, p.GetName(), datatype, bytes, p.GetSha256(), text)
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	if err := t.write(w, ""); err != nil {
		return err
	}
	if n := c.GetPartsLeftOut(); n > 0 {
		_, err := fmt.Fprintf(w, "and %d more parts, which the digest covers too\n", n)
		return err
	}
	return nil
}

// person is a principal with what names it for ever.
func person(p *pb.Principal) string {
	switch {
	case p.GetName() == "" || p.GetName() == p.GetId():
		return p.GetId()
	case p.GetId() == "":
		return p.GetName()
	}
	return p.GetName() + " (" + p.GetId() + ")"
}

func quoted(reason string) string {
	if reason == "" {
		return ""
	}
	return ": \"" + reason + "\""
}

func termsOf(t *pb.ApprovalTerms) string {
	if t == nil {
		return ""
	}
	people := "one person"
	if t.GetCount() > 1 {
		people = fmt.Sprintf("%d people", t.GetCount())
	}
	return people + " in " + strings.Join(t.GetBy(), " or ")
}

func givesOf(t *pb.ApprovalTerms) string {
	if t == nil {
		return ""
	}
	text := "a grant for " + span(t.GetGrant().AsDuration())
	if t.GetScope() == pb.GrantScope_GRANT_SCOPE_MODEL {
		text += ", for any such call on the model"
	} else {
		text += ", for exactly this call"
	}
	if n := t.GetUses(); n > 0 {
		text += fmt.Sprintf(", %d times", n)
	}
	return text
}
