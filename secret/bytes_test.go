package secret_test

import (
	"bytes"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-gateway/sluice/secret"
	"github.com/sluice-gateway/sluice/store/storetest"
)

// TestBytesShowNothing, whoever prints them and however deep they lie.
func TestBytesShowNothing(t *testing.T) {
	const text = "hunter2"
	s := value(text)
	type inner struct{ hidden secret.Bytes }
	shapes := []any{
		s, &s,
		struct{ S secret.Bytes }{s},
		struct{ s secret.Bytes }{s},
		inner{s},
		&inner{s},
		[]secret.Bytes{s},
		map[string]secret.Bytes{"a": s},
		struct{ in *inner }{&inner{s}},
		any(s), errors.Join(fmt.Errorf("a %v", s)),
	}
	// Run does not run: whoever prints a lease reads what it points to.
	r := &rig{secret.New(secret.Options{Store: storetest.NewMemory(), Ring: ring(t, "a")}), nil}
	r.put(t, "gpu", secret.Bearer, text)
	l := r.lease(t, "gpu", call)
	defer l.End(time.Now())
	shapes = append(shapes, l, *l.Value(), l.Value(), struct{ v *secret.Value }{l.Value()}, struct{ l *secret.Lease }{l})
	var shown []string
	for _, x := range shapes {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p"} {
			shown = append(shown, fmt.Sprintf(format, x))
		}
		for _, marshal := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
			if b, err := marshal(x); err == nil {
				shown = append(shown, string(b))
			}
		}
		var b bytes.Buffer
		slog.New(slog.NewTextHandler(&b, nil)).InfoContext(t.Context(), "x", slog.Any("s", x))
		slog.New(slog.NewJSONHandler(&b, nil)).InfoContext(t.Context(), "x", slog.Any("s", x))
		shown = append(shown, b.String())
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(struct{ S secret.Bytes }{s}); err != nil {
		t.Error(err)
	}
	shown = append(shown, b.String(), s.String())
	for _, got := range shown {
		for _, leak := range []string{text, hex.EncodeToString([]byte(text)), "104 117 110", "0x68, 0x75", "aHVudGVyMg"} {
			if strings.Contains(strings.ToLower(got), strings.ToLower(leak)) {
				t.Errorf("shows %s", got)
			}
		}
	}
}

func TestBytesWipe(t *testing.T) {
	raw := []byte("hunter2hunter2")[:7]
	s := secret.NewBytes(raw)
	again := s
	if s.Len() != 7 || s.Text() != "hunter2" {
		t.Errorf("holds %d bytes", s.Len())
	}
	again.Wipe()
	again.Wipe()
	if s.Len() != 0 || s.Text() != "" || !bytes.Equal(raw[:cap(raw)][:14], make([]byte, 14)) {
		t.Errorf("%q is left", raw[:cap(raw)])
	}
	var none secret.Bytes
	none.Wipe()
	if none.Len() != 0 || none.Text() != "" {
		t.Error("the zero secret holds something")
	}
}
