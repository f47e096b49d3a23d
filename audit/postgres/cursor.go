package postgres

import (
	"encoding/base64"
	"encoding/binary"
	"math"

	"github.com/sluice-gateway/sluice/audit"
)

// A cursor says of each replica's log how far a search has come in it: so whatever
// is written or pruned meanwhile, in whatever log, nothing is skipped and nothing
// comes twice. Text: a letter for the direction, then pairs of numbers.

const (
	newestFirst = 'n'
	oldestFirst = 'o'
)

func cursorOf(direction byte, all []*walk) string {
	buf := make([]byte, 0, 8*len(all))
	for _, w := range all {
		if w.given == 0 {
			continue // the newest first: it is done; the oldest first: not begun
		}
		buf = binary.AppendUvarint(buf, uint64(w.id))
		buf = binary.AppendUvarint(buf, uint64(w.given))
	}
	return string(direction) + base64.RawURLEncoding.EncodeToString(buf)
}

// places reads a cursor: from which record on, by the number of the replica.
func readCursor(direction byte, cursor string) (map[int32]int64, error) {
	if cursor[0] != direction {
		return nil, audit.ErrCursor
	}
	buf, err := base64.RawURLEncoding.DecodeString(cursor[1:])
	if err != nil {
		return nil, audit.ErrCursor
	}
	at := make(map[int32]int64)
	for len(buf) > 0 {
		id, n := binary.Uvarint(buf)
		if n <= 0 || id > math.MaxInt32 {
			return nil, audit.ErrCursor
		}
		place, m := binary.Uvarint(buf[n:])
		if m <= 0 || place > math.MaxInt64/2 {
			return nil, audit.ErrCursor
		}
		at[int32(id)] = int64(place)
		buf = buf[n+m:]
	}
	return at, nil
}
