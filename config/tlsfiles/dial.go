package tlsfiles

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"time"
)

// connectTimeout bounds connecting and shaking hands together.
const connectTimeout = 10 * time.Second

// Dial is [Client] for servers that speak HTTP/1.1: it returns a function for
// http.Transport.DialTLSContext, which connects and shakes hands with what the
// files hold by then.
func Dial(files ClientFiles, logger *slog.Logger) (func(ctx context.Context, network, address string) (net.Conn, error), error) {
	w, err := watch(logger, files.parse, files.CA, files.Cert, files.Key)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		config := w.get(ctx).Clone()
		config.NextProtos = []string{"http/1.1"}
		if config.ServerName = files.ServerName; config.ServerName == "" {
			host, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			config.ServerName = host
		}
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		raw, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		conn := tls.Client(raw, config)
		if err := conn.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, raw.Close())
		}
		return conn, nil
	}, nil
}
