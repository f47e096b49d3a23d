package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/server"
)

func newCheckCmd() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "check [--config FILE]",
		Short: "Check a configuration and its policy without serving",
		Long: `Check reads the configuration and everything that it names, and reports every
problem at once as file:line:column. It exits with 1 if there is one.`,
		Example: `  sluice check --config sluice.yaml`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, problems := config.Load(path)
			if c == nil {
				return whichConfig(cmd, path, problems.Err())
			}
			if err := server.CheckBackends(c.Backends); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is good: %s, %s, %s\n", path,
				count(len(c.Backends), "backend"), count(len(c.Identity.OIDC), "identity source"), count(len(c.Policy), "policy file"))
			return nil
		},
	}
	configFlag(cmd, &path)
	return cmd
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
