package wire

import "google.golang.org/protobuf/encoding/protowire"

// Shallow checks that m is a sequence of whole protobuf fields, and looks into
// none of them. It tells a server that does not speak the protocol from one
// that does, where no rule reads the message; what reads it scans it. The error
// is a [*SyntaxError].
func (m *Message) Shallow() error {
	c := cursor{bufs: m.bufs}
	for c.offset() < m.size {
		num, typ, f := c.tag(m.size, uint64(protowire.MaxValidNumber))
		if f == sound {
			f = c.value(num, typ, m.size)
		}
		if f != sound {
			return &SyntaxError{Message: "message", Problem: faultTexts[f]}
		}
	}
	return nil
}
