package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/demo/issuer"
)

func newDemoTokenCmd() *cobra.Command {
	var address string
	cmd := &cobra.Command{
		Use:               "token NAME",
		Short:             "Print a token of a running demo, and nothing else",
		Long:              "Token prints an access token that the running demo's issuer gives to one of " + strings.Join(issuer.Names(), ", ") + ". It is good for an hour.",
		Example:           `  sluice demo token bob`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.FixedCompletions(issuer.Names(), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			token, err := issuer.FetchToken(cmd.Context(), address, args[0])
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), token)
			return nil
		},
	}
	cmd.Flags().StringVar(&address, "issuer", "127.0.0.1:8004", "where the demo's issuer listens, as `HOST:PORT`")
	return cmd
}
