package corpus

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// ip draws an address, with or without a network's length behind it.
func (s *source) ip(arg string) value {
	if arg == "v6" {
		return value{text: s.ipv6()}
	}
	v := value{text: fmt.Sprintf("%d.%d.%d.%d", pick(s.Rand, []int{10, 172, 192, s.between(11, 223)}), s.IntN(256), s.IntN(256), s.between(1, 254))}
	if s.IntN(15) == 0 {
		v.tail = "/" + pick(s.Rand, []string{"8", "16", "24", "32"})
	}
	return v
}

// ipv6 draws an address as RFC 5952 writes it, seldom in full or in capitals.
func (s *source) ipv6() string {
	var a [16]byte
	copy(a[:], pick(s.Rand, []string{"\x20\x01\x0d\xb8", "\x2a\x00\x14\x50", "\xfe\x80\x00\x00", "\x2a\x02\x08\x10", "\xfd\x00\x12\x34"}))
	for i := 4; i < 16; i++ {
		if i >= 12 || s.IntN(3) == 0 {
			a[i] = byte(s.IntN(256))
		}
	}
	addr := netip.AddrFrom16(a)
	switch s.IntN(8) {
	case 0:
		return addr.StringExpanded()
	case 1:
		return strings.ToUpper(addr.String())
	case 2:
		if s.held {
			return "::ffff:" + netip.AddrFrom4([4]byte{a[12] | 1, a[13], a[14], a[15]}).String()
		}
	}
	return addr.String()
}

// mac draws a hardware address.
func (s *source) mac(string) string {
	hex := s.some(12, hexLower)
	switch s.format([]string{":", ":", "-", "U", "*.", "*u-"}) {
	case ":":
		return grouped(hex, 2, ":")
	case "U":
		return grouped(strings.ToUpper(hex), 2, ":")
	case ".":
		return grouped(hex, 4, ".")
	case "u-":
		return grouped(strings.ToUpper(hex), 2, "-")
	}
	return grouped(hex, 2, "-")
}

// urlCredentials draws an URL with a name and a password in it: these, with the
// colon between them, are what is sensitive.
func (s *source) urlCredentials(scheme string) value {
	user := s.format([]string{"admin", "app", "root", strings.ToLower(s.word("first")), "svc_" + s.some(4, lower), "*ci-bot", "*"})
	password := s.format([]string{
		s.some(s.between(6, 20), alnum), "S3cret!" + s.some(4, digits), "p%40ss" + s.some(4, lower), "*" + s.some(8, alnum) + "$" + s.some(3, alnum), "*x",
	})
	if scheme == "" {
		scheme = s.format([]string{"postgres", "postgresql", "mysql", "mongodb+srv", "amqp", "https", "redis", "*ftp", "*jdbc:mariadb", "*http"})
	}
	behind := "@" + s.format([]string{"db.internal", "db-3:5432", "cache-1:6379", "git.example.com", "*localhost:27017"}) + "/" + s.some(5, lower)
	return value{before: scheme + "://", text: user + ":" + password, behind: behind}
}

// hexBytes draws n bytes as a dump shows them.
func (s *source) hexBytes(n int, separator string) string {
	return grouped(s.some(2*n, hexLower), 2, separator)
}

func itoa(n int) string { return strconv.Itoa(n) }
