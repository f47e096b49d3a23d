package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/policy"
)

func newPolicyWhoCanCmd() *cobra.Command {
	var from policyFlags
	cmd := &cobra.Command{
		Use:   "who-can VERB [MODEL]",
		Short: "List the groups and subjects that may do a verb to a model",
		Long: `Who-can lists who holds a role that allows the call. Who belongs to a group is the
identity source's to know; someone in a denied group may not, whatever else
they are in.`,
		Example:           `  sluice policy who-can unload prod-llama --policy policy.yaml`,
		ValidArgsFunction: completeVerb,
		RunE: func(cmd *cobra.Command, args []string) error {
			verb, model, err := verbAndModel(args)
			if err != nil {
				return err
			}
			p, err := from.load(cmd)
			if err != nil {
				return err
			}
			holders := p.Policy.WhoCan(verb, model)
			if from.output == "json" {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(holders)
			}
			return writeHolders(cmd.OutOrStdout(), holders)
		},
	}
	from.add(cmd, "table", "json")
	return cmd
}

func writeHolders(w io.Writer, h *policy.Holders) error {
	var b strings.Builder
	on := ""
	if h.Model != "" {
		on = " on model " + access.Quote(h.Model)
	}
	fmt.Fprintf(&b, "who may use verb %s%s\n", h.Verb, on)
	for _, part := range []struct {
		title string
		names []string
	}{
		{"groups", h.Groups},
		{"subjects", h.Subjects},
		{"denied groups", h.DeniedGroups},
		{"denied subjects", h.DeniedSubjects},
		{"by roles", h.Roles},
	} {
		if len(part.names) == 0 {
			part.names = []string{"none"}
		}
		fmt.Fprintf(&b, "%s: %s\n", part.title, strings.Join(part.names, ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
