package server_test

import (
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sluice-gateway/sluice/access/accesstest"
	"github.com/sluice-gateway/sluice/gen/inference"
	adminpb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/store/storetest/pgtest"
	"github.com/sluice-gateway/sluice/wire/wiretest"
)

// TestAnOffboardedContractorIsOutOnEveryReplica within a second: what runs on the
// other one, and what he begins there.
func TestAnOffboardedContractorIsOutOnEveryReplica(t *testing.T) {
	t.Setenv("SLUICE_TEST_POSTGRES", pgtest.Start(t).Database(t))
	contractor(t, `store: { postgres: "${SLUICE_TEST_POSTGRES}" }`)
}

// contractor has bob's stream run on one replica while alice works on the other.
func contractor(t *testing.T, store string) {
	s := setup{backend: startModels(t), policy: rolesWithAnOperator, cut: true, server: store + "\n"}
	there := start(t, s)
	here := &gateway{t: t, dir: t.TempDir(), Log: new(accesstest.Log), Pool: wiretest.NewPool(), reload: there.reload, cut: true, issuer: there.issuer}
	here.configure(s)
	here.run()
	conn, err := grpc.NewClient("passthrough:///"+here.Console, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	alice := watched{here, adminpb.NewSessionServiceClient(conn)}

	stream, err := there.ModelStreamInfer(there.as("bob"))
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { _, err := stream.Recv(); over <- err }()
	if err := alice.kill(alice.of("bob", "grpc", true).GetId(), over); !sessionKilled(err) {
		t.Errorf("by its id: %v", err)
	}

	if stream, err = there.ModelStreamInfer(there.as("bob")); err != nil {
		t.Fatal(err)
	}
	go func() { _, err := stream.Recv(); over <- err }()
	bob := there.issuer.URL() + "#bob"
	began := time.Now()
	killed, err := alice.KillSession(alice.as("alice"), &adminpb.KillSessionRequest{Target: &adminpb.KillSessionRequest_Principal{Principal: bob}})
	if err != nil || !killed.GetEverywhere() {
		t.Fatal(killed, err)
	}
	if err := wait(t, over); !sessionKilled(err) {
		t.Errorf("as a principal: %v", err)
	}
	t.Logf("as a principal: after %v", time.Since(began))
	if _, err := there.ModelReady(there.as("bob"), &inference.ModelReadyRequest{Name: "simple"}); !sessionKilled(err) {
		t.Errorf("a new call: %v", err)
	}
	if _, err := alice.LiftEnded(alice.as("alice"), &adminpb.LiftEndedRequest{Id: bob}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "bob to be let in again", func() bool {
		_, err := there.ModelReady(there.as("bob"), &inference.ModelReadyRequest{Name: "simple"})
		return err == nil
	})
}
