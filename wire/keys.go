package wire

import (
	"hash/maphash"
	"math/bits"

	"google.golang.org/protobuf/encoding/protowire"
)

// keyList gathers a map's keys while a message is scanned: the first few
// themselves, then only their number.
type keyList struct {
	num protowire.Number // of the map field
	n   int
	few [fewKeys]span
}

func (l *keyList) add(num protowire.Number, key span) {
	if l.num = num; l.n < fewKeys {
		l.few[l.n] = key
	}
	l.n++
}

// repeated tells whether two keys of the message of type t at s are the same.
func (l *keyList) repeated(m *Message, t *table, s span) bool {
	if l.n > fewKeys {
		return newKeyTable(node{m: m, at: s}, l.num, l.n).fill(true)
	}
	for i := 1; i < l.n; i++ {
		for _, earlier := range l.few[:i] {
			if m.same(earlier, l.few[i]) {
				return true
			}
		}
	}
	return false
}

// keyTable finds, for each key of a map, its last entry. It is a hash table
// of entries' places, of 7 bytes an entry, under a seed of its own, so that
// neither many keys nor well-chosen ones cost much more than their message.
type keyTable struct {
	in    node
	num   protowire.Number
	seed  maphash.Seed
	slots []uint32 // where the entry's tag is, + 1; 0 is free
}

func newKeyTable(in node, num protowire.Number, entries int) *keyTable {
	return &keyTable{in: in, num: num, seed: maphash.MakeSeed(), slots: make([]uint32, entries*7/4+1)}
}

// fill enters all entries of the map, a later one replacing an earlier one of
// the same key, and tells whether any did; with stop it ends there.
func (t *keyTable) fill(stop bool) (repeated bool) {
	it := t.in.fields()
	for r := (record{}); it.next(&r); {
		if r.num != t.num || r.typ != protowire.BytesType {
			continue
		}
		slot := t.slot(t.in.m.entryKey(r.body))
		if *slot != 0 {
			if repeated = true; stop {
				return true
			}
		}
		*slot = uint32(r.start) + 1
	}
	return repeated
}

// isLast tells whether the entry at r is its key's last.
func (t *keyTable) isLast(r *record) bool {
	return *t.slot(t.in.m.entryKey(r.body)) == uint32(r.start)+1
}

// slot finds the key's slot: the one that holds an entry of it, or a free one.
func (t *keyTable) slot(key span) *uint32 {
	m := t.in.m
	hi, _ := bits.Mul64(m.hash(t.seed, key), uint64(len(t.slots)))
	for i := int(hi); ; i++ {
		if i == len(t.slots) {
			i = 0
		}
		s := &t.slots[i]
		if *s == 0 || m.same(key, m.entryKey(m.recordAt(int(*s-1)).body)) {
			return s
		}
	}
}

// hash is maphash.Bytes of a range.
func (m *Message) hash(seed maphash.Seed, s span) uint64 {
	c := m.cursorAt(int(s.off))
	n := s.len()
	first := c.chunk(n)
	if len(first) == n {
		return maphash.Bytes(seed, first)
	}
	var h maphash.Hash
	h.SetSeed(seed)
	for b := first; n > 0; b = c.chunk(n) {
		_, _ = h.Write(b) // never fails
		n -= len(b)
	}
	return h.Sum64()
}

// entryKey finds a map entry's key: its last one, or the empty one.
func (m *Message) entryKey(entry span) span {
	key, _ := node{m: m, at: entry}.last(fieldKey)
	return key
}
