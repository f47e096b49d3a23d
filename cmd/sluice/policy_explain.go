package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/policy"
)

func newPolicyExplainCmd() *cobra.Command {
	var from policyFlags
	var q asker
	cmd := &cobra.Command{
		Use:   "explain VERB [MODEL]",
		Short: "Say why someone may or may not do a verb to a model",
		Long: `Explain decides one call as the gateway would and shows the roles that the caller
holds, the bindings that give them, and the entries that speak about the call;
the entry that decides is marked. It exits with 0 whatever the decision is.`,
		Example:           `  sluice policy explain load prod-llama --policy policy.yaml --as alice --groups ml-platform`,
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
			who, err := q.principal(p, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			x := p.Explain(who, verb, model)
			if who.Issuer == "" {
				x.Principal = who.Subject // made up for the question
			}
			guards := p.guards.For(verb, model).Guards(who)
			if from.output == "json" {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(explained{x, guards})
			}
			if err := x.WriteText(cmd.OutOrStdout()); err != nil || len(guards) == 0 {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "\nguards that look at the request itself: %s\n", strings.Join(guards, ", "))
			return err
		},
	}
	from.add(cmd, "table", "json")
	q.add(cmd)
	return cmd
}

// explained is what explain prints as JSON.
type explained struct {
	*policy.Explanation
	// Guards are those that look at such a request.
	Guards []string `json:"guards,omitempty"`
}
