package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/secret"
)

// valueFlags say where a secret's value is; one of them does.
type valueFlags struct {
	stdin     bool
	file, env string
	cert, key string
}

func (v *valueFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&v.stdin, "stdin", false, "the value is on standard input; a terminal asks for it, unseen")
	cmd.Flags().StringVar(&v.file, "file", "", "the value is in this `file`")
	cmd.Flags().StringVar(&v.env, "env", "", "the value is in the environment variable of this `name`")
	cmd.Flags().StringVar(&v.cert, "cert", "", "a PEM `file` of the certificate of a pair; it needs --key")
	cmd.Flags().StringVar(&v.key, "key", "", "a PEM `file` of the certificate's private key")
}

// given counts how many ways a value is given in.
func (v *valueFlags) given() (n int) {
	for _, one := range []bool{v.stdin, v.file != "", v.env != "", v.cert != "" || v.key != ""} {
		if one {
			n++
		}
	}
	return n
}

// check finds a value that is given twice, or by half.
func (v *valueFlags) check(cmd *cobra.Command) error {
	switch {
	case v.given() > 1:
		return misused(cmd, "the value comes from one place: --stdin, --file, --env, or --cert and --key")
	case (v.cert == "") != (v.key == ""):
		return misused(cmd, "--cert and --key go together")
	}
	return nil
}

// read reads the value. Line ends after it are no part of it.
func (v *valueFlags) read(cmd *cobra.Command) (value []byte, err error) {
	switch {
	case v.stdin:
		value, err = readSecret(cmd)
	case v.file != "":
		value, err = readFew(v.file)
	case v.env != "":
		text, set := os.LookupEnv(v.env)
		if !set {
			return nil, fmt.Errorf("--env: environment variable %s is not set", v.env)
		}
		value = []byte(text)
	default:
		var cert, key []byte
		if cert, err = readFew(v.cert); err == nil {
			key, err = readFew(v.key)
		}
		value = slices.Concat(cert, []byte("\n"), key)
		clear(key)
	}
	switch {
	case err != nil:
		return nil, err
	case len(value) > secret.MaxValue:
		return nil, usage("the value is longer than %d KiB", secret.MaxValue>>10)
	}
	if value = bytes.TrimRight(value, "\r\n"); len(value) == 0 {
		return nil, errors.New("the value is empty")
	}
	return value, nil
}

// readSecret reads standard input; what is typed is not shown.
func readSecret(cmd *cobra.Command) ([]byte, error) {
	if f, ok := cmd.InOrStdin().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(cmd.ErrOrStderr(), "Value (it is not shown): ")
		defer fmt.Fprintln(cmd.ErrOrStderr())
		return term.ReadPassword(int(f.Fd()))
	}
	return io.ReadAll(io.LimitReader(cmd.InOrStdin(), secret.MaxValue+1))
}

func readFew(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, secret.MaxValue+1))
}

// putting is what secrets put is told.
type putting struct {
	clientFlags
	valueFlags
	name, kind string
	bearer     bool
}

func newSecretsPutCmd() *cobra.Command {
	var p putting
	cmd := &cobra.Command{
		Use:   "put NAME [--kind KIND] (--stdin | --file FILE | --env NAME | --cert FILE --key FILE)",
		Short: "Store a new secret",
		Long: `Put stores a secret under a new name. Its kind says what the value is, and how a
model server is shown it:

  bearer   a token: "authorization: Bearer ..."
  basic    user:password: "authorization: Basic ..."
  headers  lines "name: value", as for Triton's restricted protocols
  pair     a certificate and its private key in PEM, for mTLS
  text     what a configuration refers to as secret:NAME (if no kind is given)

A backend names it in its configuration: credential: NAME.`,
		Example: `  sluice secrets put gpu-token --bearer-from-stdin < token.txt
  sluice secrets put gpu-token --kind bearer --env GPU_TOKEN
  sluice secrets put gpu-pair --cert client.pem --key client.key`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := secretName(&p.name)(cmd, args); err != nil {
				return err
			}
			return p.settle(cmd)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			value, err := p.read(cmd)
			if err != nil {
				return err
			}
			defer clear(value)
			r, err := p.dial(cmd)
			if err != nil {
				return err
			}
			defer func() { _ = r.Close() }()
			stored, err := ask(cmd, r, pb.NewSecretServiceClient(r).PutSecret, &pb.PutSecretRequest{Id: p.name, Kind: p.kind, Value: value})
			return p.done(cmd, stored.GetSecret(), err, "is stored")
		},
	}
	p.clientFlags.add(cmd)
	p.valueFlags.add(cmd)
	cmd.Flags().StringVar(&p.kind, "kind", "", "text, bearer, basic, headers, pair")
	cmd.Flags().BoolVar(&p.bearer, "bearer-from-stdin", false, "the same as --kind bearer --stdin")
	_ = cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions([]string{"text", "bearer", "basic", "headers", "pair"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// settle says what kind is meant, and whether there is one value.
func (p *putting) settle(cmd *cobra.Command) error {
	implied := ""
	if p.bearer {
		p.stdin, implied = true, "bearer"
	}
	if p.cert != "" || p.key != "" {
		implied = "pair"
	}
	switch {
	case p.kind == "" && implied == "":
		p.kind = string(secret.Text)
	case p.kind == "":
		p.kind = implied
	case implied != "" && p.kind != implied:
		return misused(cmd, "what is given is a %s, and --kind says %q", implied, p.kind)
	}
	var kinds []string
	for _, k := range secret.Kinds() {
		kinds = append(kinds, string(k))
	}
	if !slices.Contains(kinds, p.kind) {
		return misused(cmd, "--kind %q: use text, bearer, basic, headers or pair%s", p.kind, access.DidYouMean(p.kind, kinds))
	}
	if p.given() == 0 {
		return misused(cmd, "say where the value is: --stdin, --file, --env, or --cert and --key")
	}
	return p.check(cmd)
}
