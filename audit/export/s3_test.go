package export_test

import (
	"bufio"
	"bytes"
	"crypto/md5" //nolint:gosec // what S3's protocol has
	"encoding/base64"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/signer"

	"github.com/sluice-gateway/sluice/audit/export"
)

const (
	accessKey = "AKIASLUICE"
	secretKey = "a secret that only the store and we know"
	region    = "eu-test-1"
)

// store is an object store of one bucket that speaks as much of S3's protocol as
// an export needs, and refuses what is not signed.
type store struct {
	mu      sync.Mutex
	objects map[string][]byte
	names   []string // in the order of their writing
	failing int      // so many requests to write fail
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !signed(r) {
		fail(w, http.StatusForbidden, "SignatureDoesNotMatch")
		return
	}
	name, ours := strings.CutPrefix(r.URL.Path, "/records/")
	switch {
	case !ours:
		fail(w, http.StatusNotFound, "NoSuchBucket")
	case r.Method == http.MethodPut:
		s.put(w, r, name)
	default:
		b, found := s.objects[name]
		if !found {
			fail(w, http.StatusNotFound, "NoSuchKey")
			return
		}
		w.Header().Set("ETag", `"x"`)
		http.ServeContent(w, r, "", began, bytes.NewReader(b))
	}
}

func (s *store) put(w http.ResponseWriter, r *http.Request, name string) {
	if s.failing > 0 {
		s.failing--
		fail(w, http.StatusForbidden, "AccessDenied")
		return
	}
	b, err := body(r)
	sum := md5.Sum(b) //nolint:gosec // see above
	if want := r.Header.Get("Content-Md5"); err != nil || want != "" && want != base64.StdEncoding.EncodeToString(sum[:]) {
		fail(w, http.StatusBadRequest, "BadDigest")
		return
	}
	s.objects[name] = b
	s.names = append(s.names, name)
	w.Header().Set("ETag", `"x"`)
}

func fail(w http.ResponseWriter, code int, what string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(code)
	_ = xml.NewEncoder(w).Encode(struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}{Code: what, Message: what})
}

// signed makes the request's signature anew, over the headers that it says are
// signed, and compares.
func signed(r *http.Request) bool {
	auth := r.Header.Get("Authorization")
	_, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || !strings.HasPrefix(auth, "AWS4-HMAC-SHA256 Credential="+accessKey+"/") {
		return false
	}
	_, list, _ := strings.Cut(auth, "SignedHeaders=")
	list, _, _ = strings.Cut(list, ",")
	again := &http.Request{Method: r.Method, Host: r.Host, Header: http.Header{}, URL: &url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}}
	for _, name := range strings.Split(list, ";") {
		if v := r.Header.Values(name); name != "host" && len(v) > 0 {
			again.Header[http.CanonicalHeaderKey(name)] = v
		}
		if name == "content-length" {
			again.Header.Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
		}
	}
	payload := r.Header.Get("X-Amz-Content-Sha256")
	if strings.HasPrefix(payload, "STREAMING-") {
		return strings.Contains(auth, "Signature=") // each chunk is signed by the one before; body reads them
	}
	made := signer.SignV4(*again, accessKey, secretKey, "", region)
	_, want, _ := strings.Cut(made.Header.Get("Authorization"), "Signature=")
	_, got, _ := strings.Cut(auth, "Signature=")
	return want == got
}

// body reads what was sent, out of signed chunks where it is in those.
func body(r *http.Request) ([]byte, error) {
	if !strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		return io.ReadAll(r.Body)
	}
	in := bufio.NewReader(r.Body)
	var b []byte
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		size, _, _ := strings.Cut(strings.TrimSpace(line), ";")
		n, err := strconv.ParseInt(size, 16, 32)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return b, nil
		}
		chunk := make([]byte, n+2)
		if _, err := io.ReadFull(in, chunk); err != nil {
			return nil, err
		}
		b = append(b, chunk[:n]...)
	}
}

func startStore(t *testing.T) (*store, export.S3) {
	t.Helper()
	s := &store{objects: map[string][]byte{}}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	return s, export.S3{Endpoint: srv.URL, Region: region, Bucket: "records", Prefix: "audit/2026/", AccessKey: accessKey, SecretKey: secretKey}
}

// TestObjectStore: an export into an object store is the one into a folder, goes on
// where it was broken off, and verifies from there.
func TestObjectStore(t *testing.T) {
	s, c := startStore(t)
	j, dir := newJournal(t, 25), t.TempDir()
	exported(t, j, dir, nil)
	target, err := export.NewS3(c)
	if err != nil {
		t.Fatal(err)
	}
	o := options(t, j, dir)
	o.Target = target
	j.broken = 15
	if _, _, err := export.Run(t.Context(), o); err == nil {
		t.Fatal("the search did not break off")
	}
	j.broken = 0
	if _, _, err := export.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	for name, want := range files(t, dir) {
		if got := string(s.objects["audit/2026/"+name]); got != want {
			t.Errorf("%s is another object: %.80q", name, got)
		}
	}
	report, err := export.Verify(t.Context(), target, j.key.Public())
	if err != nil || !report.OK() || report.Records != 25 {
		t.Errorf("%+v, %v", report, err)
	}
	s.objects["audit/2026/records-00000.jsonl"][3] ^= 1
	if report, err := export.Verify(t.Context(), target, j.key.Public()); err != nil || report.OK() {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestObjectStoreRefuses(t *testing.T) {
	s, c := startStore(t)
	j := newJournal(t, 5)
	for name, change := range map[string]func(c *export.S3){
		"another key":    func(c *export.S3) { c.SecretKey = "another" },
		"another bucket": func(c *export.S3) { c.Bucket = "other" },
		"a store that may not be written": func(*export.S3) {
			s.failing = 100
		},
	} {
		one := c
		change(&one)
		target, err := export.NewS3(one)
		if err != nil {
			t.Fatal(err)
		}
		o := options(t, j, "")
		o.Target = target
		if _, _, err = export.Run(t.Context(), o); err == nil || strings.Contains(err.Error(), secretKey) {
			t.Errorf("%s: got %v", name, err)
		}
		s.failing = 0
	}
	target, _ := export.NewS3(c)
	if _, err := target.Get(t.Context(), "none"); !os.IsNotExist(err) {
		t.Errorf("got %v", err)
	}
}

func TestObjectStoreAddress(t *testing.T) {
	for endpoint, ok := range map[string]bool{
		"https://s3.example.com":      true,
		"http://127.0.0.1:9000":       true,
		"http://localhost:9000/":      true,
		"http://s3.example.com":       false,
		"https://u:p@s3.example.com":  false,
		"https://s3.example.com/path": false,
		"s3.example.com":              false,
		"":                            false,
	} {
		_, err := export.NewS3(export.S3{Endpoint: endpoint, Bucket: "b", AccessKey: "a", SecretKey: "s"})
		if (err == nil) != ok {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
	if _, err := export.NewS3(export.S3{Endpoint: "https://s3.example.com"}); err == nil {
		t.Error("no bucket is one")
	}
}
