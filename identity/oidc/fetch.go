package oidc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	goidc "github.com/coreos/go-oidc/v3/oidc"
)

const (
	// maxAnswer bounds a discovery document and a JWKS, in bytes.
	maxAnswer = 1 << 20
	// fetchTimeout bounds one fetch of the keys, discovery included.
	fetchTimeout = 10 * time.Second
	stepTimeout  = 5 * time.Second
	maxRedirects = 3
	// clip bounds what an issuer can write into our log.
	clip = 300
)

var errTooLarge = errors.New("the answer is larger than 1 MiB")

// fetcher gets the keys of one issuer.
type fetcher struct {
	issuer string
	jwks   Location
	client *http.Client
}

func newFetcher(cfg *Config, transport http.RoundTripper) (*fetcher, error) {
	if transport == nil {
		own, err := newTransport(string(cfg.CA))
		if err != nil {
			return nil, err
		}
		transport = own
	}
	return &fetcher{
		issuer: cfg.Issuer, jwks: cfg.JWKS,
		client: &http.Client{
			Transport: bounded{transport}, Timeout: fetchTimeout,
			CheckRedirect: func(to *http.Request, via []*http.Request) error {
				if len(via) > maxRedirects {
					return errors.New("too many redirects")
				}
				return onward(via[0].URL, to.URL)
			},
		},
	}, nil
}

// onward tells whether what began at from may go on at to: never from https to
// http, where anybody on the way could put in keys of their own.
func onward(from, to *url.URL) error {
	if err := secure(to); err != nil || from.Scheme == "https" && to.Scheme != "https" {
		return fmt.Errorf("refused to go on to %.100q, which is not https", to.Redacted())
	}
	return nil
}

func newTransport(ca string) (*http.Transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		text, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate in PEM form", ca)
		}
	}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: stepTimeout}).DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    stepTimeout,
		ResponseHeaderTimeout:  stepTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
		// One or two requests every few minutes: an idle connection would cost
		// a goroutine and serve nobody.
		DisableKeepAlives: true,
	}, nil
}

// bounded limits the bodies that go-oidc and we read.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(request)
	if err == nil {
		response.Body = &boundedBody{ReadCloser: response.Body, left: maxAnswer}
	}
	return response, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left+1)])
	if b.left -= n; b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// fetch returns the text of the issuer's JWKS. Discovery is done each time, so
// that an issuer that moves its keys is followed within the schedule.
func (f *fetcher) fetch(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	if path, ok := f.jwks.file(); ok {
		return readFile(path)
	}
	place := string(f.jwks)
	if place == "" {
		found, err := f.discover(ctx)
		if err != nil {
			return nil, err
		}
		place = found
	}
	return f.get(ctx, place)
}

// discover asks the issuer where its keys are. go-oidc checks that the
// document speaks for this very issuer (OpenID Connect Discovery 1.0 section
// 4.3).
func (f *fetcher) discover(ctx context.Context) (string, error) {
	provider, err := goidc.NewProvider(goidc.ClientContext(ctx, f.client), f.issuer)
	if err != nil {
		return "", fmt.Errorf("discovery: %w", err)
	}
	var about struct {
		JWKS string `json:"jwks_uri"`
	}
	if err := provider.Claims(&about); err != nil {
		return "", fmt.Errorf("discovery: %w", err)
	}
	from, err := url.Parse(f.issuer)
	if err != nil {
		return "", err
	}
	to, err := parseURL(about.JWKS)
	if err != nil {
		return "", fmt.Errorf("discovery: jwks_uri %w", err)
	}
	return about.JWKS, onward(from, to)
}

func (f *fetcher) get(ctx context.Context, place string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, place, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	// A cache on the way must not keep a withdrawn key in force.
	request.Header.Set("Cache-Control", "no-cache")
	response, err := f.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("keys: the issuer answered %.50q", response.Status)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return body, nil
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	body, err := io.ReadAll(&boundedBody{ReadCloser: file, left: maxAnswer})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return body, nil
}
