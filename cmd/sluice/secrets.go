package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

func newSecretsCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secrets",
		Short: "Store the credentials of model servers, which nobody can read",
		Long: `The secrets commands give a running gateway the credentials that it shows to
model servers. What is stored is sealed, and shown to nobody: it can be replaced
and removed, not read. They need the verb admin.

A value is never an argument, where others on the machine see it: it comes from
standard input, from a file, or from an environment variable.`,
		Example: `  sluice secrets put gpu-token --bearer-from-stdin < token.txt
  sluice secrets list
  sluice secrets rotate gpu-token --file new-token.txt
  sluice secrets rm gpu-token`,
		Args: noArgs,
		RunE: showHelp,

		DisableFlagsInUseLine: true,
	}
	cmd.AddCommand(newSecretsPutCmd(), newSecretsListCmd(), newSecretsRotateCmd(), newSecretsRmCmd(), newSecretsKeyCmd())
	return cmd
}

func newSecretsListCmd() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List what is stored, without values",
		Long:    "List shows the stored secrets: what they are, who set them and when, and when a\ncall last used them. It shows no values.",
		Example: `  sluice secrets list --output json`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := f.dial(cmd)
			if err != nil {
				return err
			}
			defer func() { _ = r.Close() }()
			client := pb.NewSecretServiceClient(r)
			found, err := pages(func(token string) ([]*pb.Secret, string, error) {
				page, err := ask(cmd, r, client.ListSecrets, &pb.ListSecretsRequest{PageToken: token, PageSize: pageSize})
				return page.GetSecrets(), page.GetNextPageToken(), err
			})
			if err != nil {
				return err
			}
			if f.output == "json" {
				return printJSON(cmd.OutOrStdout(), true, found...)
			}
			t, now := newTable("NAME", "KIND", "VERSION", "SET", "BY", "USED", "KEY"), time.Now()
			for _, s := range found {
				t.add(s.GetId(), s.GetKind(), fmt.Sprint(s.GetVersion()), ago(s.GetRotatedAt(), now), nameOf(s.GetChangedBy()), ago(s.GetLastUsedAt(), now), s.GetKeyId())
			}
			return t.write(cmd.OutOrStdout(), "nothing is stored")
		},
	}
	f.add(cmd)
	return cmd
}

func newSecretsRmCmd() *cobra.Command {
	var f clientFlags
	var q pb.DeleteSecretRequest
	cmd := &cobra.Command{
		Use:   "rm NAME [--force]",
		Short: "Remove a stored secret, and close what uses it",
		Long: `Rm removes a stored secret. What is connected with it is closed at once, on every
replica of the gateway. One that a backend's configuration names stays, unless it
is removed with --force: the backend's calls fail then.`,
		Example: `  sluice secrets rm gpu-token`,
		Args:    secretName(&q.Id),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := f.dial(cmd)
			if err != nil {
				return err
			}
			defer func() { _ = r.Close() }()
			if _, err := ask(cmd, r, pb.NewSecretServiceClient(r).DeleteSecret, &q); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "sluice: %s is removed\n", shown(q.GetId()))
			return nil
		},
	}
	f.addServer(cmd)
	cmd.Flags().BoolVar(&q.Force, "force", false, "although a backend's configuration names it")
	return cmd
}

// secretName takes the name of a secret. A second word may be a value, and is not
// repeated.
func secretName(name *string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return misused(cmd, "say which secret, by its name")
		case 1:
			*name = args[0]
			return nil
		}
		return misused(cmd, "one name, please: a value is never an argument, where others on the machine see it; give it on standard input with --stdin, by --file or by --env")
	}
}

// done says of a secret what it is now.
func (f *clientFlags) done(cmd *cobra.Command, s *pb.Secret, err error, what string) error {
	if err != nil {
		return err
	}
	if s == nil {
		return errors.New("the server has not said what it stored")
	}
	if f.output == "json" {
		return printJSON(cmd.OutOrStdout(), false, s)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s (%s), version %d, sealed under key %s\n", shown(s.GetId()), what, shown(s.GetKind()), s.GetVersion(), shown(s.GetKeyId()))
	return err
}
