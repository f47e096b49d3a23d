package sqlite_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOneProcessWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.db")
	first, second := open(t, path), open(t, path)
	defer func() { must(t, second.Close()) }()
	must(t, first.Own(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := second.Own(ctx); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second one: %v", err)
	}
	closed := make(chan error, 1)
	go func() {
		time.Sleep(100 * time.Millisecond) // the second one is there before
		closed <- first.Close()
	}()
	must(t, second.Own(t.Context())) // waits for the first to end
	must(t, <-closed)
}
