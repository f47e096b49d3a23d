package server_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/gen/inference"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
)

// TestNothingIsDoneUnrecordedOnAnyDoor: each of them refuses what can't be recorded.
func TestNothingIsDoneUnrecordedOnAnyDoor(t *testing.T) {
	g := start(t, setup{server: "  openai: true\n", extra: "audit: { sqlite: audit.db, wait: 1s, queue: 100 }"})
	console := pb.NewIdentityServiceClient(g.dialConsole())
	g.rename("audit.db", filepath.Join(g.dir, "away.db"))
	if _, err := g.RepositoryModelLoad(g.as("alice"), &inference.RepositoryModelLoadRequest{ModelName: "simple"}); reasonOf(err) != access.ReasonAuditAway {
		t.Fatal(err) // from here on something waits to be written
	}
	for name, call := range map[string]func() error{
		"a stream over gRPC": func() error {
			stream, err := g.ModelStreamInfer(g.as("bob"))
			if err != nil {
				return err
			}
			if err := stream.Send(repeats("r", 1)); err != nil {
				return err
			}
			answer, err := stream.Recv()
			if text := answer.GetErrorMessage(); text != "" {
				return status.Error(codes.Unavailable, text)
			}
			return err
		},
		"strict over REST":      func() error { return overHTTP(g.web("alice", "POST", "/v2/repository/models/simple/load", "{}")) },
		"a request over REST":   func() error { return overHTTP(g.web("bob", "POST", inferPath, addJSON)) },
		"OpenAI's list":         func() error { return overHTTP(g.web("bob", "GET", "/v1/models", "")) },
		"the console over REST": func() error { return overHTTP((&desk{gateway: g}).ask("bob", "GET", "/v1/me", "")) },
		"the console over gRPC": func() error {
			_, err := console.WhoAmI(g.as("bob"), &pb.WhoAmIRequest{})
			return err
		},
	} {
		eventually(t, name+" to be refused", func() bool {
			err := call()
			return status.Code(err) == codes.Unavailable && strings.Contains(status.Convert(err).Message(), "not recorded")
		})
	}
	g.rename("away.db", filepath.Join(g.dir, "audit.db"))
}

// overHTTP makes of an HTTP answer the error that gRPC would have had.
func overHTTP(code int, text string, header http.Header) error {
	if code == http.StatusServiceUnavailable && header.Get("Sluice-Reason") == access.ReasonAuditAway {
		return status.Error(codes.Unavailable, text)
	}
	return fmt.Errorf("%d %s", code, text)
}

// TestAReloadThatIsRefusedIsRecorded, and does not quote the files.
func TestAReloadThatIsRefusedIsRecorded(t *testing.T) {
	g := start(t, setup{extra: recorded})
	g.Write("policy.yaml", "roles: { "+prompt+": [ {} ]")
	g.Reload()
	all := g.records()
	i := slices.IndexFunc(all, func(r *audit.Record) bool { return r.Kind == audit.KindReload && r.Verdict == audit.Failed })
	if i < 0 || all[i].Detail == "" || strings.Contains(all[i].Detail, prompt) {
		t.Errorf("recorded are %+v", all)
	}
}
