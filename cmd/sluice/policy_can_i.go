package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newPolicyCanICmd() *cobra.Command {
	var from policyFlags
	var q asker
	cmd := &cobra.Command{
		Use:   "can-i VERB [MODEL]",
		Short: "Say whether someone may do a verb to a model",
		Long: `Can-i decides one call as the gateway would. It exits with 0 if the call is
allowed and with 1 if it is denied; with 3 if the policy has problems.`,
		Example:           `  sluice policy can-i load prod-llama --policy policy.yaml --as alice --groups ml-platform`,
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
			d := p.Decide(who, verb, model)
			a := answer{Allowed: d.Allowed, Reason: d.Reason, Rule: d.Rule}
			if d.Allowed {
				a.Guards = p.guards.For(verb, model).Guards(who)
			}
			if refused := p.Refusal(who, verb, model, d); refused != nil {
				a.Told = refused.Message
			}
			return a.write(cmd, from.output)
		},
	}
	from.add(cmd, "table", "json")
	q.add(cmd)
	return cmd
}

// answer is what can-i prints.
type answer struct {
	Allowed bool   `json:"allowed"`
	Reason  string `json:"reason,omitempty"`
	Rule    string `json:"rule"`
	// Guards are those that look at such a request, and may deny it or have it
	// wait for people.
	Guards []string `json:"guards,omitempty"`
	// Told is what the gateway would tell the caller.
	Told string `json:"told,omitempty"`
}

// write prints the answer; the error is the exit code that goes with a "no".
func (a answer) write(cmd *cobra.Command, format string) error {
	out := cmd.OutOrStdout()
	switch {
	case format == "json":
		if err := json.NewEncoder(out).Encode(a); err != nil {
			return err
		}
	case a.Allowed:
		fmt.Fprintf(out, "allowed: %s\n", a.Rule)
		if len(a.Guards) > 0 {
			fmt.Fprintf(out, "if the request itself is one that these guards allow: %s\n", strings.Join(a.Guards, ", "))
		}
	default:
		fmt.Fprintf(out, "denied: %s\nthe caller is told: %s\n", a.Rule, a.Told)
	}
	if !a.Allowed {
		return &exitError{code: exitFailure}
	}
	return nil
}
