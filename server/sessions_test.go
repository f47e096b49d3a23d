package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/demo/models"
	"github.com/sluice-gateway/sluice/gen/inference"
	adminpb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

const rolesWithAnOperator = `
roles:
  model-viewer: [ { models: ["*"], verbs: [infer, describe, list] } ]
  operator: [ { models: ["*"], verbs: [admin] } ]
bindings:
  - { role: model-viewer, groups: [model-viewer] }
  - { role: operator, groups: [model-admin] }
`

// watched is a gateway whose model tokens takes its time, and its sessions as alice
// sees and ends them.
type watched struct {
	*gateway
	adminpb.SessionServiceClient
}

func startWatched(t *testing.T) watched {
	t.Helper()
	m := models.New(models.Options{ChunkDelay: 50 * time.Millisecond})
	srv := grpc.NewServer(m.ServerOptions()...)
	m.Register(srv)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() { srv.Stop(); <-done; _ = m.Close() })
	g := start(t, setup{backend: l.Addr().String(), policy: rolesWithAnOperator, cut: true})
	conn, err := grpc.NewClient("passthrough:///"+g.Console, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return watched{g, adminpb.NewSessionServiceClient(conn)}
}

// of finds a person's session on a door; it waits until there is one.
func (w watched) of(name, door string, streams bool) *adminpb.Session {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		all, err := w.ListSessions(w.as("alice"), &adminpb.ListSessionsRequest{Principal: w.issuer.URL() + "#" + name})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, s := range all.GetSessions() {
			if s.GetDoor() == door && (s.GetRpc() != "") == streams && s.GetOpenCalls() > 0 {
				return s
			}
		}
	}
	w.t.Fatalf("%s has no session on %s", name, door)
	return nil
}

// kill ends a session and returns what over was told. How long that took is only
// said: it is to be within a second, which a busy machine can't promise.
func (w watched) kill(id string, over <-chan error) error {
	w.t.Helper()
	began := time.Now()
	_, err := w.KillSession(w.as("alice"), &adminpb.KillSessionRequest{Target: &adminpb.KillSessionRequest_SessionId{SessionId: id}, Reason: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	select {
	case err = <-over:
	case <-time.After(20 * time.Second):
		w.t.Fatal("it goes on")
	}
	w.t.Logf("it took %v", time.Since(began))
	return err
}

func sessionKilled(err error) bool {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetReason() == access.ReasonSessionKilled {
			return status.Code(err) == codes.PermissionDenied
		}
	}
	return false
}

// TestARunningTokenStreamIsKilled, whether answers come at the moment or the
// client says nothing.
func TestARunningTokenStreamIsKilled(t *testing.T) {
	w := startWatched(t)
	for name, request := range map[string]*inference.ModelInferRequest{
		"answers come": generateRequest(), "nothing was sent": nil,
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := w.ModelStreamInfer(w.as("bob"))
			if err != nil {
				t.Fatal(err)
			}
			if request != nil {
				if err := stream.Send(request); err != nil {
					t.Fatal(err)
				}
				if first, err := stream.Recv(); err != nil || first.GetErrorMessage() != "" {
					t.Fatal(first.GetErrorMessage(), err)
				}
			}
			over := make(chan error, 1)
			go func() {
				for {
					if _, err := stream.Recv(); err != nil {
						over <- err
						return
					}
				}
			}()
			if err := w.kill(w.of("bob", "grpc", true).GetId(), over); !sessionKilled(err) {
				t.Errorf("the client was told %v", err)
			}
		})
	}
	// The client is told before the call's handler has returned.
	eventually(t, "the record", func() bool { return strings.Contains(w.Log.String(), `"reason":"SESSION_KILLED"`) })
}

func generateRequest() *inference.ModelInferRequest {
	return &inference.ModelInferRequest{
		ModelName: "tokens", Id: "1",
		Inputs: []*inference.ModelInferRequest_InferInputTensor{
			{Name: "text_input", Datatype: "BYTES", Shape: []int64{1}, Contents: &inference.InferTensorContents{BytesContents: [][]byte{[]byte("hi")}}},
			{Name: "stream", Datatype: "BOOL", Shape: []int64{1}, Contents: &inference.InferTensorContents{BoolContents: []bool{true}}},
		},
	}
}

// TestRESTIsKilledToo: a stream of events, and a call whose body never comes whole.
func TestRESTIsKilledToo(t *testing.T) {
	w := startWatched(t)
	t.Run("events", func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+w.REST+"/v2/models/tokens/generate_stream", strings.NewReader(`{"text_input": "hi", "stream": true}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+w.Token("bob"))
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		over, text := make(chan error, 1), ""
		go func() {
			all, err := io.ReadAll(resp.Body)
			text = string(all)
			over <- err
		}()
		err = w.kill(w.of("bob", "rest", true).GetId(), over)
		if resp.StatusCode != http.StatusOK || !strings.Contains(text, "has been ended") {
			t.Errorf("%s: %v after %q", resp.Status, err, text)
		}
	})
	t.Run("half a body", func(t *testing.T) {
		conn, err := net.Dial("tcp", w.REST)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_, err = fmt.Fprintf(conn, "POST /v2/models/simple/infer HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 1000\r\n\r\n{", w.Token("bob"))
		if err != nil {
			t.Fatal(err)
		}
		over := make(chan error, 1)
		var resp *http.Response
		go func() {
			var err error
			resp, err = http.ReadResponse(bufio.NewReader(conn), nil)
			if err == nil {
				_ = resp.Body.Close()
			}
			over <- err
		}()
		err = w.kill(w.of("bob", "rest", false).GetId(), over)
		if err != nil || resp.StatusCode != http.StatusForbidden || resp.Header.Get("Sluice-Reason") != access.ReasonSessionKilled {
			t.Errorf("%v, %v", resp, err)
		}
	})
}

// TestWhoIsKeptOutIsOutOnEveryDoor, and in again when that is lifted.
func TestWhoIsKeptOutIsOutOnEveryDoor(t *testing.T) {
	w := startWatched(t)
	bob := w.issuer.URL() + "#bob"
	_, err := w.KillSession(w.as("alice"), &adminpb.KillSessionRequest{Target: &adminpb.KillSessionRequest_Principal{Principal: bob}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.ModelReady(w.as("bob"), &inference.ModelReadyRequest{Name: "simple"})
	if !sessionKilled(err) {
		t.Errorf("gRPC: %v", err)
	}
	if code, body, header := w.web("bob", http.MethodGet, "/v2/models/simple/ready", ""); code != http.StatusForbidden || header.Get("Sluice-Reason") != access.ReasonSessionKilled {
		t.Errorf("REST: %d %s", code, body)
	}
	if _, err := w.ListSessions(w.as("bob"), &adminpb.ListSessionsRequest{Mine: true}); !sessionKilled(err) {
		t.Errorf("admin: %v", err)
	}
	if _, err := w.ModelReady(w.as("dana"), &inference.ModelReadyRequest{Name: "simple"}); err != nil {
		t.Errorf("dana: %v", err)
	}
	if _, err := w.LiftEnded(w.as("alice"), &adminpb.LiftEndedRequest{Id: bob}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.ModelReady(w.as("bob"), &inference.ModelReadyRequest{Name: "simple"}); err != nil {
		t.Errorf("after the lift: %v", err)
	}
}
