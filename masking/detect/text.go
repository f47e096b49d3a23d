package detect

import "bytes"

// lowerCase is folded text in lower case.
func lowerCase(b []byte) []byte { return bytes.ToLower(b) }
