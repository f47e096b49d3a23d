package tlsfiles

import (
	"crypto/tls"
	"log/slog"
)

// ServerFiles are a listener's files and settings.
type ServerFiles struct {
	// Cert and Key are the pair that is shown to clients.
	Cert, Key string
	// ClientCA, if not empty, has the authorities one of which must have signed
	// each client's certificate.
	ClientCA string
	// MinVersion is at least tls.VersionTLS12, which 0 means too.
	MinVersion uint16
	// Protocols are offered by ALPN; none means "h2" alone, as gRPC needs.
	Protocols []string
}

// Server reads the files and returns a configuration for a listener that
// follows them. The error says which file is wrong and how; logger hears of
// later ones.
func Server(files ServerFiles, logger *slog.Logger) (*tls.Config, error) {
	if len(files.Protocols) == 0 {
		files.Protocols = []string{"h2"}
	}
	files.MinVersion = max(files.MinVersion, tls.VersionTLS12)
	w, err := watch(logger, files.parse, files.Cert, files.Key, files.ClientCA)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: files.MinVersion,
		NextProtos: files.Protocols,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			return w.get(hello.Context()), nil
		},
	}, nil
}

func (f ServerFiles) parse(contents [][]byte) (*tls.Config, error) {
	pair, err := parsePair(f.Cert, contents[0], contents[1])
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		MinVersion:   f.MinVersion,
		NextProtos:   f.Protocols,
		Certificates: []tls.Certificate{pair},
	}
	if f.ClientCA == "" {
		return config, nil
	}
	if config.ClientCAs, err = parseCA(f.ClientCA, contents[2]); err != nil {
		return nil, err
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	// A resumed session would stand on an authority that may be gone by now.
	config.SessionTicketsDisabled = true
	return config, nil
}
