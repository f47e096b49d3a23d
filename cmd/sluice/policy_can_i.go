package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/policy/guard"
)

func newPolicyCanICmd() *cobra.Command {
	var ask questionFlags
	cmd := &cobra.Command{
		Use:   "can-i VERB [MODEL]",
		Short: "Say whether someone may do a verb to a model",
		Long: `Can-i decides one call as the gateway would. It exits with 0 if the call is
allowed and with 1 if it is denied or has to wait for people; with 3 if the policy
has problems. Guards are asked if --request says what is in the request, and only
named if not.`,
		Example:           `  sluice policy can-i load prod-llama --policy policy.yaml --as alice --groups ml-platform`,
		ValidArgsFunction: completeVerb,
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := ask.question(cmd, args)
			if err != nil {
				return err
			}
			return q.decided().write(cmd, ask.from.output)
		},
	}
	ask.add(cmd)
	return cmd
}

// decided answers for the call, without its contents where none are known.
func (q *question) decided() *answer {
	p, call := q.policy, q.call
	asked := *p.Rules
	if call == nil {
		asked.Guards, call = nil, &guard.Request{Verb: q.verb, Model: q.model, Principal: q.who}
	}
	v := asked.Judge(call)
	a := &answer{Allowed: !v.Denied() && !v.Held(), Held: v.Held(), Reason: v.Decision.Reason, Rule: v.Rule(), Observed: v.Guards.WouldHave, By: v.By()}
	switch {
	case v.Guards.Refused != nil:
		a.Reason, a.Told = v.Guards.Refused.Reason, v.Guards.Refused.Message
	case v.Denied():
		a.Told = p.Policy.Refusal(q.who, call.Verb, q.model, v.Decision).Message
	case asked.Guards == nil:
		a.Guards = p.Guards.For(q.verb, q.model).Guards(q.who)
	}
	return a
}

// answer is what can-i prints.
type answer struct {
	Allowed bool `json:"allowed"`
	// Held tells that people have to agree first; By are the groups that are asked. Of a
	// call that is denied they are those who agree if it is asked for ahead.
	Held   bool     `json:"held,omitempty"`
	Reason string   `json:"reason,omitempty"`
	Rule   string   `json:"rule"`
	By     []string `json:"by,omitempty"`
	// Observed are guards that only observe and would have done something.
	Observed []string `json:"observed,omitempty"`
	// Guards are those that look at such a request, and may deny it or have it
	// wait for people.
	Guards []string `json:"guards,omitempty"`
	// Told is what the gateway would tell the caller.
	Told string `json:"told,omitempty"`
}

// write prints the answer; the error is the exit code that goes with a "no".
func (a *answer) write(cmd *cobra.Command, format string) error {
	out := cmd.OutOrStdout()
	if format == "json" {
		if err := json.NewEncoder(out).Encode(a); err != nil {
			return err
		}
	} else {
		a.table(out)
	}
	if !a.Allowed {
		return &exitError{code: exitFailure}
	}
	return nil
}

func (a *answer) table(out io.Writer) {
	by := strings.Join(a.By, ", ")
	switch {
	case a.Held:
		fmt.Fprintf(out, "held: %s asks for approval by %s\n", a.Rule, by)
	case a.Allowed:
		fmt.Fprintf(out, "allowed: %s\n", a.Rule)
		if len(a.Guards) > 0 {
			fmt.Fprintf(out, "if the request itself is one that these guards allow: %s\n", strings.Join(a.Guards, ", "))
		}
	default:
		fmt.Fprintf(out, "denied: %s\nthe caller is told: %s\n", a.Rule, a.Told)
		if by != "" {
			fmt.Fprintf(out, "it may be asked for ahead (sluice access request); who agrees: %s\n", by)
		}
	}
	if len(a.Observed) > 0 {
		fmt.Fprintf(out, "guards that only observe and would have done something: %s\n", strings.Join(a.Observed, ", "))
	}
}
