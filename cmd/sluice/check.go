package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/server"
)

func newCheckCmd() *cobra.Command {
	var path, output string
	cmd := &cobra.Command{
		Use:   "check [--config FILE]",
		Short: "Check a configuration and its policy without serving",
		Long: `Check reads the configuration and everything that it names, and reports every
problem at once as file:line:column. It exits with 1 if there is one.

The digest is that of the configuration and of the policy's files: start and reload
records of the audit log have it as their object.`,
		Example: `  sluice check --config sluice.yaml`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "table" && output != "json" {
				return usage("--output %q: use one of table, json%s", output, access.DidYouMean(output, []string{"table", "json"}))
			}
			w := config.Watcher{Path: path}
			c, problems := w.Load()
			if c == nil {
				return whichConfig(cmd, path, problems.Err())
			}
			if err := server.CheckBackends(c.Backends); err != nil {
				return err
			}
			good := checked{path, w.Digest(), len(c.Backends), len(c.Identity.OIDC), len(c.Policy)}
			if output == "json" {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(good)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is good: %s, %s, %s\ndigest: %s\n", path,
				count(good.Backends, "backend"), count(good.Sources, "identity source"), count(good.Policies, "policy file"), good.Digest)
			return err
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table, json")
	configFlag(cmd, &path)
	return cmd
}

// checked is what check prints of a configuration that is good.
type checked struct {
	File     string `json:"file"`
	Digest   string `json:"digest"`
	Backends int    `json:"backends"`
	Sources  int    `json:"identity_sources"`
	Policies int    `json:"policy_files"`
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
