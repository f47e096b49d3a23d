package config

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Off is what a listener is set to that Sluice shall not open.
const Off = "off"

type listener struct {
	path, host string
	port       uint64
}

// parseListener splits an address of this machine. The host may be empty, for
// every address.
func parseListener(address string) (host string, port uint64, err error) {
	if strings.Contains(address, "://") {
		return "", 0, errors.New(`must be host:port, :port or off, not a URL`)
	}
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, errors.New(`must be host:port, :port or off, as in "127.0.0.1:8001"`)
	}
	if port, err = strconv.ParseUint(text, 10, 16); err != nil {
		return "", 0, errors.New("must have a port from 0 (any free one) to 65535")
	}
	return host, port, nil
}

// loopback tells whether only this machine can reach host. A name other than
// localhost may resolve to anything.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

func everywhere(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.IsUnspecified()
}

// clashes tells whether a and b cannot both be opened.
func (a listener) clashes(b listener) bool {
	if a.port != b.port || a.port == 0 {
		return false
	}
	same := a.host == b.host || a.host == "localhost" && loopback(b.host) || b.host == "localhost" && loopback(a.host)
	return same || everywhere(a.host) || everywhere(b.host)
}
