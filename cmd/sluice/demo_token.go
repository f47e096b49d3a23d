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
		Use:   "token NAME",
		Short: "Print a token of a running demo, and nothing else",
		Long: `Token prints an access token that the running demo's issuer gives to one of
` + strings.Join(issuer.Names(), ", ") + `. It is good for an hour.`,
		Example:           `  sluice demo token bob`,
		Args:              oneName,
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
	cmd.Flags().StringVar(&address, "issuer", defaultIssuer, "where the demo's issuer listens, as `HOST:PORT`")
	return cmd
}

func oneName(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return misused(cmd, "say whose token, one of %s", strings.Join(issuer.Names(), ", "))
	}
	return nil
}
