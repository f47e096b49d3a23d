package record

import (
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/wire"
)

// The outputs in which Triton's language models say how many tokens they have read,
// in each answer anew, and how many this answer has, for each of its sequences.
const (
	tokensIn  = "num_input_tokens"
	tokensOut = "num_output_tokens"
)

// maxCounts bounds how many sequences of one answer are counted.
const maxCounts = 1024

// tells tells whether tensors hold counts of tokens.
func tells(outputs []audit.Tensor) bool {
	for i := range outputs {
		if name := outputs[i].Name; name == tokensIn || name == tokensOut {
			return true
		}
	}
	return false
}

// count adds the counts of tokens in an answer whose outputs are the record's. Only
// raw contents are read, as servers send them.
func count(record *audit.Record, view wire.InferResponse) {
	if !tells(record.Outputs) {
		return
	}
	i := 0
	for raw := range view.Raw() {
		if i == len(record.Outputs) {
			return
		}
		of := record.Outputs[i]
		i++
		if of.Name != tokensIn && of.Name != tokensOut {
			continue
		}
		first, sum := sums(wire.ParseDatatype(of.Datatype), raw)
		if of.Name == tokensIn {
			record.TokensIn = max(record.TokensIn, first)
		} else {
			record.TokensOut += sum
		}
	}
}

// sums reads the first of some numbers, and their sum; what can't be one is 0.
func sums(d wire.Datatype, raw wire.Span) (first, sum int64) {
	size := d.Size()
	if !d.IsInteger() || raw.Len() > maxCounts*size {
		return 0, 0
	}
	b := raw.Bytes()
	for i := 0; i+size <= len(b); i += size {
		n := d.Integer(b[i:])
		if n < 0 || n > maxTokens {
			return 0, 0
		}
		if i == 0 {
			first = n
		}
		sum += n
	}
	return first, sum
}

// maxTokens is more than any answer has: a server's nonsense is not added up.
const maxTokens = 1 << 40
