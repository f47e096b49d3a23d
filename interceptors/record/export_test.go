package record

import (
	"testing"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/wire"
)

// LookAt looks at a request's tensors, again and again.
func LookAt(b *testing.B, request []byte) {
	var s signatures
	m := wire.FromBytes(request)
	defer m.Free()
	b.ReportAllocs()
	for b.Loop() {
		var r audit.Record
		s.request(&r, m)
		if len(r.Inputs) != 2 {
			b.Fatal(r)
		}
	}
}
