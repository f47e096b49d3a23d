package generate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/backends/generate"
	"github.com/sluice-gateway/sluice/backends/generate/generatetest"
	"github.com/sluice-gateway/sluice/wire"
)

func newClient(t testing.TB, d *generatetest.Double, change ...func(*generate.ClientOptions)) *generate.Client {
	t.Helper()
	o := generate.ClientOptions{Address: "http://server:8000", Dial: d.Dial}
	for _, c := range change {
		c(&o)
	}
	c, err := generate.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestHTTPErrors: the server's own text under the right code, what would show a
// secret or a stranger's page not at all.
func TestHTTPErrors(t *testing.T) {
	const own = codes.OK // an error of Sluice's own
	for _, c := range []struct {
		status int
		body   string
		code   codes.Code
		text   string
	}{
		{400, `{"error":{"message":"too long","type":"BadRequestError","param":null,"code":400}}`, codes.InvalidArgument, "too long"},
		{400, `{"object":"error","message":"older","code":400}`, codes.InvalidArgument, "older"},
		{400, `{"detail":"of FastAPI"}`, codes.InvalidArgument, "of FastAPI"},
		{422, `{"detail":[{"loc":["body"],"msg":"field required"}]}`, codes.InvalidArgument, `[{"loc":["body"],"msg":"field required"}]`},
		{422, `{"error":"Input validation error: x","error_type":"validation"}`, codes.InvalidArgument, "Input validation error: x"},
		{422, `Failed to deserialize the JSON body`, codes.InvalidArgument, "Failed to deserialize the JSON body"},
		{424, `{"error":"Request failed during generation","error_type":"generation"}`, codes.Internal, "Request failed during generation"},
		{404, `{"error":{"message":"The model x does not exist.","type":"NotFoundError","param":"model","code":404}}`, codes.NotFound, "The model x does not exist."},
		{404, `{"detail":"Not Found"}`, codes.Unimplemented, "this model's server does not serve that"},
		{405, `{"detail":"Method Not Allowed"}`, codes.Unimplemented, "this model's server does not serve that"},
		{404, `<html>nginx</html>`, codes.Unimplemented, "this model's server does not serve that"},
		{408, ``, codes.DeadlineExceeded, "the model's server answered HTTP status 408"},
		{413, `{"error":"too large"}`, codes.InvalidArgument, "too large"},
		{418, `{"error":"tea"}`, codes.InvalidArgument, "tea"},
		{429, `{"error":"Model is overloaded","error_type":"overloaded"}`, codes.ResourceExhausted, "Model is overloaded"},
		{500, `{"error":{"message":"line\u0000one\u001b[31m\nline two"}}`, codes.Internal, "lineone[31m\nline two"},
		{500, `<!doctype html><title>proxy 10.0.0.7</title>`, codes.Internal, "the model's server answered HTTP status 500"},
		{501, `{"error":"no"}`, codes.Unimplemented, "no"},
		{503, `{"error":{"message":"Loading model","type":"unavailable_error","code":503}}`, codes.Unavailable, "Loading model"},
		{504, ``, codes.DeadlineExceeded, "the model's server answered HTTP status 504"},
		{500, `{"error":{"message":"` + strings.Repeat("é", 3000) + `"}}`, codes.Internal, strings.Repeat("é", 2048) + " …"},
		{401, `{"error":"Incorrect API key provided: sk-secret"}`, own, "refuses the gateway's credential"},
		{403, `{"error":"sk-secret"}`, own, "refuses the gateway's credential"},
		{302, ``, own, "cannot be read"},
		{600, ``, own, "cannot be read"},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.body[:min(20, len(c.body))]), func(t *testing.T) {
			d := generatetest.Start(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "http://elsewhere/")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			err := newClient(t, d).Infer(t.Context(), "/x", struct{}{}, nil)
			var e *access.Error
			if c.code == own {
				if !errors.As(err, &e) || e.Kind != access.Unavailable || !strings.Contains(e.Message, c.text) || strings.Contains(err.Error(), "secret") || strings.Contains(e.Cause.Error(), "secret") {
					t.Errorf("got %v", err)
				}
			} else if status.Code(err) != c.code || status.Convert(err).Message() != c.text {
				t.Errorf("got %v, want %v %s", err, c.code, c.text)
			}
			if n := len(d.Requests()); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestAWaitThatTheServerAsksForGoesOn(t *testing.T) {
	for header, want := range map[string]time.Duration{"7": 7 * time.Second, "": 0, "-1": 0, "Wed, 21 Oct 2015 07:28:00 GMT": 0, "99999999": time.Hour} {
		d := generatetest.Start(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		err := newClient(t, d).Infer(t.Context(), "/x", struct{}{}, nil)
		var got time.Duration
		for _, detail := range status.Convert(err).Details() {
			if r, ok := detail.(*errdetails.RetryInfo); ok {
				got = r.GetRetryDelay().AsDuration()
			}
		}
		if got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}

// TestWhatIsShownToAServer: the credential over everything, of the caller's what
// is a header and means nothing to this hop.
func TestWhatIsShownToAServer(t *testing.T) {
	d := generatetest.Start(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	c := newClient(t, d, func(o *generate.ClientOptions) {
		o.Credential = func() (map[string]string, error) {
			return map[string]string{"authorization": "Bearer gateway", "x-key": "gateway's"}, nil
		}
	})
	md := metadata.MD{
		"authorization": {"Bearer caller"}, "x-key": {"caller's"}, "x-request-id": {"1"}, "host": {"h"}, "content-length": {"5"}, "transfer-encoding": {"chunked"},
		"x-blob-bin": {"\x00"}, "x-forwarded-for": {"1.2.3.4"}, "cookie": {"c"}, "grpc-timeout": {"1S"}, "traceparent": {"00-1"}, "tracestate": {"bad\r\nx: y", "good"}, "accept-encoding": {"gzip"},
	}
	if err := c.Infer(metadata.NewOutgoingContext(t.Context(), md), "/x", map[string]int{"a": 1}, nil); err != nil {
		t.Fatal(err)
	}
	got := d.Requests()[0]
	want := map[string]string{
		"Authorization": "Bearer gateway", "X-Key": "gateway's", "Traceparent": "00-1", "Tracestate": "good", "User-Agent": "sluice",
		"Content-Type": "application/json", "Content-Length": "7",
	}
	for name, value := range want {
		if v := got.Header.Get(name); v != value {
			t.Errorf("%s is %q, want %q", name, v, value)
		}
	}
	if len(got.Header) != len(want) || got.Body != `{"a":1}` || got.Method != http.MethodPost {
		t.Errorf("got %+v", got)
	}
	broken := newClient(t, d, func(o *generate.ClientOptions) {
		o.Credential = func() (map[string]string, error) { return nil, errors.New("no such file") }
	})
	if err := broken.Infer(t.Context(), "/x", nil, nil); err == nil || len(d.Requests()) != 1 {
		t.Errorf("without its credential: %v, %d requests", err, len(d.Requests()))
	}
}

func TestAddresses(t *testing.T) {
	for address, ok := range map[string]bool{
		"http://h:8000": true, "https://h": true, "http://h/base/": true, "http://[::1]:8000": true,
		"h:8000": false, "": false, "ftp://h": false, "http://": false, "http://user:pass@h": false, "http://h?x=1": false, "http://h#x": false, "http://h:8000/%": false,
	} {
		if _, err := generate.NewClient(generate.ClientOptions{Address: address}); (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// TestAConnectionThatTheServerClosedIsNotHeldAgainstARequest that has no effect: it
// is sent again on another one. One that has an effect is not.
func TestAConnectionThatTheServerClosedIsNotHeldAgainstARequest(t *testing.T) {
	for name, c := range map[string]struct {
		call func(*generate.Client) error
		want int
	}{
		"inference": {func(c *generate.Client) error { return c.Infer(t.Context(), "/x", 1, nil) }, 3},
		"control":   {func(c *generate.Client) error { return c.Call(t.Context(), http.MethodPost, "/x", 1, nil) }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			d := generatetest.Start(t, func(w http.ResponseWriter, _ *http.Request) {
				if n++; n == 2 {
					panic(http.ErrAbortHandler) // closed, as a server does with what was idle for too long
				}
				_, _ = io.WriteString(w, "{}")
			})
			client := newClient(t, d)
			if err := client.Infer(t.Context(), "/x", 1, nil); err != nil {
				t.Fatal(err)
			}
			err := c.call(client)
			var e *access.Error
			if n != c.want || c.want == 3 && err != nil || c.want == 2 && (!errors.As(err, &e) || backends.IsUnsent(err) || !errors.Is(err, backends.ErrCallReset)) {
				t.Errorf("%d requests, %v", n, err)
			}
		})
	}
}

func TestIdleConnectionsAreUsedAgainForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := generatetest.Start(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: x\n\ndata: [DONE]\n\n")
		})
		c := newClient(t, d)
		for range 3 {
			s, err := c.Stream(t.Context(), "/x", 1)
			if err != nil {
				t.Fatal(err)
			}
			for {
				data, err := s.Next()
				if err != nil {
					t.Fatal(err)
				}
				if string(data) == generate.Done {
					s.Done()
					break
				}
			}
			s.Close()
		}
		synctest.Wait()
		if d.Open() != 1 {
			t.Errorf("%d connections for three requests", d.Open())
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if d.Open() != 0 {
			t.Errorf("%d connections are kept longer than the servers keep theirs", d.Open())
		}
	})
}

// TestAServerThatDoesNotEndItsAnswer after its last event is not waited for.
func TestAServerThatDoesNotEndItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := generatetest.Start(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: [DONE]\n\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})
		s, err := newClient(t, d).Stream(t.Context(), "/x", 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Next(); err != nil {
			t.Fatal(err)
		}
		before := time.Now()
		s.Done()
		s.Close()
		if took := time.Since(before); took > 150*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

func TestAnswersThatAreReadWholeAreBoundedAndCharged(t *testing.T) {
	d := generatetest.Start(t, func(w http.ResponseWriter, r *http.Request) {
		size := 200 << 10
		if r.URL.Path == "/huge" {
			size = 80 << 20
		}
		_, _ = io.WriteString(w, `"`)
		for range size >> 10 {
			if _, err := w.Write([]byte(strings.Repeat("x", 1<<10))); err != nil {
				return
			}
		}
		_, _ = io.WriteString(w, `"`)
	})
	c := newClient(t, d)
	var text string
	account := wire.NewBudget(wire.BudgetConfig{}).Account("alice")
	defer account.Close()
	ctx := wire.WithAccount(t.Context(), account)
	if err := c.Infer(ctx, "/x", 1, &text); err != nil || len(text) != 200<<10 || account.Held() != 0 {
		t.Errorf("%d bytes, %v; %d are held after", len(text), err, account.Held())
	}
	var e *access.Error
	if err := c.Infer(ctx, "/huge", 1, &text); !errors.As(err, &e) || e.Kind != access.Unavailable || account.Held() != 0 {
		t.Errorf("more than 64 MiB: %v; %d are held after", err, account.Held())
	}
	small := wire.NewBudget(wire.BudgetConfig{PerPrincipal: 100 << 10, All: 1 << 20}).Account("bob")
	defer small.Close()
	if err := c.Infer(wire.WithAccount(t.Context(), small), "/x", 1, &text); !errors.As(err, &e) || e.Kind != access.Exhausted || small.Held() != 0 {
		t.Errorf("more than the budget: %v; %d are held after", err, small.Held())
	}
}

func TestAServerThatIsAway(t *testing.T) {
	c, err := generate.NewClient(generate.ClientOptions{Address: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.Infer(t.Context(), "/x", 1, nil)
	var e *access.Error
	if !errors.As(err, &e) || !backends.IsUnsent(err) || !backends.IsAway(err) || strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Infer(ctx, "/x", 1, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestAConnectionThatBreaksWithItsServer is told from one that breaks alone.
func TestAConnectionThatBreaksWithItsServer(t *testing.T) {
	for _, gone := range []bool{true, false} {
		dial := backendstest.Raw(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) })
		dials := 0
		c, err := generate.NewClient(generate.ClientOptions{Address: "http://server", Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
			if dials++; gone && dials > 1 {
				return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
			}
			return dial(ctx, address)
		}})
		if err != nil {
			t.Fatal(err)
		}
		err = c.Infer(t.Context(), "/x", 1, nil)
		if backends.IsAway(err) != gone || backends.IsUnsent(err) || err == nil {
			t.Errorf("gone is %v: %v, away is %v", gone, err, backends.IsAway(err))
		}
		c.Close()
	}
}
