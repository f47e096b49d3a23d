package session

import (
	"net"
	"net/netip"
	"sync"

	"github.com/sluice-gateway/sluice/session"
)

// Listener wraps a door's listener, so that the calls of one connection are known
// as such: its address, which goes with each call, says which it is.
func (g *Gate) Listener(l net.Listener) net.Listener {
	return &listener{Listener: l, registry: g.Registry}
}

type listener struct {
	net.Listener
	registry *session.Registry
}

// Accept waits for the next connection.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	conn := l.registry.Connect()
	return &connection{Conn: c, address: &address{Addr: c.RemoteAddr(), conn: conn}}, nil
}

// connection is one that the registry knows until it is closed.
type connection struct {
	net.Conn
	address *address
	closing sync.Once
}

// RemoteAddr is the peer's address, of this connection.
func (c *connection) RemoteAddr() net.Addr { return c.address }

// Close closes the connection.
func (c *connection) Close() error {
	c.closing.Do(c.address.conn.Close)
	return c.Conn.Close()
}

// address is a peer's address on one connection.
type address struct {
	net.Addr
	conn *session.Conn
}

// AddrPort is the address as a TCP address has it; the zero AddrPort for others.
func (a *address) AddrPort() netip.AddrPort {
	if tcp, ok := a.Addr.(interface{ AddrPort() netip.AddrPort }); ok {
		return tcp.AddrPort()
	}
	return netip.AddrPort{}
}
