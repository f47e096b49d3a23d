package generate

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/wire"
)

const (
	// connectTimeout bounds one attempt to connect.
	connectTimeout = 3 * time.Second
	// goneTimeout bounds the question whether a server still listens.
	goneTimeout = time.Second
	// idleTimeout is how long an idle connection is kept: uvicorn and llama.cpp's
	// server close theirs after 5 s, and a request sent at that moment is lost.
	idleTimeout = 3 * time.Second
	// maxHeader bounds an answer's header, in bytes.
	maxHeader = 64 << 10
	// maxAnswer bounds an answer that is read whole, in bytes.
	maxAnswer = 64 << 20
	// readBuffer is what an answer is read into at first, in bytes.
	readBuffer = 8 << 10
	// idleConnections are kept for the next requests.
	idleConnections = 64
	// drainTime is how long the end of a stream may take to come after its last
	// event, for the connection to be used again.
	drainTime = 100 * time.Millisecond
)

// ClientOptions says how to reach a server.
type ClientOptions struct {
	// Address is the URL that routes are below: http://host:8000.
	Address string
	// DialTLS connects to https addresses, the handshake included; nil is Go's own
	// with the system's authorities.
	DialTLS func(ctx context.Context, network, address string) (net.Conn, error)
	// Credential is what is shown with each request; nil shows nothing.
	Credential func() (map[string]string, error)
	// Dial connects instead of the network (tests).
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Client is an HTTP client of one server. It follows no redirect and uses no
// proxy, so that the credential goes to the configured host alone; what it reads
// is bounded in size, and in time by the context alone. It is safe for
// concurrent use.
type Client struct {
	base       string
	host       string // with its port
	http       *http.Client
	transport  *http.Transport
	credential func() (map[string]string, error)
}

// NewClient makes a client; it connects to nothing yet.
func NewClient(o ClientOptions) (*Client, error) {
	u, err := url.Parse(o.Address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the address must be a URL such as http://host:8000")
	}
	dial := o.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: connectTimeout}).DialContext
	}
	// HTTP/1.1 alone: a request that is cancelled closes its connection, which is
	// what every one of these servers takes for the end of a request.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	t := &http.Transport{
		DialContext: dial, DialTLSContext: o.DialTLS, TLSHandshakeTimeout: connectTimeout, Protocols: protocols,
		DisableCompression: true, MaxIdleConns: idleConnections, MaxIdleConnsPerHost: idleConnections,
		IdleConnTimeout: idleTimeout, MaxResponseHeaderBytes: maxHeader,
	}
	return &Client{
		host:       hostPort(u),
		base:       strings.TrimSuffix(u.String(), "/"),
		transport:  t,
		credential: o.Credential,
		http: &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}},
	}, nil
}

func hostPort(u *url.URL) string {
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme]))
}

// Close closes idle connections; those in use close when their requests end.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Call sends in as JSON (nothing, if nil) and decodes the answer into out
// (nowhere, if nil). A POST is never sent twice.
func (c *Client) Call(ctx context.Context, method, path string, in, out any) error {
	resp, err := c.do(ctx, method, path, in, false)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	return c.decode(ctx, resp, out)
}

// Infer is Call for what has no effect on the server and so may be sent again
// where an idle connection turns out to be closed.
func (c *Client) Infer(ctx context.Context, path string, in, out any) error {
	resp, err := c.do(ctx, http.MethodPost, path, in, true)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	return c.decode(ctx, resp, out)
}

func (c *Client) decode(ctx context.Context, resp *http.Response, out any) error {
	body, release, err := readWhole(ctx, resp.Body)
	defer release()
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(body, out); err != nil {
		return Garbage(err)
	}
	return nil
}

// readWhole reads an answer's body, which the caller's account is charged for
// until it is released.
func readWhole(ctx context.Context, r io.Reader) (body []byte, release func(), err error) {
	account, charged := wire.AccountFrom(ctx), 0
	release = func() {
		if account != nil {
			account.Release(charged)
		}
	}
	for {
		if len(body) == cap(body) {
			n := max(readBuffer, cap(body)) // doubles
			if account != nil {
				if err := account.Acquire(n); err != nil {
					return nil, release, err
				}
				charged += n
			}
			body = append(make([]byte, 0, cap(body)+n), body...)
		}
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			return body, release, nil
		case err != nil:
			return nil, release, broken(ctx, err)
		case len(body) > maxAnswer:
			return nil, release, Garbage(fmt.Errorf("the answer is over %d bytes", maxAnswer))
		}
	}
}

