package main

import (
	"fmt"

	"github.com/spf13/cobra"

	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

func newMaskRevealCmd() *cobra.Command {
	var f clientFlags
	var q pb.RevealTokensRequest
	cmd := &cobra.Command{
		Use:   "reveal TOKEN... --reason TEXT [--model MODEL]",
		Short: "Say what tokens of masked answers stand for",
		Long: `Reveal asks a running gateway which texts tokens stand for, that masking's action
tokenize has written into answers. It needs the verb reveal, on the model whose
answers had them (--model) or on all; who asked, when and why is recorded. Tokens
that are not known, of another model or kept no longer are left out.`,
		Example: `  sluice mask reveal EMAIL_tok_mfrggzdfmztwq2lknnwg23tpoa --model chat --reason "ticket 4711"`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return misused(cmd, "say which tokens")
			case q.Reason == "":
				return misused(cmd, "say why with --reason; it is recorded")
			}
			q.Tokens = args
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := f.dial(cmd)
			if err != nil {
				return err
			}
			defer func() { _ = r.Close() }()
			answer, err := ask(cmd, r, pb.NewSecretServiceClient(r).RevealTokens, &q)
			if err != nil {
				return err
			}
			found := answer.GetTokens()
			if n := len(q.GetTokens()) - len(found); n > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "sluice: %d of %d tokens are not known\n", n, len(q.GetTokens()))
			}
			if f.output == "json" {
				return printJSON(cmd.OutOrStdout(), true, found...)
			}
			t := newTable("TOKEN", "ENTITY", "TEXT")
			for _, one := range found {
				t.add(one.GetId(), one.GetEntity(), one.GetText())
			}
			return t.write(cmd.OutOrStdout(), "none of them is known")
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&q.Reason, "reason", "", "why, for the record")
	cmd.Flags().StringVar(&q.Model, "model", "", "the `model` whose answers had the tokens; without it, the verb reveal is needed on all")
	return cmd
}
