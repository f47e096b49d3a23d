package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/merkle"
	auditlog "github.com/sluice-gateway/sluice/audit/sqlite"
)

// layLog writes a configuration and a log of some records, with its public key and
// published checkpoints beside it.
func layLog(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{
		"policy.yaml": "roles: { a: [ { models: [\"*\"], verbs: [infer] } ] }\n",
		"sluice.yaml": `audit: { sqlite: audit.db }
identity: { oidc: [ { name: corp, issuer: "https://login.example.com", audiences: [sluice] } ] }
backends: [ { name: gpu, type: triton, addresses: ["127.0.0.1:1"], models: ["*"] } ]
policy: [policy.yaml]
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key, err := merkle.OpenKey(filepath.Join(dir, "audit.key"))
	if err != nil {
		t.Fatal(err)
	}
	log, err := auditlog.Open(t.Context(), filepath.Join(dir, "audit.db"))
	if err != nil {
		t.Fatal(err)
	}
	var published bytes.Buffer
	o := audit.Options{Log: log, Key: key, Publish: func(_ context.Context, c audit.Checkpoint) error {
		published.Write(append(c.Note, '\n'))
		return nil
	}}
	o.Config.SetDefaults()
	o.Config.Checkpoint.Records = 10
	record(t, o)
	for name, text := range map[string]string{"audit.pub": key.Public() + "\n", "published.txt": published.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// record has a recorder write thirty records, and end.
func record(t *testing.T, o audit.Options) {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	r, err := audit.NewRecorder(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		if err := r.Write(t.Context(), audittest.Infer(i), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAuditVerifySaysOKUntilOneByteIsChanged(t *testing.T) {
	dir := layLog(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	args := []string{"audit", "verify", "--config", at("sluice.yaml"), "--key", at("audit.pub"), "--checkpoints", at("published.txt")}
	out, errs, code := typed(t, args...)
	if code != 0 || !strings.HasSuffix(out, "OK\n") || !strings.Contains(out, "30 records compared, 0 pruned, 0 not signed yet") {
		t.Fatalf("ended with %d: %s%s", code, out, errs)
	}
	file, err := os.ReadFile(at("audit.db"))
	if err != nil {
		t.Fatal(err)
	}
	place := bytes.Index(file, []byte(audittest.Infer(17).Call))
	if place < 0 {
		t.Fatal("the record is not in the file as it was written")
	}
	file[place] ^= 1
	if err := os.WriteFile(at("audit.db"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code = typed(t, args...)
	if code != 1 || !strings.Contains(out, "record 17: edited") || !strings.Contains(errs, "1 finding") || strings.Contains(out, "OK") {
		t.Errorf("ended with %d: %s%s", code, out, errs)
	}
	out, _, code = typed(t, append(args, "--output", "json")...)
	if code != 1 || !strings.Contains(out, `"fault":"edited","first":17,"last":17`) {
		t.Errorf("ended with %d: %s", code, out)
	}
}

func TestAuditVerifyWithAnothersKey(t *testing.T) {
	dir, other := layLog(t), layLog(t)
	out, _, code := typed(t, "audit", "verify", "--config", filepath.Join(dir, "sluice.yaml"), "--key", filepath.Join(other, "audit.pub"))
	if code != 1 || !strings.Contains(out, "not signed") {
		t.Errorf("ended with %d: %s", code, out)
	}
	out, _, code = typed(t, "audit", "verify", "--config", filepath.Join(dir, "sluice.yaml"), "--checkpoints", filepath.Join(other, "published.txt"))
	if code != 1 || !strings.Contains(out, "not signed") {
		t.Errorf("ended with %d: %s", code, out)
	}
}

// Who puts an older copy of the log in its place, or cuts off its end with all that
// signs it, is found by what lies beside the key.
func TestAuditVerifyKnowsWhatWasSignedLast(t *testing.T) {
	dir := layLog(t)
	db, err := sql.Open("sqlite", filepath.Join(dir, "audit.db"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec("DELETE FROM head WHERE first >= 10; UPDATE state SET size = 10; DELETE FROM checkpoint WHERE size > 10")
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	out, errs, code := typed(t, "audit", "verify", "--config", filepath.Join(dir, "sluice.yaml"))
	if code != 1 || !strings.Contains(out, "records 10 to 29: truncated") {
		t.Errorf("ended with %d: %s%s", code, out, errs)
	}
}

// A published checkpoint whose end was cut off is told of, and takes none of those
// behind it along.
func TestAPublishedCheckpointThatIsCutOff(t *testing.T) {
	dir := layLog(t)
	path := filepath.Join(dir, "published.txt")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := bytes.Cut(text, []byte("\n\n"))
	if err := os.WriteFile(path, append(append(first, "\n\n"...), text...), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code := typed(t, "audit", "verify", "--config", filepath.Join(dir, "sluice.yaml"), "--checkpoints", path)
	if code != 1 || strings.Count(out, "not signed (a checkpoint from elsewhere") != 1 || !strings.Contains(errs, "1 finding") {
		t.Errorf("ended with %d: %s%s", code, out, errs)
	}
}
