package docs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/config/suite"
)

// store writes a yaml block to its file. Where the file is one of the
// repository's examples, the page has to show it as it is.
func (s *session) store(t *testing.T, b block) {
	t.Helper()
	if strings.HasPrefix(b.file, "examples/") {
		if is, err := os.ReadFile(filepath.Join("..", b.file)); err != nil || string(is) != b.text {
			t.Errorf("%s:%d: %s is not shown as it is (%v)", s.page.path, b.line, b.file, err)
		}
	}
	s.provide(t, b.file, b.text)
	s.pending = append(s.pending, b)
}

func (s *session) provide(t *testing.T, name, text string) {
	t.Helper()
	to := filepath.Join(s.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// checkFiles looks at the files that were stored since it last did: one may
// name the other.
func (s *session) checkFiles(t *testing.T) {
	t.Helper()
	for _, b := range s.pending {
		s.neighbours(t, b)
		problems := problemsOf(filepath.Join(s.dir, b.file), b)
		if (problems != nil) != b.wrong {
			t.Errorf("%s:%d: %s has the problems %v; said to be wrong: %t", s.page.path, b.line, b.file, problems, b.wrong)
		}
	}
	s.pending = nil
}

// problemsOf loads a file as what its name says it is.
func problemsOf(file string, b block) error {
	switch base := path.Base(b.file); {
	case base == "sluice.yaml":
		_, problems := config.Load(file)
		return problems.Err()
	case strings.HasSuffix(base, "_test.yaml"):
		var tests suite.Suite
		at, problems := config.Decode(file, []byte(b.text), &tests)
		return append(problems, at.Place("", tests.Check(suite.Options{}))...).Err()
	default:
		_, problems := config.ReadRules([]string{file}, config.RulesOptions{Analyzer: config.Presidio})
		return problems.Err()
	}
}

var (
	certLine = regexp.MustCompile(`\b(cert|key|ca|client_ca):\s*([\w./-]+)`)
	envName  = regexp.MustCompile(`\$\{(\w+)\}`)
	fileName = regexp.MustCompile(`\b(?:file:|dictionary: )([\w./-]+)`)
	wordFile = regexp.MustCompile(`\bdictionary:\s*([\w./-]+)`)
)

// aSecret is one that can be a key.
const aSecret = "YS1zZWNyZXQtb2YtdGhpcnR5LXR3by1ieXRlcy1ub3c="

// neighbours makes what a configuration needs beside it: certificates, secrets,
// lists of words.
func (s *session) neighbours(t *testing.T, b block) {
	t.Helper()
	cert, key := certificate(t)
	for _, m := range certLine.FindAllStringSubmatch(b.text, -1) {
		text := cert
		if m[1] == "key" {
			text = key
		}
		s.provide(t, path.Join(path.Dir(b.file), m[2]), text)
	}
	for _, m := range envName.FindAllStringSubmatch(b.text, -1) {
		t.Setenv(m[1], aSecret)
	}
	for _, m := range wordFile.FindAllStringSubmatch(b.text, -1) {
		s.provide(t, path.Join(path.Dir(b.file), m[1]), "a word\n")
	}
	for _, m := range fileName.FindAllStringSubmatch(b.text, -1) {
		s.provide(t, path.Join(path.Dir(b.file), m[1]), aSecret)
	}
}

// certificate makes one that signs itself, as PEM, and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	signed, err := x509.CreateCertificate(rand.Reader, about, about, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

func TestFilesOfAPageAreLoaded(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"a policy":         {"policy.yaml", "roles:\n  a: [ { models: [\"*\"], verbs: [infer] } ]\n", ""},
		"a verb mistyped":  {"policy.yaml", "roles:\n  a: [ { models: [\"*\"], verbs: [infr] } ]\n", "unknown verb"},
		"an unknown key":   {"team/policy.yaml", "rolls: {}\n", "unknown key"},
		"a configuration":  {"sluice.yaml", "server: { grpc: \":8001\" }\n", "identity"},
		"a suite":          {"tests/a_test.yaml", "tests: []\n", "no tests"},
		"not YAML":         {"policy.yaml", "roles: [\n", "policy.yaml"},
		"a guard mistyped": {"policy.yaml", "guards: [ { name: g, verbs: [infr], deny: no } ]\n", "unknown verb"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &session{page: &page{path: "page.md"}, dir: t.TempDir()}
			b := block{file: c.file, text: c.text}
			s.store(t, b)
			err := problemsOf(filepath.Join(s.dir, b.file), b)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
