package main

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/spf13/cobra"

	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

func newWhoAmICmd() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Say whom the gateway takes you for",
		Long: `Whoami asks a running gateway whom it takes you for, by SLUICE_TOKEN or the last
"sluice login" there: who you are, in which groups, and which roles you hold.`,
		Example: `  sluice whoami
  sluice whoami --server https://sluice.example.com:8003 --output json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := f.dial(cmd)
			if err != nil {
				return err
			}
			defer func() { _ = r.Close() }()
			me, err := ask(cmd, r, pb.NewIdentityServiceClient(r).WhoAmI, &pb.WhoAmIRequest{})
			if err != nil {
				return err
			}
			if f.output == "json" {
				var principal strings.Builder
				if err := printJSON(&principal, false, me.GetPrincipal()); err != nil {
					return err
				}
				return printValue(cmd.OutOrStdout(), struct {
					ID        string          `json:"id"`
					Principal json.RawMessage `json:"principal"`
					Roles     []string        `json:"roles"`
				}{me.GetPrincipal().GetId(), json.RawMessage(principal.String()), append([]string{}, me.GetRoles()...)})
			}
			p, s := me.GetPrincipal(), newSheet(cmd.OutOrStdout())
			s.line("id", p.GetId())
			s.line("name", p.GetName())
			s.line("kind", stateName(p.GetKind().String(), "PRINCIPAL_KIND_"))
			s.line("groups", strings.Join(p.GetGroups(), ", "))
			s.line("roles", strings.Join(me.GetRoles(), ", "))
			s.line("source", p.GetSource())
			s.line("token ends", ago(p.GetExpiresAt(), time.Now()))
			return s.Flush()
		},
	}
	f.add(cmd)
	return cmd
}
