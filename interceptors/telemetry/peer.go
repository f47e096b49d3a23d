package telemetry

import (
	"net"
	"net/netip"
	"strings"
)

// Proxies are networks whose x-forwarded-for header is believed. A nil one
// believes nobody.
type Proxies []netip.Prefix

// Client is the caller's address: the peer's own, unless the peer is a trusted
// proxy; then the last address of x-forwarded-for that is not one itself, since
// what stands before it is only what that caller claims. The zero Addr where
// there is none (an in-memory connection).
func (p Proxies) Client(peer net.Addr, forwardedFor []string) netip.Addr {
	addr := hostOf(peer)
	if !p.trusts(addr) {
		return addr
	}
	hops := strings.Split(strings.Join(forwardedFor, ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil || hop.Zone() != "" { // a zone is any text, and means nothing here
			break
		}
		addr = hop.Unmap()
		if !p.trusts(addr) {
			break
		}
	}
	return addr
}

func (p Proxies) trusts(addr netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

func hostOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(interface{ AddrPort() netip.AddrPort }); ok { // net's own, or one of a connection that is known
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
