package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"
)

// CheckPair tells what is wrong with a certificate and its key: unreadable, not
// PEM, not belonging together, expired.
func CheckPair(cert, key string) error {
	certPEM, err := readFile(cert)
	if err != nil {
		return err
	}
	keyPEM, err := readFile(key)
	if err != nil {
		return err
	}
	_, err = parsePair(cert, certPEM, keyPEM)
	return err
}

// CheckCA tells what is wrong with a file of authorities.
func CheckCA(path string) error {
	_, err := Pool(path)
	return err
}

// Pool reads a file of authorities.
func Pool(path string) (*x509.CertPool, error) {
	content, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parseCA(path, content)
}

// parsePair refuses an expired certificate: one that still works is better,
// and where there is none an error at the start beats one at each client. One
// that is not valid yet is only a matter of the clock.
func parsePair(path string, certPEM, keyPEM []byte) (tls.Certificate, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate %s and its key: %w", path, err)
	}
	if end := pair.Leaf.NotAfter; time.Now().After(end) {
		return tls.Certificate{}, fmt.Errorf("certificate %s expired on %s", path, end.UTC().Format(time.RFC3339))
	}
	return pair, nil
}

func parseCA(path string, content []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return pool, nil
}
