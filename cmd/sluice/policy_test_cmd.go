package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/suite"
)

// policyTestExample has a whole suite, which is what there is to learn.
const policyTestExample = `  sluice policy test policy_test.yaml --policy policy.yaml
  sluice policy test tests/ --config sluice.yaml --output junit > report.xml

  # policy_test.yaml
  name: viewers
  principals:
    bob: { groups: [ml-users] }
  tests:
    - name: viewers look and infer
      principals: [bob]
      models: [simple, prod-llama]
      expect: { infer: allow, load: deny }
    - name: prompts have a length
      principals: [bob]
      models: [prod-llama]
      request: { inputs: [ { name: text_input, datatype: BYTES, shape: [1], text: ["far too long"] } ] }
      expect: { infer: deny }
      guards: [huge-prompt]`

func newPolicyTestCmd() *cobra.Command {
	var from policyFlags
	var all bool
	cmd := &cobra.Command{
		Use:   "test PATH...",
		Short: "Run suites of expected decisions against a policy",
		Long: `Test runs suites: YAML files that name principals and say for each verb what is to
come of a call: allow, deny, approve (a guard has it wait for people) or access (it
is denied, and may be asked for ahead). A folder stands for the files below it whose
names end in _test.yaml or _test.yml.

Guards are asked where a test says what is in the request, in the form of a call of
policy diff. It was made on a Monday at noon (UTC) if it does not say when. guards
names those that deny or ask for approval, by the groups that are asked, observed the
guards that only observe and would have done something.

It exits with 0 if every case passed, with 3 if the policy or a suite has
problems, and with 4 if a case failed.`,
		Example: policyTestExample,
		RunE: func(cmd *cobra.Command, args []string) error {
			paths, err := suiteFiles(args)
			if err != nil {
				return err
			}
			p, err := from.load(cmd)
			if err != nil {
				return err
			}
			report, err := runSuites(p, paths)
			if err != nil {
				return err
			}
			return writeReport(cmd.OutOrStdout(), report, from.output, all)
		},
	}
	from.add(cmd, "table", "json", "junit")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "show the cases that passed, too")
	return cmd
}

// suiteFiles replaces folders by the suites below them, in the order of names.
func suiteFiles(args []string) ([]string, error) {
	if len(args) == 0 {
		return nil, usage("say which suites to run: files, or folders of *_test.yaml")
	}
	var files []string
	for _, arg := range args {
		before := len(files)
		err := filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && (path == arg || isSuite(path)) {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return nil, &exitError{exitUsage, err}
		}
		if len(files) == before {
			return nil, usage("%s holds no *_test.yaml", arg)
		}
	}
	return files, nil
}

func isSuite(path string) bool {
	return strings.HasSuffix(path, "_test.yaml") || strings.HasSuffix(path, "_test.yml")
}

// runSuites runs all suites, or none if one has problems.
func runSuites(p *loadedPolicy, paths []string) (suite.Report, error) {
	var suites []*suite.Suite
	var all config.Problems
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, &exitError{exitUsage, err}
		}
		s := &suite.Suite{}
		at, problems := config.Decode(path, data, s)
		all = append(all, problems...)
		all = append(all, at.Place("", s.Check(p.options))...)
		suites = append(suites, s)
	}
	if err := notCompiled(all); err != nil {
		return nil, err
	}
	var report suite.Report
	for i, s := range suites {
		report = append(report, s.Run(p.Rules, paths[i]))
	}
	return report, nil
}

func writeReport(w io.Writer, report suite.Report, format string, all bool) error {
	write := func() error { return report.WriteTable(w, all) }
	switch format {
	case "json":
		write = func() error { return report.WriteJSON(w) }
	case "junit":
		write = func() error { return report.WriteJUnit(w) }
	}
	if err := write(); err != nil {
		return err
	}
	if cases, failed := report.Count(); failed > 0 {
		return &exitError{exitTestFailed, fmt.Errorf("%d of %d cases failed", failed, cases)}
	}
	return nil
}
