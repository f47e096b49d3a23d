package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
)

// The example is loaded as it is, with a certificate beside it and the variable
// that it refers to.
func TestExampleLoads(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"sluice.yaml", "policy.yaml"} {
		text, err := os.ReadFile(filepath.Join("../examples/triton", name))
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, name), string(text))
	}
	writePair(t, dir)
	path := filepath.Join(dir, "sluice.yaml")
	_, problems := config.Load(path)
	expectProblems(t, problems, dir, []string{":21:19: backends[0].credential.bearer: environment variable TRITON_TOKEN is not set"})

	t.Setenv("TRITON_TOKEN", "hunter2")
	if _, problems = config.Load(path); len(problems) > 0 {
		t.Errorf("the example has problems:\n%s", problems)
	}
}

// writePair writes a certificate that signs itself as tls.crt and tls.key.
func writePair(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "tls.crt"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	put(t, filepath.Join(dir, "tls.key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}

func ExampleDecode() {
	var into struct {
		Name string        `yaml:"name"`
		Wait time.Duration `yaml:"wait"`
	}
	_, problems := config.Decode("job.yaml", []byte("nmae: a\nwait: 30\n"), &into)
	fmt.Println(problems)
	// Output:
	// job.yaml:1:1: nmae: unknown key (did you mean "name"?)
	// job.yaml:2:1: wait: must be a duration such as 30s, 1h30m or 90d
}
