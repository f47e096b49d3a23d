package server

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// TestAPanicInTheRESTDoorIsLoggedWithoutWhatItSays: its stack is, at a level that
// is seen; what clients can have logged is not.
func TestAPanicInTheRESTDoorIsLoggedWithoutWhatItSays(t *testing.T) {
	var out bytes.Buffer
	l := &httpLog{slog.New(slog.NewTextHandler(&out, nil))}
	for _, line := range []string{
		"http: panic serving 10.0.0.1:7: jane.doe@example.com\nand more of her\ngoroutine 7 [running]:\nrest.(*Door).ServeHTTP\n",
		"http2: panic serving 10.0.0.1:7: jane.doe@example.com\ngoroutine 7 [running]:\nrest.(*Door).ServeHTTP\n",
		"http: TLS handshake error from 10.0.0.1:7: jane.doe@example.com\n",
	} {
		if n, err := l.Write([]byte(line)); err != nil || n != len(line) {
			t.Errorf("wrote %d, %v", n, err)
		}
	}
	got := out.String()
	if strings.Count(got, "level=ERROR msg=panic door=rest") != 2 || strings.Count(got, "ServeHTTP") != 2 || strings.Contains(got, "jane") || strings.Contains(got, "her") {
		t.Errorf("logged %s", got)
	}
}
