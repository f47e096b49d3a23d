package guard

import "strings"

// metadataVariable is the name of the list of metadata's keys.
const metadataVariable = "metadata"

// named is what a condition names of the metadata of a call: keys, or all where it
// goes over them.
type named struct {
	keys []string
	all  bool
}

// passing are keys of which no approval is: they differ with each repeat of a call, are
// what it is approved with, or are its credentials, which nobody is to be shown.
var passing = map[string]bool{
	"authorization": true, "proxy-authorization": true, "cookie": true,
	"sluice-reason": true, "sluice-ticket": true,
	"traceparent": true, "tracestate": true, "baggage": true, "b3": true,
	"request-id": true, "x-request-id": true, "x-correlation-id": true,
	"user-agent": true, "content-type": true, "content-length": true, "te": true, "accept-encoding": true, "date": true,
}

// passes tells whether a key is left out of what is approved: one of passing, or of a
// family of such.
func passes(key string) bool {
	if passing[key] {
		return true
	}
	for _, prefix := range []string{":", "grpc-", "x-b3-", "x-forwarded-"} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// of is what the condition names of a call's metadata; nil where it names nothing.
func (n *named) of(metadata map[string][]string) map[string][]string {
	if len(n.keys) == 0 && !n.all {
		return nil
	}
	found := make(map[string][]string)
	for _, key := range n.keys {
		if !passes(key) {
			found[key] = metadata[key]
		}
	}
	if n.all {
		for key, values := range metadata {
			if !passes(key) {
				found[key] = values
			}
		}
	}
	return found
}
