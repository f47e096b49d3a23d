package approval

// Summary is what an approver is shown of what he agrees to. What is long is
// cut; the digest covers it all the same, and sizes and hashes tell what was cut.
type Summary struct {
	// Bytes is how long the whole message is.
	Bytes int `json:"bytes"`
	// Parameters are the request's own, those of a load without its files.
	Parameters []ShownParameter `json:"parameters,omitempty"`
	// Files are the "file:" overrides of a load.
	Files []ShownFile `json:"files,omitempty"`
	// Inputs are an infer's tensors, Outputs the names of those it asks for.
	Inputs  []ShownTensor `json:"inputs,omitempty"`
	Outputs []string `json:"outputs,omitempty"`
	// More is how many parameters, files, inputs and outputs are left out.
	More int `json:"more,omitempty"`
}

// ShownParameter is a parameter: its name, its type ("string", "int64" …) and its value
// as text, masked.
type ShownParameter struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Value string `json:"value"`
}

// ShownFile is a file that a load brings along.
type ShownFile struct {
	Name   string `json:"name"`
	Size   int    `json:"size"`
	SHA256 string `json:"sha256"`
}

// ShownTensor is an input of an infer. Text is the beginning of a BYTES input, masked;
// SHA256 is of its data as sent.
type ShownTensor struct {
	Name     string  `json:"name"`
	Datatype string  `json:"datatype"`
	Shape    []int64 `json:"shape"`
	Bytes    int     `json:"bytes"`
	SHA256   string  `json:"sha256,omitempty"`
	Text     string  `json:"text,omitempty"`
}
