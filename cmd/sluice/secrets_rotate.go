package main

import (
	"github.com/spf13/cobra"

	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

func newSecretsRotateCmd() *cobra.Command {
	var f clientFlags
	var v valueFlags
	var q pb.RotateSecretRequest
	reseal := false
	cmd := &cobra.Command{
		Use:   "rotate NAME (--stdin | --file FILE | --env NAME | --cert FILE --key FILE | --reseal)",
		Short: "Give a stored secret another value",
		Long: `Rotate gives a stored secret another value of its kind. Calls from then on show
the new one, on every replica of the gateway; calls that run end with the old one,
and their connections are closed then.

With --reseal the value stays, and is sealed anew under the key that the gateway
is configured with. The gateway does that by itself when it starts.`,
		Example: `  sluice secrets rotate gpu-token --stdin < token.txt
  sluice secrets rotate gpu-token --reseal`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := secretName(&q.Id)(cmd, args); err != nil {
				return err
			}
			if (v.given() == 0) != reseal {
				return misused(cmd, "say where the new value is (--stdin, --file, --env, or --cert and --key), or --reseal")
			}
			return v.check(cmd)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !reseal {
				value, err := v.read(cmd)
				if err != nil {
					return err
				}
				defer clear(value)
				q.Value = value
			}
			r, err := f.dial(cmd)
			if err != nil {
				return err
			}
			defer func() { _ = r.Close() }()
			stored, err := ask(cmd, r, pb.NewSecretServiceClient(r).RotateSecret, &q)
			return f.done(cmd, stored.GetSecret(), err, "has another value")
		},
	}
	f.add(cmd)
	v.add(cmd)
	cmd.Flags().BoolVar(&reseal, "reseal", false, "keep the value, and seal it anew")
	return cmd
}
