package approval

// Summary is what an approver is shown of what he agrees to. What is long is
// cut; the digest covers it all the same, and sizes and hashes tell what was cut.
type Summary struct {
	// Bytes is how long the whole message is.
	Bytes int    `json:"bytes"`
	Parts []Part `json:"parts,omitempty"`
	// More is how many parts are left out.
	More int `json:"more,omitempty"`
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
