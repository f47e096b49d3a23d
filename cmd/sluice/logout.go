package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/sluice/internal/login"
)

func newLogoutCmd() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use:   "logout",
		Short: "Forget the token that was kept for a gateway",
		Long: `Logout removes what "sluice login" kept for the gateway from the keyring and from
the file. The token itself stays good until it runs out, if the issuer does not
withdraw it.`,
		Example: `  sluice logout
  sluice logout --server https://sluice.example.com:8003`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.plaintext = true // nothing is sent
			at, err := f.address()
			if err != nil {
				return err
			}
			server := at.Scheme + "://" + at.Host
			err = login.Open().Delete(server)
			if errors.Is(err, login.ErrNone) {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "nobody was logged in at %s\n", server)
				return err
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "logged out at %s\n", server)
			return err
		},
	}
	cmd.Flags().StringVar(&f.server, "server", "", "the gateway's admin API, a `URL` (default $SLUICE_SERVER, or "+defaultServer+")")
	return cmd
}