// Stream sends in as JSON and returns the events of the answer. The caller
// closes them.
func (c *Client) Stream(ctx context.Context, path string, in any) (*EventStream, error) {
	ctx, cancel := context.WithCancel(ctx)
	resp, err := c.do(ctx, http.MethodPost, path, in, true)
	if err != nil {
		cancel()
		return nil, err
	}
	if kind := resp.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") {
		cancel()
		_ = resp.Body.Close()
		return nil, Garbage(fmt.Errorf("%w: it is %.40q", ErrNotEvents, kind))
	}
	return &EventStream{ctx: ctx, cancel: cancel, body: resp.Body, events: NewEvents(resp.Body)}, nil
}

// EventStream is the events of one answer.
type EventStream struct {
	ctx    context.Context //nolint:containedctx // the answer's own
	cancel context.CancelFunc
	body   io.ReadCloser
	events *Events
	ended  bool
}

// Next returns the data of the next event, valid until the next call. io.EOF is
// the end of the answer's body; whether that is a good end is the caller's to
// know. Any other error is for the caller of the request.
func (s *EventStream) Next() ([]byte, error) {
	data, err := s.events.Next()
	switch {
	case err == nil:
		return data, nil
	case s.ctx.Err() != nil: // what the server then does with its answer is no matter
		return nil, broken(s.ctx, err)
	case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		s.ended = true
		return nil, io.EOF
	case errors.Is(err, ErrEventTooLong), errors.Is(err, ErrNotEvents), errors.Is(err, ErrCutOff):
		return nil, Garbage(err)
	}
	return nil, broken(s.ctx, err)
}

// Done tells that the last event was read: the rest of the body is waited for a
// moment, so that the connection can be used again.
func (s *EventStream) Done() {
	if s.ended {
		return
	}
	timer := time.AfterFunc(drainTime, s.cancel)
	defer timer.Stop()
	_, _ = io.CopyN(io.Discard, s.events.r, maxIdle)
}

// Close ends the request, at the server too if it still runs.
func (s *EventStream) Close() {
	s.cancel()
	_ = s.body.Close()
}

// do sends one request. A status other than 2xx is an error with the server's
// own text.
func (c *Client) do(ctx context.Context, method, path string, in any, repeat bool) (*http.Response, error) {
	var body io.Reader = http.NoBody
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	connected := false // a connection was made, so that something may have been sent
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }})
	req, err := http.NewRequestWithContext(traced, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	if err := c.headers(ctx, req.Header, in != nil); err != nil {
		return nil, err
	}
	if repeat {
		req.Header["Idempotency-Key"] = nil // net/http then repeats it on a connection that was found closed, and sends no such header
	}
	resp, err := c.http.Do(req) //nolint:bodyclose // closed here or by the caller
	switch {
	case err != nil && connected && ctx.Err() == nil && c.gone(ctx):
		return nil, backends.Away(err)
	case err != nil && connected:
		return nil, broken(ctx, err)
	case err != nil:
		return nil, broken(ctx, backends.Unsent(err))
	}
	if resp.StatusCode/100 != 2 {
		defer func() { _ = resp.Body.Close() }()
		return nil, refusal(ctx, resp)
	}
	return resp, nil
}

// gone tells whether nobody listens any more where a connection has broken: it
// broke with its server, and not for what was sent on it.
func (c *Client) gone(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, goneTimeout)
	defer cancel()
	conn, err := c.transport.DialContext(ctx, "tcp", c.host)
	if err != nil {
		return true
	}
	_ = conn.Close()
	return false
}

// ownHeaders are never taken from a caller's metadata: they are this hop's, or
// say something of a request that the caller did not make. A caller's request id
// would be the server's own id of the request, which another's could be too.
var ownHeaders = map[string]bool{
	"accept": true, "accept-encoding": true, "content-length": true, "content-encoding": true, "transfer-encoding": true, "expect": true, "upgrade": true,
	"trailer": true, "range": true, "x-request-id": true, "forwarded": true, "keep-alive": true, "idempotency-key": true, "x-idempotency-key": true,
}

// printable tells values that a header can carry: another one would fail the
// request as if its server were away.
func printable(v string) bool {
	return !strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' })
}

// headers writes what of the outgoing metadata may be a header, and the
// credential over it.
func (c *Client) headers(ctx context.Context, h http.Header, body bool) error {
	md, _ := metadata.FromOutgoingContext(ctx)
	var pass backends.Forwarder
	for name, values := range md {
		if ownHeaders[name] || !pass.Passes(name) || strings.HasSuffix(name, "-bin") || strings.HasPrefix(name, "x-forwarded-") {
			continue
		}
		for _, v := range values {
			if printable(v) {
				h.Add(name, v)
			}
		}
	}
	h.Set("User-Agent", "sluice")
	if body {
		h.Set("Content-Type", "application/json")
	}
	if c.credential == nil {
		return nil
	}
	shown, err := c.credential()
	if err != nil {
		return err
	}
	for name, value := range shown {
		h.Set(name, value)
	}
	return nil
}
