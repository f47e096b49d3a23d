package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/policy"
)

func newPolicyExplainCmd() *cobra.Command {
	var ask questionFlags
	cmd := &cobra.Command{
		Use:   "explain VERB [MODEL]",
		Short: "Say why someone may or may not do a verb to a model",
		Long: `Explain decides one call as the gateway would and shows the roles that the caller
holds, the bindings that give them, and the entries that speak about the call;
the entry that decides is marked. With --request it says what guards decide about
that request. It exits with 0 whatever the decision is.`,
		Example:           `  sluice policy explain load prod-llama --policy policy.yaml --as alice --groups ml-platform`,
		ValidArgsFunction: completeVerb,
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := ask.question(cmd, args)
			if err != nil {
				return err
			}
			x := explained{Explanation: q.policy.Policy.Explain(q.who, q.verb, q.model), Guards: q.policy.Guards.For(q.verb, q.model).Guards(q.who)}
			if q.call != nil {
				x.Explanation = q.policy.Policy.Explain(q.who, q.call.Verb, q.model)
				x.Request = q.decided()
			}
			if q.who.Issuer == "" {
				x.Principal = q.who.Subject // made up for the question
			}
			return x.write(cmd.OutOrStdout(), ask.from.output)
		},
	}
	ask.add(cmd)
	return cmd
}

// explained is what explain prints as JSON.
type explained struct {
	*policy.Explanation
	// Guards are those that look at such a request.
	Guards []string `json:"guards,omitempty"`
	// Request is what is decided about the request that was named.
	Request *answer `json:"request,omitempty"`
}

func (x *explained) write(out io.Writer, format string) error {
	if format == "json" {
		return json.NewEncoder(out).Encode(x)
	}
	if err := x.WriteText(out); err != nil {
		return err
	}
	if len(x.Guards) > 0 {
		fmt.Fprintf(out, "\nguards that look at the request itself: %s\n", strings.Join(x.Guards, ", "))
	}
	if x.Request != nil {
		fmt.Fprint(out, "this request is ")
		x.Request.table(out)
	}
	return nil
}
