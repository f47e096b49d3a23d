package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/secret"
)

func newSecretsKeyCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "key",
		Short:   "Make the key that seals what is stored",
		Long:    "The key commands make keys for secrets.key of the configuration. They ask no\nserver.",
		Example: `  sluice secrets key new --out sluice.key`,
		Args:    noArgs,
		RunE:    showHelp,

		DisableFlagsInUseLine: true,
	}
	cmd.AddCommand(newSecretsKeyNewCmd())
	return cmd
}

func newSecretsKeyNewCmd() *cobra.Command {
	out := ""
	cmd := &cobra.Command{
		Use:   "new [--out FILE]",
		Short: "Make a fresh key",
		Long: `New makes a fresh key: 32 random bytes in base64. With --out it goes into a new
file that only you may read; a file that is there stays as it is. Keep the key
where the store is not: who has both can open what is stored, and who has lost the
key can't.`,
		Example: `  sluice secrets key new --out sluice.key`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), secret.NewKey())
				return err
			}
			f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			_, err = io.WriteString(f, secret.NewKey()+"\n")
			if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "sluice: a fresh key is in %s; write secrets: { key: file:%s }\n", out, out)
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "write it to this new `file`, which only you may read")
	_ = cmd.MarkFlagFilename("out")
	return cmd
}
