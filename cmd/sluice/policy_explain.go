package main

import (
	"encoding/json"

	"github.com/spf13/cobra"
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
			if from.output == "json" {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(x)
			}
			return x.WriteText(cmd.OutOrStdout())
		},
	}
	from.add(cmd, "table", "json")
	q.add(cmd)
	return cmd
}
