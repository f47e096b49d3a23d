package access_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-gateway/sluice/access"
)

func secret(t *testing.T, ref string) access.Secret {
	t.Helper()
	var s access.Secret
	if err := s.UnmarshalText([]byte(ref)); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSecretResolves(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"good": "hunter2\r\n", "empty": "\n", "long": strings.Repeat("x", 1<<17)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SLUICE_TEST_SECRET", "hunter3")
	t.Setenv("SLUICE_TEST_EMPTY", "")
	tests := map[string]struct{ ref, want, err string }{
		"variable":       {"${SLUICE_TEST_SECRET}", "hunter3", ""},
		"unset variable": {"${SLUICE_TEST_UNSET}", "", "environment variable SLUICE_TEST_UNSET is not set"},
		"empty variable": {"${SLUICE_TEST_EMPTY}", "", "environment variable SLUICE_TEST_EMPTY is empty"},
		"file":           {"file:good", "hunter2", ""},
		"absolute file":  {"file:" + filepath.Join(dir, "good"), "hunter2", ""},
		"missing file":   {"file:nope", "", "no such file"},
		"empty file":     {"file:empty", "", "is empty"},
		"long file":      {"file:long", "", "is longer than 65536 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := secret(t, tt.ref)
			s.Anchor(dir)
			got, err := s.Resolve()
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	if _, err := (access.Secret{}).Resolve(); err == nil || !(access.Secret{}).IsZero() {
		t.Error("no reference resolves to something")
	}
}

// A stored secret has a name, and whoever has no store for it says so.
func TestSecretInTheStore(t *testing.T) {
	s := secret(t, "secret:gpu-token")
	if s.Stored() != "gpu-token" || s.IsZero() || secret(t, "${A}").Stored() != "" {
		t.Errorf("the name is %q", s.Stored())
	}
	if v, err := s.Resolve(); v != "" || err == nil || !strings.Contains(err.Error(), "only in the credential of a backend") {
		t.Errorf("got %q, %v", v, err)
	}
}

// A rotated file counts at once.
func TestSecretIsReadEachTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	s := secret(t, "file:"+path)
	for _, want := range []string{"one", "two"} {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Resolve(); got != want || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

// A Kubernetes secret is a folder of links into another, which is swapped by
// renaming a link: each reading sees one state of it, and the next one counts at
// once.
func TestSecretInAFolderThatIsSwapped(t *testing.T) {
	dir := t.TempDir()
	swap := func(version, value string) {
		t.Helper()
		err := errors.Join(
			os.Mkdir(filepath.Join(dir, version), 0o700),
			os.WriteFile(filepath.Join(dir, version, "token"), []byte(value), 0o600),
			os.Symlink(version, filepath.Join(dir, "..data_tmp")),
			os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")),
		)
		if err != nil {
			t.Fatal(err)
		}
	}
	swap("..1", "one")
	if err := os.Symlink(filepath.Join("..data", "token"), filepath.Join(dir, "token")); err != nil {
		t.Fatal(err)
	}
	s := secret(t, "file:"+filepath.Join(dir, "token"))
	for i, want := range []string{"one", "two", "three"} {
		if i > 0 {
			swap(fmt.Sprintf("..%d", i+1), want)
		}
		if got, err := s.Resolve(); got != want || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

func TestSecretRefusesPlainText(t *testing.T) {
	for _, text := range []string{"hunter2", "", "$hunter2", "${}", "${hunter 2}", "${A}hunter2", "hunter2${A}", "${A:-hunter2}", "file:", "secret:", "secret:hunter 2", "secret:hunter2/x"} {
		var s access.Secret
		err := s.UnmarshalText([]byte(text))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: error %v", text, err)
		}
	}
}

func TestSecretShowsNothing(t *testing.T) {
	t.Setenv("HUNTER2", "hunter3")
	s := secret(t, "${HUNTER2}")
	in := struct{ S access.Secret }{s}
	var shown []string
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown = append(shown, fmt.Sprintf(format, s), fmt.Sprintf(format, &s), fmt.Sprintf(format, in))
	}
	shown = append(shown, fmt.Sprint(s), s.String(), fmt.Errorf("a: %v", s).Error())
	for _, marshal := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
		b, err := marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		shown = append(shown, string(b))
	}
	for _, h := range []func(*bytes.Buffer) slog.Handler{
		func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var b bytes.Buffer
		slog.New(h(&b)).InfoContext(t.Context(), "x", slog.Any("s", s), slog.Any("in", in))
		shown = append(shown, b.String())
	}
	for _, text := range shown {
		if strings.Contains(strings.ToLower(text), "hunter") || !strings.Contains(text, "[REDACTED]") {
			t.Errorf("shows %s", text)
		}
	}
}

func TestSize(t *testing.T) {
	tests := map[string]struct {
		text  string
		want  access.Size
		print string
		err   string
	}{
		"bytes":           {"1000", 1000, "1000B", ""},
		"bytes, named":    {"12B", 12, "12B", ""},
		"none":            {"0", 0, "0B", ""},
		"binary":          {"8GiB", 8 << 30, "8GiB", ""},
		"smaller binary":  {"1536 MiB", 1536 << 20, "1536MiB", ""},
		"decimal":         {"64kB", 64000, "64000B", ""},
		"largest":         {"9223372036854775807", 1<<63 - 1, "9223372036854775807B", ""},
		"largest in TiB":  {"8388607TiB", 8388607 << 40, "8388607TiB", ""},
		"too large":       {"8388608TiB", 0, "", "too large"},
		"too many digits": {"9223372036854775808", 0, "", "must be a size"},
		"negative":        {"-1GiB", 0, "", "must be a size"},
		"fraction":        {"1.5GiB", 0, "", "must be a size"},
		"other unit":      {"1Gb", 0, "", "must be a size"},
		"nothing":         {"", 0, "", "must be a size"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var s access.Size
			err := s.UnmarshalText([]byte(tt.text))
			if s != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("got %d, %v", s, err)
			}
			if text, _ := s.MarshalText(); err == nil && string(text) != tt.print {
				t.Errorf("prints %s, want %s", text, tt.print)
			}
		})
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"triton", "mlserver", "tls", "to"}
	tests := map[string]string{
		"tritn": "triton", "tirton": "triton", "Triton": "triton", "trytone": "triton", "tsl": "tls", "tl": "tls", "t": "to",
		"vllm": "", "tensor": "", "": "", "abc": "", strings.Repeat("triton", 1000): "",
	}
	for word, want := range tests {
		if got := access.Suggest(word, known); got != want {
			t.Errorf("%q suggests %q, want %q", word, got, want)
		}
	}
	if got := access.DidYouMean("tritn", known); got != ` (did you mean "triton"?)` {
		t.Errorf("got %q", got)
	}
	if got := access.DidYouMean("vllm", known); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestFileAnchor(t *testing.T) {
	for from, want := range map[access.File]access.File{"a/b": "/etc/a/b", "../b": "/b", "/a": "/a", "": ""} {
		f := from
		if f.Anchor("/etc"); f != want {
			t.Errorf("%q is anchored at %q, want %q", from, f, want)
		}
	}
}
