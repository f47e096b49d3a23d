package login

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

const (
	// stepTime bounds one request to the issuer.
	stepTime = 15 * time.Second
	// early is how long before its end a token is got anew.
	early = 30 * time.Second
	// maxDocument bounds a discovery document, in bytes.
	maxDocument = 1 << 20
)

// Source is where a person logs in.
type Source struct {
	Issuer, ClientID, Audience string
	Scopes                     []string
	// DeviceEndpoint and TokenEndpoint are the issuer's; where one is empty the
	// issuer's discovery is asked.
	DeviceEndpoint, TokenEndpoint string
}

// Prompt is what the person has to do.
type Prompt struct {
	// URL is where he enters Code; Complete, if not empty, has it entered already.
	URL, Code, Complete string
	// Expires is how long he has; the zero time is not said.
	Expires time.Time
}

// Run logs in at a source: it asks for a code, has prompt show it, and waits until
// the person has agreed, refused, or let the time pass. The token is not kept yet.
func Run(ctx context.Context, server string, s Source, prompt func(Prompt) error) (Token, error) {
	ctx = withClient(ctx)
	if err := s.discover(ctx); err != nil {
		return Token{}, err
	}
	config := s.config()
	var ask []oauth2.AuthCodeOption
	if s.Audience != "" {
		ask = append(ask, oauth2.SetAuthURLParam("audience", s.Audience))
	}
	device, err := config.DeviceAuth(ctx, ask...)
	if err != nil {
		return Token{}, failed(s.Issuer, err)
	}
	err = prompt(Prompt{URL: device.VerificationURI, Code: device.UserCode, Complete: device.VerificationURIComplete, Expires: device.Expiry})
	if err != nil {
		return Token{}, err
	}
	got, err := config.DeviceAccessToken(ctx, device)
	if err != nil {
		return Token{}, failed(s.Issuer, err)
	}
	return Token{
		Server: server, Access: got.AccessToken, Refresh: got.RefreshToken, Expires: got.Expiry,
		Issuer: s.Issuer, ClientID: s.ClientID, TokenEndpoint: s.TokenEndpoint,
	}, nil
}

func (s *Source) config() *oauth2.Config {
	return &oauth2.Config{
		ClientID: s.ClientID, Scopes: s.Scopes,
		Endpoint: oauth2.Endpoint{DeviceAuthURL: s.DeviceEndpoint, TokenURL: s.TokenEndpoint, AuthStyle: oauth2.AuthStyleInParams},
	}
}

// discover fills in the endpoints. All are https, or on this machine: who could
// stand in between would get the token.
func (s *Source) discover(ctx context.Context) error {
	if s.DeviceEndpoint == "" || s.TokenEndpoint == "" {
		if err := s.ask(ctx); err != nil {
			return err
		}
	}
	for _, at := range []string{s.DeviceEndpoint, s.TokenEndpoint} {
		if err := secure(at); err != nil {
			return fmt.Errorf("the issuer %s names %q: %w", s.Issuer, at, err)
		}
	}
	return nil
}

func (s *Source) ask(ctx context.Context) error {
	if err := secure(s.Issuer); err != nil {
		return fmt.Errorf("the issuer %q: %w", s.Issuer, err)
	}
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(s.Issuer, "/")+"/.well-known/openid-configuration", nil)
	if err != nil {
		return err
	}
	client, _ := ctx.Value(oauth2.HTTPClient).(*http.Client)
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("the issuer %s can't be reached: %w", s.Issuer, err)
	}
	defer func() { _ = response.Body.Close() }()
	var about struct {
		Issuer string `json:"issuer"`
		Device string `json:"device_authorization_endpoint"`
		Token  string `json:"token_endpoint"`
	}
	err = json.NewDecoder(io.LimitReader(response.Body, maxDocument)).Decode(&about)
	switch {
	case err != nil || response.StatusCode != http.StatusOK || about.Issuer != s.Issuer:
		return fmt.Errorf("what answers at %s is not that issuer's discovery document (%s)", s.Issuer, response.Status)
	case about.Device == "":
		return fmt.Errorf("the issuer %s has no device flow; set SLUICE_TOKEN to a token that you got otherwise", s.Issuer)
	}
	s.DeviceEndpoint, s.TokenEndpoint = about.Device, about.Token
	return nil
}

// Fresh is the token that is kept for a server, got anew if it has run out.
func (k *Keep) Fresh(ctx context.Context, server string) (string, error) {
	t, err := k.Load(server)
	if err != nil {
		return "", err
	}
	now := time.Now
	if k.Now != nil {
		now = k.Now
	}
	if t.Expires.IsZero() || now().Add(early).Before(t.Expires) {
		return t.Access, nil
	}
	again := "the login at " + server + " has run out; run \"sluice login\" again"
	if t.Refresh == "" || secure(t.TokenEndpoint) != nil {
		return "", errors.New(again)
	}
	ctx = withClient(ctx)
	config := (&Source{ClientID: t.ClientID, TokenEndpoint: t.TokenEndpoint}).config()
	got, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: t.Refresh}).Token()
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused):
		return "", errors.New(again)
	case err != nil:
		return "", failed(t.Issuer, err)
	}
	t.Access, t.Expires = got.AccessToken, got.Expiry
	if got.RefreshToken != "" {
		t.Refresh = got.RefreshToken
	}
	if _, err := k.Save(t); err != nil {
		return "", err
	}
	return t.Access, nil
}

// failed says in users' words why an issuer gave no token.
func failed(issuer string, err error) error {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) {
		if errors.Is(err, context.DeadlineExceeded) {
			return errors.New("nobody entered the code in time; run \"sluice login\" again")
		}
		return fmt.Errorf("the issuer %s: %w", issuer, err)
	}
	switch refused.ErrorCode {
	case "access_denied":
		return errors.New("the login was refused at " + issuer)
	case "expired_token":
		return errors.New("nobody entered the code in time; run \"sluice login\" again")
	case "":
		return fmt.Errorf("the issuer %s answered %s", issuer, refused.Response.Status)
	}
	return fmt.Errorf("the issuer %s answered %q: %.200q", issuer, refused.ErrorCode, refused.ErrorDescription)
}

// withClient has the client of ctx's used, as tests set it, or else our own.
func withClient(ctx context.Context) context.Context {
	if _, ok := ctx.Value(oauth2.HTTPClient).(*http.Client); ok {
		return ctx
	}
	return context.WithValue(ctx, oauth2.HTTPClient, client())
}

// client goes no way from https to http, and keeps no connection.
func client() *http.Client {
	return &http.Client{
		Timeout: stepTime,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true,
			DialContext: (&net.Dialer{Timeout: stepTime}).DialContext, TLSHandshakeTimeout: stepTime,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("refused to be sent elsewhere") // with a code or a token in hand
		},
	}
}

func secure(at string) error {
	u, err := url.Parse(at)
	if err != nil || u.Host == "" || u.User != nil {
		return errors.New("is no URL such as https://issuer.example")
	}
	addr, err := netip.ParseAddr(u.Hostname())
	local := u.Hostname() == "localhost" || err == nil && addr.Unmap().IsLoopback()
	if u.Scheme == "https" || u.Scheme == "http" && local {
		return nil
	}
	return errors.New("is not https")
}
