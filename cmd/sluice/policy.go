package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/suite"
	"github.com/sluice-gateway/sluice/policy/guard"
)

// The exit codes of the policy commands beside the common ones.
const (
	exitNotCompiled = 3 // the policy, or a suite, has problems
	exitTestFailed  = 4
)

func newPolicyCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Ask and test a policy, without a server",
		Long: `The policy commands read policy files and answer questions about them. They need
no server and no secrets, and change nothing.

The files are those of --policy, or those that the configuration names. With the
configuration the identity sources are known too, so that groups and the
issuer of --as can be checked.`,
		Example: `  sluice policy can-i load prod-llama --config sluice.yaml --groups ml-platform
  sluice policy test tests/ --config sluice.yaml`,
		Args: noArgs,
		RunE: showHelp,

		DisableFlagsInUseLine: true,
	}
	cmd.AddCommand(newPolicyCanICmd(), newPolicyWhoCanCmd(), newPolicyExplainCmd(), newPolicyTestCmd(), newPolicyDiffCmd())
	return cmd
}

// policyFlags say which policy is asked, and how the answer looks.
type policyFlags struct {
	files  []string
	config string
	output string
}

// add adds the flags; the first of formats is the default.
func (f *policyFlags) add(cmd *cobra.Command, formats ...string) {
	cmd.Flags().StringArrayVarP(&f.files, "policy", "p", nil, "a policy `file`; may be repeated")
	cmd.Flags().StringVarP(&f.output, "output", "o", formats[0], strings.Join(formats, ", "))
	configFlag(cmd, &f.config)
	cmd.PreRunE = func(*cobra.Command, []string) error {
		for _, known := range formats {
			if f.output == known {
				return nil
			}
		}
		return usage("--output %q: use one of %s%s", f.output, strings.Join(formats, ", "), access.DidYouMean(f.output, formats))
	}
}

// loadedPolicy are rules and what the configuration says about who is asked
// for. Without a configuration there are no sources.
type loadedPolicy struct {
	*config.Rules
	options suite.Options
	issuers []string
}

// load compiles the policy files. The configuration is read where it is asked
// for, or where nothing else says which files. Only its keys are looked at:
// its secrets and certificates need not be on this machine.
func (f *policyFlags) load(cmd *cobra.Command) (*loadedPolicy, error) {
	loaded, files := &loadedPolicy{}, f.files
	if len(files) == 0 || cmd.Flags().Changed("config") {
		var c config.Config
		if err := decodeFile(f.config, &c); err != nil {
			return nil, hint(err, len(files) == 0 && !cmd.Flags().Changed("config"))
		}
		loaded.options.Sources = c.Identity.Sources()
		for _, o := range c.Identity.OIDC {
			loaded.issuers = append(loaded.issuers, o.Issuer)
		}
		if len(files) == 0 {
			files = besides(f.config, c.Policy)
		}
	}
	if len(files) == 0 {
		return nil, &exitError{exitNotCompiled, fmt.Errorf("%s names no policy files", f.config)}
	}
	for _, path := range files {
		if _, err := os.Stat(path); err != nil {
			return nil, &exitError{exitUsage, err}
		}
	}
	rules, problems := config.ReadRules(files, config.RulesOptions{Sources: loaded.options.Sources, Analyzer: config.Presidio})
	if err := notCompiled(problems); err != nil {
		return nil, err
	}
	loaded.Rules, loaded.options.Guards = rules, append([]string{}, rules.Guards.Names()...)
	return loaded, nil
}

// hint says what else could be done where a default file is missing.
func hint(err error, byDefault bool) error {
	if byDefault && errors.Is(err, os.ErrNotExist) {
		return usage("%w; name policy files with --policy, or a configuration with --config", err)
	}
	return err
}

// besides makes relative paths relative to the folder of file.
func besides(file string, paths []string) []string {
	var out []string
	for _, p := range paths {
		if !filepath.IsAbs(p) {
			p = filepath.Join(filepath.Dir(file), p)
		}
		out = append(out, p)
	}
	return out
}

// decodeFile reads one YAML file.
func decodeFile(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	_, problems := config.Decode(path, data, into)
	return notCompiled(problems)
}

// notCompiled is nil without problems, and else shows one a line, file by file
// from top to bottom.
func notCompiled(problems config.Problems) error {
	slices.SortStableFunc(problems, func(a, b config.Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column)
	})
	if err := problems.Err(); err != nil {
		return &exitError{exitNotCompiled, err}
	}
	return nil
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

// completeVerb offers the verbs as the first argument; models are the servers'
// to know.
func completeVerb(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return verbNames(), cobra.ShellCompDirectiveNoFileComp
}

func verbNames() []string {
	var names []string
	for _, v := range access.Verbs() {
		names = append(names, v.String())
	}
	return names
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
