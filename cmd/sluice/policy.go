package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/suite"
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
