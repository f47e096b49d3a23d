package approval

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/access"
)

// Summary is what an approver is shown of what he agrees to. What is long is
// cut; the digest covers it all the same, and sizes and hashes tell what was cut.
type Summary struct {
	// Bytes is how long the whole message is.
	Bytes int    `json:"bytes"`
	Parts []Part `json:"parts,omitempty"`
	// More is how many parts are left out; where there are any, nobody is asked.
	More int `json:"more,omitempty"`
}

// metadata shows what a guard names of a call's metadata, without the values: they may
// be credentials.
func (s *Summary) metadata(all map[string][]string) {
	w := summary{Summary: *s}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		p := Part{Kind: PartParameter, Name: key, Type: "no metadata"}
		if values := strings.Join(all[key], ", "); len(all[key]) > 0 {
			p.Type, p.Bytes, p.SHA256 = "metadata", len(values), hashOf([]byte(values))
		}
		w.add(p)
	}
	*s = w.Summary
}

// check refuses what can't be shown whole: nobody agrees to what he can't see.
func (s *Summary) check(verb, model string) *access.Error {
	if s.More == 0 {
		if text, err := json.Marshal(s); err == nil && len(text) <= maxCovers {
			return nil
		}
	}
	return &access.Error{
		Kind: access.Malformed, Reason: access.ReasonMalformed,
		Message: fmt.Sprintf("%s needs approval, and has more parts than people can be shown: up to %d files, parameters and tensors, names of up to %d bytes, %d KiB in all; send less at a time",
			act(verb, model), maxParts, maxShown, maxCovers>>10),
	}
}

// PartKind is what sort of part of a request a [Part] is.
type PartKind string

// The kinds of parts.
const (
	PartParameter PartKind = "parameter"
	PartInput     PartKind = "input"
	PartOutput    PartKind = "output"
	// PartConfig and PartFile are what a load overrides.
	PartConfig PartKind = "config"
	PartFile   PartKind = "file"
	// PartUnknown are fields that the contract does not have.
	PartUnknown PartKind = "unknown_field"
)

// Part is one part of what is covered.
type Part struct {
	Kind PartKind `json:"kind"`
	Name string   `json:"name,omitempty"`
	// Type is a tensor's datatype or a parameter's type ("string", "int64" …).
	Type  string  `json:"type,omitempty"`
	Shape []int64 `json:"shape,omitempty"`
	// Bytes and SHA256 (hexadecimal) are of the value; Text is its beginning,
	// masked, and Cut tells that it goes on.
	Bytes  int    `json:"bytes,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	Text   string `json:"text,omitempty"`
	Cut    bool   `json:"cut,omitempty"`
}
