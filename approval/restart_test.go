package approval_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/store/postgres"
	"github.com/sluice-gateway/sluice/store/storetest/pgtest"
)

// TestPostgreSQLIsRestartedWhileCallsAreHeld has calls held on two replicas, an
// approval that meets no database, and one that does when it is back.
func TestPostgreSQLIsRestartedWhileCallsAreHeld(t *testing.T) {
	pg := pgtest.Start(t)
	url := pg.Database(t)
	var here [2]*approval.Engine
	for i := range here {
		s, err := postgres.Open(t.Context(), url, postgres.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		here[i] = engineOn(t, s)
	}
	results := make(chan error, 4)
	var ended sync.WaitGroup
	for i := range 4 {
		ended.Go(func() {
			_, err := here[i%2].Admit(t.Context(), unload())
			results <- err
		})
	}
	id := awaitOne(t, here[0], here[1], 4)
	if err := pg.Stop(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := here[0].Approve(ctx, carol, id, approval.Answer{})
	refused(t, err, access.Unavailable, access.ReasonStoreAway)
	if len(results) > 0 {
		t.Fatalf("a call ended with %v", <-results)
	}
	if err := pg.Start(); err != nil {
		t.Fatal(err)
	}
	approveAtLast(t, here[0], id)
	ended.Wait()
	for range 4 {
		if err := <-results; err != nil {
			t.Errorf("a held call ended with %v", err)
		}
	}
	all, err := here[1].List(t.Context(), approval.Filter{})
	if err != nil || len(all) != 1 || len(all[0].Approvals) != 1 {
		t.Errorf("kept are %d requests, %v", len(all), err)
	}
	if grants, err := here[1].ListGrants(t.Context(), approval.Filter{}); err != nil || len(grants) != 1 {
		t.Errorf("kept are %d grants, %v", len(grants), err)
	}
}

// awaitOne waits until n calls are held on two replicas, all for one request.
func awaitOne(t *testing.T, one, two *approval.Engine, n int) (id string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		all, err := one.List(t.Context(), approval.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == 1 && one.Held(all[0].ID)+two.Held(all[0].ID) == n {
			return all[0].ID
		}
	}
	t.Fatal("the calls are not held")
	return ""
}

// approveAtLast approves as soon as the store answers again.
func approveAtLast(t *testing.T, e *approval.Engine, id string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		_, err := e.Approve(t.Context(), carol, id, approval.Answer{})
		if refusal, ok := access.AsError(err); ok && refusal != nil && errors.Is(err, store.ErrAway) && time.Now().Before(deadline) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
}
