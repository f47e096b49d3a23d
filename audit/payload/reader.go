package payload

import (
	"context"
	"crypto/sha256"

	"github.com/sluice-gateway/sluice/audit"
)

// Reader opens what was kept. It is safe for concurrent use.
type Reader struct {
	days   *days
	box    *box
	store  audit.Payloads
	marker *Marker
}

// NewReader returns a reader of a store's payloads. marker may be nil: then nothing
// can be looked up.
func NewReader(store audit.Payloads, sealer Sealer, marker *Marker) (*Reader, error) {
	box, err := newBox()
	if err != nil {
		return nil, err
	}
	return &Reader{days: &days{sealer: sealer, store: store}, box: box, store: store, marker: marker}, nil
}

// Close ends the reader.
func (r *Reader) Close() { r.box.close() }

// Open reads what a record points to. It is [audit.ErrNotFound] where there is no
// payload, [ErrShredded] where its time is over, and [ErrSealed] where it is not
// what the record was written with.
func (r *Reader) Open(ctx context.Context, ref *audit.PayloadRef) (*Content, error) {
	if ref == nil || ref.ID == "" {
		return nil, audit.ErrNotFound
	}
	p, err := r.store.Payload(ctx, ref.ID)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(p.Body) != ref.Digest {
		return nil, ErrSealed
	}
	if p.Key == "" {
		return nil, audit.ErrNotFound // only hashes of what was masked are kept
	}
	key, err := r.days.key(ctx, p.Key)
	if err != nil {
		return nil, err
	}
	b, err := r.box.open(key, ref.ID, p.Body)
	if err != nil {
		return nil, err
	}
	return decodeContent(b)
}

// Words returns what [audit.Query.Words] asks for, to find the payloads in which
// all words of a text are. none tells that the text has no word that is kept.
// Payloads whose key does not open are not found; closed is how many such keys
// there are.
func (r *Reader) Words(ctx context.Context, text string) (hashes [][]uint64, closed int, err error) {
	keys, closed, err := r.days.all(ctx)
	if err != nil {
		return nil, 0, err
	}
	set := wordSet{}
	set.add(text)
	for w := range set {
		one := make([]uint64, 0, len(keys))
		for _, k := range keys {
			one = append(one, hash(k.words, w))
		}
		hashes = append(hashes, one)
	}
	return hashes, closed, nil
}

// LookUp returns what [audit.Query.Words] asks for, to find the records in which a
// value was masked; false without a key for look-ups.
func (r *Reader) LookUp(value string) ([][]uint64, bool) {
	if r.marker == nil {
		return nil, false
	}
	return [][]uint64{{r.marker.Mark(value)}}, true
}
