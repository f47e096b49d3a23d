package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/merkle"
	auditlog "github.com/sluice-gateway/sluice/audit/sqlite"
	"github.com/sluice-gateway/sluice/backends/backendstest"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/server"
)

const recorded = "audit: { sqlite: audit.db, key: keys/audit.key }"

// records ends the gateway and reads what its log has, the oldest first; the log
// has to verify.
func (g *gateway) records() (all []*audit.Record) {
	g.t.Helper()
	g.end()
	if err := <-g.ended; err != nil && !errors.Is(err, context.Canceled) {
		g.t.Fatal(err)
	}
	l, err := auditlog.Open(g.t.Context(), filepath.Join(g.dir, "audit.db"))
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	key, err := merkle.OpenKey(filepath.Join(g.dir, "keys", "audit.key"))
	if err != nil {
		g.t.Fatal(err)
	}
	report, err := audit.Verify(g.t.Context(), l, audit.VerifyOptions{Keys: []string{key.Public()}})
	if err != nil || len(report.Findings) > 0 || len(report.Logs) != 1 || report.Logs[0].Unsigned > 0 {
		g.t.Errorf("the log does not verify: %+v, %v", report, err)
	}
	for f, err := range l.Search(g.t.Context(), audit.Query{Oldest: true}) {
		if err != nil {
			g.t.Fatal(err)
		}
		all = append(all, f.Record)
	}
	return all
}

// told is a record in few words.
func told(r *audit.Record) string {
	return strings.Join(strings.Fields(fmt.Sprint(r.Kind, " ", r.Door, " ", r.Name, " ", r.Verb, " ", r.Model, " ", r.Verdict, " ", codes.Code(r.Status), " ", r.Reason)), " ")
}

