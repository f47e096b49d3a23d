package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/cmd/sluice/internal/login"
)

const (
	defaultServer = "http://127.0.0.1:8003"
	// callTime bounds a call that waits for no person.
	callTime = 30 * time.Second
	// maxAnswer is the largest answer that is taken, in bytes.
	maxAnswer = 64 << 20
)

// clientFlags say which running gateway is asked, as whom, and how the answer looks.
type clientFlags struct {
	server, ca string
	plaintext  bool
	output     string
}

// add adds the flags that every command has that asks a running gateway. more are
// further formats of its output.
func (f *clientFlags) add(cmd *cobra.Command, more ...string) {
	f.addServer(cmd)
	formats := append([]string{"table", "json"}, more...)
	cmd.Flags().StringVarP(&f.output, "output", "o", "table", strings.Join(formats, ", "))
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if !slices.Contains(formats, f.output) {
			last := len(formats) - 1
			return usage("--output %q: use %s or %s%s", f.output, strings.Join(formats[:last], ", "), formats[last], access.DidYouMean(f.output, formats))
		}
		return nil
	}
}

func (f *clientFlags) addServer(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.server, "server", "", "the gateway's admin API, a `URL` (default $SLUICE_SERVER, or "+defaultServer+")")
	cmd.Flags().StringVar(&f.ca, "ca", "", "a `file` of certificates that the server's has to lead to, in place of the system's")
	cmd.Flags().BoolVar(&f.plaintext, "plaintext", false, "send the token over http:// to another machine too")
	_ = cmd.MarkFlagFilename("ca", "pem", "crt")
}

// remote is a running gateway's admin API.
type remote struct {
	*grpc.ClientConn
	// server is the URL in the form that tokens are kept under.
	server string
	tls    *tls.Config // nil over http
}

// dial makes ready to ask the gateway as whoever SLUICE_TOKEN or the last login
// says. Nothing is sent yet. The caller closes it.
func (f *clientFlags) dial(_ *cobra.Command) (*remote, error) {
	return f.dialAs(&bearer{fixed: strings.TrimSpace(os.Getenv("SLUICE_TOKEN"))})
}

// dialAs is dial with another token, or with none where who is nil.
func (f *clientFlags) dialAs(who *bearer) (*remote, error) {
	at, err := f.address()
	if err != nil {
		return nil, err
	}
	r := &remote{server: at.Scheme + "://" + at.Host}
	transport := insecure.NewCredentials()
	if at.Scheme == "https" {
		if r.tls, err = f.tlsConfig(); err != nil {
			return nil, err
		}
		transport = credentials.NewTLS(r.tls)
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
		grpc.WithDisableServiceConfig(), // of a DNS record nobody wrote for this
	}
	if loopback(at.Hostname()) {
		options = append(options, grpc.WithNoProxy())
	}
	if who != nil {
		who.server = r.server
		options = append(options, grpc.WithPerRPCCredentials(who))
	}
	r.ClientConn, err = grpc.NewClient("dns:///"+at.Host, options...)
	return r, err
}

// address is the server's URL with its port, if a token may be sent there.
func (f *clientFlags) address() (*url.URL, error) {
	text := cmp.Or(f.server, os.Getenv("SLUICE_SERVER"), defaultServer)
	u, err := url.Parse(text)
	from := "SLUICE_SERVER"
	if f.server != "" {
		from = "--server"
	}
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, usage("%s %q: write a URL such as %s", from, text, defaultServer)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		return nil, usage("%s %q: write scheme, host and port only, as %s", from, u.Redacted(), defaultServer)
	case u.Scheme == "http" && !loopback(u.Hostname()) && !f.plaintext:
		return nil, usage("%s is not on this machine, and over http:// anybody on the way could read the token: use https://, or --plaintext where the network is nobody else's", u.Redacted())
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	u.Host = strings.ToLower(u.Host)
	return u, nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

func (f *clientFlags) tlsConfig() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.ca == "" {
		return c, nil
	}
	text, err := os.ReadFile(f.ca)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("--ca: %s holds no certificate in PEM form", f.ca)
	}
	return c, nil
}

// ask makes one call, bounded in time, and says what went wrong in users' words.
func ask[Q, A any](cmd *cobra.Command, r *remote, call func(context.Context, *Q, ...grpc.CallOption) (*A, error), q *Q) (*A, error) {
	ctx, cancel := context.WithTimeout(cmd.Context(), callTime)
	defer cancel()
	a, err := call(ctx, q)
	return a, r.explain(cmd.Context(), err)
}

// bearer shows the token with each call: what SLUICE_TOKEN says, or what was kept
// for the server that is asked.
type bearer struct {
	fixed  string
	server string
}

var _ credentials.PerRPCCredentials = (*bearer)(nil)

// GetRequestMetadata gives the token, refreshed if it has run out.
func (b *bearer) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	token := b.fixed
	if token == "" {
		kept, err := login.Open().Fresh(ctx, b.server)
		switch {
		case errors.Is(err, login.ErrNone):
			return nil, status.Error(codes.Unauthenticated, notLoggedIn(b.server))
		case err != nil:
			return nil, status.Error(codes.Unauthenticated, err.Error())
		}
		token = kept
	}
	if strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return nil, status.Error(codes.Unauthenticated, "the token holds a space or a letter that no token has; set SLUICE_TOKEN anew")
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

// RequireTransportSecurity is false: address has decided where a token may go.
func (*bearer) RequireTransportSecurity() bool { return false }

func notLoggedIn(server string) string {
	return "not logged in at " + server + ": run \"sluice login\", or set SLUICE_TOKEN"
}

// reasonOf is the stable reason of a refusal of the gateway's; "" of any other error.
func reasonOf(err error) string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == "sluice" {
			return info.GetReason()
		}
	}
	return ""
}

// explain says what a call failed with in users' words.
func (r *remote) explain(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	st, reason := status.Convert(err), reasonOf(err)
	text := shown(st.Message())
	switch {
	case reason == access.ReasonTokenExpired || reason == access.ReasonTokenInvalid || reason == access.ReasonTokenMissing:
		return fmt.Errorf("%s (%s); run \"sluice login\", or set SLUICE_TOKEN anew", text, reason)
	case reason != "":
		return fmt.Errorf("%s (%s)", text, reason)
	case st.Code() == codes.Unauthenticated:
		return errors.New(text)
	case st.Code() == codes.DeadlineExceeded:
		return fmt.Errorf("%s does not answer", r.server)
	case st.Code() == codes.Unavailable && strings.Contains(text, "tls: "):
		return fmt.Errorf("%s: %s; is it https, and does --ca name its certificates?", r.server, text)
	case st.Code() == codes.Unimplemented || st.Code() == codes.Unknown || st.Code() == codes.Unavailable && strings.Contains(text, "http2: "):
		return fmt.Errorf("what answers at %s is not Sluice's admin API (%s); set SLUICE_SERVER, or --server", r.server, text)
	case st.Code() == codes.Unavailable && strings.Contains(text, "connection error"):
		text = strings.Trim(strings.TrimPrefix(text, "connection error: desc = "), "\"")
		return fmt.Errorf("no server at %s: is it running? set SLUICE_SERVER, or --server (%s)", r.server, text)
	}
	return fmt.Errorf("%s: %s", st.Code(), text)
}
