package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// free is a loopback address that nothing listened on a moment ago.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "say.json")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestServesWhatItIsGiven(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	address := free(t)
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-listen", address, "-say", file(t, `{"tokens":["Hi"],"ticks":["t"],"endless":"~"}`), "-tight"}, io.Discard)
	}()
	text, err := ask(ctx, address)
	for err != nil && ctx.Err() == nil { // not listening yet
		text, err = ask(ctx, address)
	}
	if err != nil || !strings.HasPrefix(text, `data:{"index":1,"token":{"id":45,"text":"Hi"`) {
		t.Errorf("%q, %v", text, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
}

func ask(ctx context.Context, address string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://%s/generate_stream", address), strings.NewReader(`{"inputs":"a"}`))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

func TestRefusesToServe(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no file":      {[]string{"-say", "nothing.json"}, "nothing.json"},
		"no JSON":      {[]string{"-say", file(t, "{")}, "unexpected end"},
		"off loopback": {[]string{"-say", file(t, "{}"), "-listen", "0.0.0.0:0"}, "not on loopback"},
		"no flag":      {[]string{"-nonsense"}, "nonsense"},
	} {
		t.Run(name, func(t *testing.T) {
			var said bytes.Buffer
			if err := run(t.Context(), c.args, &said); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
