package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/config/suite"
	"github.com/sluice-gateway/sluice/policy/guard"
)

// questionFlags are what a question about one call is made of.
type questionFlags struct {
	from    policyFlags
	asker   asker
	request requestFlag
}

func (f *questionFlags) add(cmd *cobra.Command) {
	f.from.add(cmd, "table", "json")
	f.asker.add(cmd)
	f.request.add(cmd)
}

// question is one call that a policy decides. call is what is in its request, nil where
// nothing is known of that.
type question struct {
	policy *loadedPolicy
	who    *access.Principal
	verb   access.Verb
	model  string
	call   *guard.Request
}

// question reads the arguments VERB [MODEL] and what the flags name.
func (f *questionFlags) question(cmd *cobra.Command, args []string) (*question, error) {
	verb, model, err := verbAndModel(args)
	if err != nil {
		return nil, err
	}
	p, err := f.from.load(cmd)
	if err != nil {
		return nil, err
	}
	who, err := f.asker.principal(p, cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	call, err := f.request.read(cmd, who, verb, model)
	if err != nil {
		return nil, err
	}
	return &question{p, who, verb, model, call}, nil
}

// asker is who a question is about.
type asker struct {
	as, issuer string
	groups     []string
}

func (q *asker) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&q.as, "as", "", "who asks: a `subject`, or issuer#subject")
	cmd.Flags().StringSliceVar(&q.groups, "groups", nil, "the `groups` that the subject is in, separated by commas")
	cmd.Flags().StringVar(&q.issuer, "issuer", "", "who vouches for the subject, a `URL`; the configuration's, if it has one only")
}

// principal makes the caller that the flags describe. Without an issuer
// no binding to a subject can count, which stderr is told.
func (q *asker) principal(p *loadedPolicy, stderr io.Writer) (*access.Principal, error) {
	if q.as == "" && len(q.groups) == 0 {
		return nil, usage("say who asks: --as SUBJECT, --groups GROUP,GROUP or both")
	}
	f := suite.Fixture{Issuer: q.issuer, Subject: q.as, Groups: q.groups}
	if issuer, subject, ok := strings.Cut(q.as, "#"); ok && q.issuer == "" {
		f.Issuer, f.Subject = issuer, subject
	}
	if f.Issuer == "" && len(p.issuers) == 1 {
		f.Issuer = p.issuers[0]
	}
	if f.Issuer == "" && q.as != "" {
		fmt.Fprintln(stderr, "sluice: no --issuer, so bindings to subjects do not count")
	}
	if problems := f.Check(p.options); len(problems) > 0 {
		return nil, usage("--groups: %s", problems[0].Message)
	}
	if q.as == "" {
		return f.Principal("anybody"), nil
	}
	return f.Principal(""), nil
}

// verbAndModel reads the arguments VERB [MODEL].
func verbAndModel(args []string) (access.Verb, string, error) {
	if len(args) < 1 || len(args) > 2 {
		return 0, "", usage("say VERB MODEL, or VERB alone for a call that names no model")
	}
	verb, ok := access.ParseVerb(args[0])
	if !ok {
		known := verbNames()
		return 0, "", usage("unknown verb %q%s; the verbs are %s", args[0], access.DidYouMean(args[0], known), strings.Join(known, " "))
	}
	if len(args) == 1 {
		return verb, "", nil
	}
	return verb, args[1], nil
}

// requestFlag is the file that has what is in a request.
type requestFlag struct{ path string }

func (f *requestFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.path, "request", "", "a `file` that has what is in the request, as one JSON object of policy diff's (- is standard input): then guards are asked")
}

// read makes the request that who asks with, nil where none is named. What the file
// says of caller, verb and model is not looked at.
func (f *requestFlag) read(cmd *cobra.Command, who *access.Principal, verb access.Verb, model string) (*guard.Request, error) {
	if f.path == "" {
		return nil, nil
	}
	in, name, err := openRequests(cmd, f.path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	data, err := io.ReadAll(io.LimitReader(in, maxRecordedLine))
	if err != nil {
		return nil, &exitError{exitUsage, fmt.Errorf("%s: %w", name, err)}
	}
	call, err := decodeCall(data)
	if err != nil {
		return nil, usage("%s %w", name, err)
	}
	call.Verb, call.Model = verb.String(), model
	r, err := call.Request()
	if err != nil {
		return nil, usage("%s: %w", name, err)
	}
	r.Principal = who
	return r, nil
}
