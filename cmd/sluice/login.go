package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/sluice/internal/login"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

func newLoginCmd() *cobra.Command {
	var f clientFlags
	var source string
	cmd := &cobra.Command{
		Use:   "login [--source NAME]",
		Short: "Log in at a gateway, with a browser anywhere",
		Long: `Login asks the gateway where people log in, prints a URL and a code, and waits
until you have entered the code there: on this machine or on any other. The
token is kept for this gateway alone, in the desktop's keyring or else in a file
that only you can read (SLUICE_KEYRING=off is always the file), and is got anew
when it runs out, as long as the issuer lets it.`,
		Example: `  sluice login
  sluice login --server https://sluice.example.com:8003 --source corp`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := f.dialAs(nil)
			if err != nil {
				return err
			}
			defer func() { _ = r.Close() }()
			places, err := ask(cmd, r, pb.NewIdentityServiceClient(r).GetLogin, &pb.GetLoginRequest{})
			if err != nil {
				return err
			}
			at, err := chooseSource(places.GetSources(), source)
			if err != nil {
				return err
			}
			token, err := login.Run(cmd.Context(), r.server, *at, func(p login.Prompt) error { return prompt(cmd, at.Issuer, p) })
			if err != nil {
				return err
			}
			return f.loggedIn(cmd, r.server, token)
		},
	}
	f.addServer(cmd)
	cmd.Flags().StringVar(&source, "source", "", "where to log in, by its `name` in the gateway's configuration; needed if there are several")
	return cmd
}

// chooseSource finds where to log in.
func chooseSource(sources []*pb.LoginSource, name string) (*login.Source, error) {
	var names []string
	for _, s := range sources {
		if names = append(names, s.GetId()); s.GetId() == name || name == "" && len(sources) == 1 {
			return &login.Source{
				Issuer: s.GetIssuer(), ClientID: s.GetClientId(), Audience: s.GetAudience(), Scopes: s.GetScopes(),
				DeviceEndpoint: s.GetDeviceAuthorizationEndpoint(), TokenEndpoint: s.GetTokenEndpoint(),
			}, nil
		}
	}
	switch {
	case len(names) == 0:
		return nil, fmt.Errorf("this gateway names nowhere to log in (identity.oidc[].login of its configuration); set SLUICE_TOKEN to a token")
	case name == "":
		return nil, usage("say where to log in with --source: one of %s", shown(strings.Join(names, ", ")))
	}
	return nil, usage("--source %q: there are %s", name, shown(strings.Join(names, ", ")))
}

// prompt says on stderr what the person has to do: stdout is for data.
func prompt(cmd *cobra.Command, issuer string, p login.Prompt) error {
	ends := ""
	if !p.Expires.IsZero() {
		ends = " within " + span(time.Until(p.Expires).Round(time.Second))
	}
	text := fmt.Sprintf("To log in at %s, open\n\n  %s\n\nand enter the code%s\n\n  %s\n\n", shown(issuer), shown(p.URL), ends, shown(p.Code))
	if p.Complete != "" {
		text += fmt.Sprintf("or open %s\n\n", shown(p.Complete))
	}
	_, err := fmt.Fprint(cmd.ErrOrStderr(), text)
	return err
}

// loggedIn keeps a token that the gateway takes, and says whose it is.
func (f *clientFlags) loggedIn(cmd *cobra.Command, server string, token login.Token) error {
	r, err := f.dialAs(&bearer{fixed: token.Access})
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	me, err := ask(cmd, r, pb.NewIdentityServiceClient(r).WhoAmI, &pb.WhoAmIRequest{})
	if err != nil {
		return fmt.Errorf("the issuer gave a token that the gateway does not take: %w", err)
	}
	where, err := login.Open().Save(token)
	if err != nil {
		return fmt.Errorf("the token can't be kept: %w", err)
	}
	p := me.GetPrincipal()
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "logged in at %s as %s; the token is in %s\n", server, shown(person(&pb.Principal{
		Name: cmp.Or(p.GetName(), p.GetSubject()), Id: p.GetId(),
	})), where)
	return err
}
