package server_test

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/secret"
	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/store/sqlite"
)

// forge has somebody who writes to the database, and has no key, give alice a grant
// that is used up another time.
func (f *floor) forge(id string) {
	f.t.Helper()
	db, err := sqlite.Open(f.t.Context(), filepath.Join(f.dir, "sluice.db"))
	if err != nil {
		f.t.Fatal(err)
	}
	defer db.Close()
	used, err := db.Get(f.t.Context(), approval.KindGrant, id)
	if err != nil {
		f.t.Fatal(err)
	}
	body := used.Body[bytes.IndexByte(used.Body, '{'):]
	body = bytes.Replace(body, []byte(`"state":"used"`), []byte(`"state":"live"`), 1)
	body = bytes.Replace(body, []byte(`"uses":2,"used":2`), []byte(`"uses":0,"used":0`), 1)
	body = bytes.ReplaceAll(body, []byte(id), []byte(strings.Repeat("0", len(id))))
	forged := store.Item{Kind: used.Kind, ID: strings.Repeat("0", len(id)), Owner: used.Owner, State: "live", Expires: time.Now().Add(time.Hour), Body: body}
	if err := db.Apply(f.t.Context(), store.Change{Item: forged}); err != nil {
		f.t.Fatal(err)
	}
}

// use has alice's approved call use its grant up, and returns its id.
func (f *floor) use() string {
	f.t.Helper()
	call := f.unload(f.as("alice"))
	grant := f.approve(f.pending().GetId()).GetGrantId()
	mustPass(f.t, call)
	mustPass(f.t, f.unload(f.as("alice")))
	return grant
}

// TestAGrantThatIsWrittenToTheDatabase lets nobody through where there is a key, which
// is logged and recorded; without one it does, as docs/SECURITY.md says.
func TestAGrantThatIsWrittenToTheDatabase(t *testing.T) {
	t.Setenv("SLUICE_TEST_SEAL", secret.NewKey())
	for name, c := range map[string]struct {
		keys string
		held bool
	}{
		"with a key":    {"secrets: { key: \"${SLUICE_TEST_SEAL}\" }\n", true},
		"without a key": {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := &floor{gateway: start(t, setup{policy: rolesOfApprovals, extra: "store: { sqlite: sluice.db }\n" + recorded + "\n" + c.keys})}
			f.connect()
			f.forge(f.use())
			if !c.held {
				eventually(t, "the forged grant is used", func() bool {
					ctx, cancel := context.WithTimeout(f.as("alice"), 300*time.Millisecond)
					defer cancel()
					return <-f.unload(ctx) == nil
				})
				return
			}
			eventually(t, "the log says so", func() bool {
				return strings.Contains(f.Log.String(), "is not used: no gateway with this key has written it")
			})
			ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(f.as("alice"), "sluice-reason", "mine"), time.Second)
			defer cancel()
			wantRefusal(t, <-f.unload(ctx), codes.FailedPrecondition, access.ReasonNeedsApproval)
			for _, r := range f.records() {
				if r.Kind == audit.KindAdmin && r.Verdict == audit.Denied && strings.HasPrefix(r.Object, "grant 000") && r.Detail != "" {
					return
				}
			}
			t.Error("nothing is recorded of it")
		})
	}
}
