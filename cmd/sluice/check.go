package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/config"
)

func newCheckCmd() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Check a configuration and its policy without serving",
		Long: `Check reads the configuration and everything that it names, and reports every
problem at once as file:line:column. It exits with 1 if there is one.`,
		Example: `  sluice check --config sluice.yaml`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, problems := config.Load(path)
			if c == nil {
				return problems.Err()
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is good: %d backends, %d identity sources, %d policy files\n",
				path, len(c.Backends), len(c.Identity.OIDC), len(c.Policy))
			return nil
		},
	}
	configFlag(cmd, &path)
	return cmd
}
