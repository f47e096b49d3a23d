package tlsfiles

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"

	"google.golang.org/grpc/credentials"
)

// ClientFiles are the files and settings for connections to one server.
type ClientFiles struct {
	// CA has the authorities that may have signed the server's certificate;
	// empty means the system's.
	CA string
	// Cert and Key, if not empty, are the pair that is shown to the server.
	Cert, Key string
	// ServerName is what the server's certificate has to be for; empty means
	// the host that is dialled.
	ServerName string
	// Shown, if not nil, gives the pair that is shown to the server in the place of
	// Cert and Key, at each handshake that asks for one; nil where there is none.
	Shown func() (*tls.Certificate, error)
}

// Client reads the files and returns transport credentials that follow them:
// each new connection is made with what the files hold by then. The error says
// which file is wrong and how; logger hears of later ones.
func Client(files ClientFiles, logger *slog.Logger) (credentials.TransportCredentials, error) {
	w, err := watch(logger, files.parse, files.CA, files.Cert, files.Key)
	if err != nil {
		return nil, err
	}
	return &client{files: w, serverName: files.ServerName}, nil
}

func (f ClientFiles) parse(contents [][]byte) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	var err error
	if f.CA != "" {
		if config.RootCAs, err = parseCA(f.CA, contents[0]); err != nil {
			return nil, err
		}
	}
	if f.Cert != "" {
		pair, err := parsePair(f.Cert, contents[1], contents[2])
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if f.Shown != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := f.Shown()
			switch {
			case pair != nil || err != nil:
				return pair, err
			case len(config.Certificates) > 0:
				return &config.Certificates[0], nil
			}
			return new(tls.Certificate), nil // which shows none
		}
	}
	return config, nil
}

type client struct {
	files      *watched[*tls.Config]
	serverName string
}

var _ credentials.TransportCredentials = (*client)(nil)

// ClientHandshake shakes hands over conn with what the files hold now.
func (c *client) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if c.serverName != "" {
		authority = c.serverName // grpc's own verify the authority, whatever their configuration says
	}
	return credentials.NewTLS(c.files.get(ctx)).ClientHandshake(ctx, authority, conn)
}

// ServerHandshake is an error: these credentials are a client's.
func (c *client) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("credentials for a backend cannot be a server's")
}

// Info says what the connection is secured with.
func (c *client) Info() credentials.ProtocolInfo {
	return credentials.NewTLS(&tls.Config{ServerName: c.serverName, MinVersion: tls.VersionTLS12}).Info()
}

// Clone returns credentials that follow the same files.
func (c *client) Clone() credentials.TransportCredentials {
	return &client{files: c.files, serverName: c.serverName}
}

// OverrideServerName is part of grpc's interface; ServerName is the way to say
// it.
func (c *client) OverrideServerName(name string) error {
	c.serverName = name
	return nil
}
