package rest

import (
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc/metadata"
)

// ours are headers that mean something to HTTP, or to this hop, and are no
// metadata: what they say has been taken up, or is not for a backend.
var ours = map[string]bool{
	"accept": true, "accept-charset": true, "accept-encoding": true, "accept-language": true, "cache-control": true,
	"connection": true, "content-encoding": true, "content-length": true, "content-type": true, "date": true, "dnt": true,
	"expect": true, "forwarded": true, "host": true, "http2-settings": true, "if-match": true, "if-modified-since": true,
	"if-none-match": true, "if-range": true, "if-unmodified-since": true, "inference-header-content-length": true,
	"keep-alive": true, "origin": true, "pragma": true, "proxy-connection": true, "range": true, "referer": true,
	"te": true, "timeout": true, "trailer": true, "transfer-encoding": true, "upgrade": true, "upgrade-insecure-requests": true,
	"user-agent": true, "via": true, "warning": true, "x-http-method-override": true, "triton_grpc_error": true,
}

// hops begin the names that the gRPC stack or this hop alone may set.
var hops = []string{"grpc-", "grpcgateway-", ":", "sec-", "access-control-"}

// metadataOf makes metadata of a request's headers, under their own names in
// lower case: authorization, x-request-id, sluice-*, and whatever a backend's
// operator has clients send. No header becomes metadata of another name; what
// gRPC can't carry is left out.
func metadataOf(header http.Header) metadata.MD {
	md := make(metadata.MD, len(header))
	for name, values := range header {
		name = strings.ToLower(name)
		if ours[name] || strings.HasSuffix(name, "-bin") || !validName(name) ||
			slices.ContainsFunc(hops, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			continue
		}
		if name == "authorization" || !slices.ContainsFunc(values, unprintable) {
			md[name] = append(md[name], values...)
		}
	}
	return md
}

func validName(name string) bool {
	return !strings.ContainsFunc(name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.'
	})
}

func unprintable(value string) bool {
	return strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' })
}
