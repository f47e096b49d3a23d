package issuer

import (
	"maps"
	"slices"
)

// Audience is the "aud" of the tokens.
const Audience = "sluice"

// client is the client_id of people's tokens.
const client = "sluice-demo"

// CI is the service account: it is in no group, and policy grants it by
// subject.
const CI = "ci"

// groups are who is there and in which groups.
var groups = map[string][]string{
	"alice": {"model-admin", "auditors"},
	"bob":   {"model-viewer"},
	"carol": {"approvers"},
	"dana":  {"model-viewer", "pii-readers"},
	CI:      {},
}

// Names lists who can get a token, sorted.
func Names() []string { return slices.Sorted(maps.Keys(groups)) }
