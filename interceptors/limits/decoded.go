package limits

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

const (
	// perByte is how much memory a control message takes once decoded, for each
	// byte on the wire, at worst: an entry of a map needs six bytes there, and
	// some 150 as a struct, its key and its place in a Go map.
	perByte = 32
	// copies is how often the bytes of a pushed file are in memory: put together,
	// decoded, and encoded for the server.
	copies = 3
	// perField bounds what each parameter of a load takes beside its bytes.
	perField = 256
)

// decoded estimates what decoding a control message takes beside the message:
// without it a few megabytes of empty map entries were worth a hundred of
// memory, before policy has been asked. A load may be large with reason, so it
// is measured by its fields.
func decoded(m *wire.Message, method string) int {
	if method == inference.GRPCInferenceService_RepositoryModelLoad_FullMethodName {
		return copies*m.Len() + perField*fields(m)
	}
	return perByte * m.Len()
}

// fields counts a message's fields. It stops where the message can't be read,
// which is refused when it is decoded.
func fields(m *wire.Message) (n int) {
	r := m.Buffers().Reader()
	defer func() { _ = r.Close() }()
	for r.Remaining() > 0 {
		tag, err := binary.ReadUvarint(r)
		if err != nil {
			return n
		}
		n++
		var skip uint64
		switch protowire.Type(tag & 7) {
		case protowire.VarintType:
			_, err = binary.ReadUvarint(r)
		case protowire.Fixed32Type:
			skip = 4
		case protowire.Fixed64Type:
			skip = 8
		case protowire.BytesType:
			skip, err = binary.ReadUvarint(r)
		}
		if err != nil || skip > uint64(r.Remaining()) {
			return n
		}
		if _, err := r.Discard(int(skip)); err != nil {
			return n
		}
	}
	return n
}