func TestEachCallOnEachDoorIsRecorded(t *testing.T) {
	g := start(t, setup{extra: recorded})
	if _, err := g.ModelInfer(g.as("bob"), simpleRequest("r1")); err != nil {
		t.Fatal(err)
	}
	g.web("bob", "POST", "/v2/models/simple/infer", addJSON)
	_, _ = g.ModelInfer(g.as(""), simpleRequest("r2"))
	_, _ = g.ModelInfer(g.as("carol"), simpleRequest("r3"))
	_, _ = g.ModelInfer(g.as("bob"), &inference.ModelInferRequest{ModelName: "nothing"})
	if _, err := g.RepositoryModelLoad(g.as("alice"), &inference.RepositoryModelLoadRequest{ModelName: "simple"}); err != nil {
		t.Fatal(err)
	}
	_, _ = g.RepositoryModelUnload(g.as("bob"), &inference.RepositoryModelUnloadRequest{ModelName: "simple"})
	g.Reload()
	all := g.records()
	var lines []string
	for _, r := range all {
		lines = append(lines, told(r))
	}
	want := []string{
		"start allowed OK",
		"call grpc bob infer simple allowed OK",
		"call rest bob infer simple allowed OK",
		"login_failed grpc denied Unauthenticated TOKEN_MISSING",
		"call grpc carol infer simple denied PermissionDenied NO_ROLE_ALLOWS",
		"intent grpc alice load simple OK",
		"call grpc alice load simple allowed OK",
		"call grpc bob unload simple denied PermissionDenied NO_ROLE_ALLOWS",
		"reload allowed OK",
		"reload allowed OK",
		"stop allowed OK",
	}
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, "infer nothing failed") })
	if !slices.Equal(lines, want) {
		t.Errorf("recorded is\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	whole(t, all[1], g)
	digests(t, all, g)
}

// digests: what `sluice check` says of the configuration is what its records say.
func digests(t *testing.T, all []*audit.Record, g *gateway) {
	t.Helper()
	t.Chdir(g.dir)
	for _, path := range []string{filepath.Join(g.dir, "sluice.yaml"), "sluice.yaml"} {
		w := config.Watcher{Path: path}
		if _, problems := w.Load(); problems.Err() != nil {
			t.Fatal(problems.Err())
		}
		for _, r := range all {
			if (r.Kind == audit.KindStart || r.Kind == audit.KindReload) && r.Object != w.Digest() {
				t.Errorf("%s has the digest %s, the %s record %q", path, w.Digest(), r.Kind, r.Object)
			}
		}
	}
}

// whole looks at everything that is told of one call.
func whole(t *testing.T, r *audit.Record, g *gateway) {
	t.Helper()
	if r.Subject == "" || r.Issuer != g.issuer.URL() || r.UserKind != "user" || !slices.Contains(r.Groups, "model-viewer") || r.Peer.String() != "127.0.0.1" ||
		r.RPC != "ModelInfer" || len(r.Call) != 16 || r.Request != "r1" || r.Version != "1" || r.Rule == "" || r.Backend != "models" || !strings.HasPrefix(r.Server, "127.0.0.1:") {
		t.Errorf("the record is %+v", r)
	}
	inputs := []audit.Tensor{{Name: "INPUT0", Datatype: "INT32", Shape: []int64{1, 16}}, {Name: "INPUT1", Datatype: "INT32", Shape: []int64{1, 16}}}
	if !slices.EqualFunc(r.Inputs, inputs, func(a, b audit.Tensor) bool {
		return a.Name == b.Name && a.Datatype == b.Datatype && slices.Equal(a.Shape, b.Shape)
	}) ||
		len(r.Outputs) != 2 || r.Outputs[0].Name != "OUTPUT0" || r.BytesIn == 0 || r.BytesOut == 0 || r.Answers != 1 {
		t.Errorf("the record is %+v", r)
	}
	if r.Duration <= 0 || r.Overhead <= 0 || r.Overhead >= r.Duration || len(r.Timing) != 1 || time.Since(r.Time) > time.Hour {
		t.Errorf("it took %v, %v of it here, %v", r.Duration, r.Overhead, r.Timing)
	}
}

func simpleRequest(id string) *inference.ModelInferRequest {
	raw := make([]byte, 64)
	tensor := func(name string) *inference.ModelInferRequest_InferInputTensor {
		return &inference.ModelInferRequest_InferInputTensor{Name: name, Datatype: "INT32", Shape: []int64{1, 16}}
	}
	return &inference.ModelInferRequest{
		ModelName: "simple", Id: id, RawInputContents: [][]byte{raw, raw},
		Inputs: []*inference.ModelInferRequest_InferInputTensor{tensor("INPUT0"), tensor("INPUT1")},
	}
}

func TestEachRequestOfAStreamIsRecorded(t *testing.T) {
	g := start(t, setup{extra: recorded})
	stream, err := g.ModelStreamInfer(g.as("bob"))
	if err != nil {
		t.Fatal(err)
	}
	final := repeats("three", 1, 2, 3)
	final.Parameters = map[string]*inference.InferParameter{"triton_enable_empty_final_response": {ParameterChoice: &inference.InferParameter_BoolParam{BoolParam: true}}}
	for _, m := range []*inference.ModelInferRequest{simpleRequest("one"), final, repeats("open", 1, 2), {ModelName: "", Id: "bad"}, {ModelName: "nothing", Id: "none"}} {
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	_ = stream.CloseSend()
	for {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	byID := make(map[string]*audit.Record)
	var session string
	for _, r := range g.records() {
		switch r.Kind {
		case audit.KindMessage:
			byID[r.Request] = r
		case audit.KindCall:
			session = r.Session
			if r.Verdict != audit.Allowed || r.Answers < 7 || r.BytesIn == 0 || r.BytesOut == 0 {
				t.Errorf("the stream is %+v", r)
			}
		}
	}
	for id, want := range map[string]struct {
		verdict audit.Verdict
		answers int64
	}{"one": {audit.Allowed, 1}, "three": {audit.Allowed, 4}, "open": {audit.Allowed, 2}, "bad": {audit.Denied, 0}} {
		r := byID[id]
		if r == nil || r.Verdict != want.verdict || r.Answers != want.answers || len(r.Timing) != int(want.answers) || r.Session != session || session == "" || r.Name != "bob" {
			t.Errorf("%s is %+v", id, r)
			continue
		}
		if want.answers > 0 && (r.Backend != "models" || r.Server == "" || len(r.Inputs) == 0 || len(r.Outputs) == 0 || r.Version != "1") {
			t.Errorf("%s is %+v", id, r)
		}
	}
	if r := byID["none"]; r == nil || r.Verdict == audit.Allowed && r.Answers == 0 {
		t.Errorf("a request for a model that is not there is %+v", r)
	}
}

// What can't be recorded is not done; what only looks whether the gateway lives is.
func TestNothingIsDoneUnrecorded(t *testing.T) {
	g := start(t, setup{extra: "audit: { sqlite: audit.db, wait: 1s, queue: 100 }"})
	away := filepath.Join(g.dir, "away.db")
	g.rename("audit.db", away)
	for name, call := range map[string]func() error{
		"strict": func() error {
			_, err := g.RepositoryModelLoad(g.as("alice"), &inference.RepositoryModelLoadRequest{ModelName: "simple"})
			return err
		},
		"other, when the queue has waited": func() (err error) {
			for range 100 {
				if _, err = g.ModelInfer(g.as("bob"), simpleRequest("r")); err != nil {
					break
				}
			}
			return err
		},
	} {
		eventually(t, name+" to be refused", func() bool {
			err := call()
			return status.Code(err) == codes.Unavailable && strings.Contains(status.Convert(err).Message(), "not recorded")
		})
	}
	if _, err := g.ServerLive(g.as(""), &inference.ServerLiveRequest{}); err != nil {
		t.Errorf("a probe: %v", err)
	}
	eventually(t, "the metrics to say so", func() bool {
		text := g.scrape()
		return strings.Contains(text, "sluice_audit_refused_total") && !strings.Contains(text, "sluice_audit_failures_total 0\n")
	})
	g.rename("away.db", filepath.Join(g.dir, "audit.db"))
	eventually(t, "calls to go on", func() bool {
		_, err := g.ModelInfer(g.as("bob"), simpleRequest("r"))
		return err == nil
	})
}

func (g *gateway) rename(from, to string) {
	g.t.Helper()
	if err := os.Rename(filepath.Join(g.dir, from), to); err != nil {
		g.t.Fatal(err)
	}
}

func TestAGatewayDoesNotStartOverAChangedLog(t *testing.T) {
	g := start(t, setup{extra: recorded})
	if _, err := g.ModelInfer(g.as("bob"), simpleRequest("r1")); err != nil {
		t.Fatal(err)
	}
	g.records()
	for _, end := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(filepath.Join(g.dir, "audit.db"+end))
	}
	err := server.Run(t.Context(), server.Options{ConfigPath: filepath.Join(g.dir, "sluice.yaml"), Logger: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "older copy") {
		t.Errorf("got %v", err)
	}
}

// A request that a shutdown cuts off is in the log, over REST too.
func TestWhatAShutdownCutsOffIsRecorded(t *testing.T) {
	hangs := []backendstest.Step{backendstest.Receive(), backendstest.Hang()}
	b := backendstest.Listen(t, backendstest.Script{"ModelInfer": hangs, "ModelConfig": plainModel})
	g := start(t, setup{backend: b.Addr, cut: true, server: "  shutdown_grace: 100ms", extra: recorded})
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", g.REST)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = fmt.Fprintf(conn, "POST /v2/models/simple/infer HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", g.Token("bob"), len(addJSON), addJSON)
	eventually(t, "the request", func() bool { return len(sentTo(b.Calls())) == 1 })
	var lines []string
	for _, r := range g.records() {
		lines = append(lines, told(r))
	}
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "call rest bob infer simple failed") }) {
		t.Errorf("recorded is\n%s", strings.Join(lines, "\n"))
	}
}
