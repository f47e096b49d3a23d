package wire

import (
	"bytes"
	"hash/maphash"
	"math"
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
// of entries' places, of 7 bytes an entry when full, under a seed of its own, so
// that neither many keys nor well-chosen ones cost much more than their message.
type keyTable struct {
	in    node
	num   protowire.Number
	seed  maphash.Seed
	slots []uint32 // where the entry's tag is, + 1; 0 is free
	used  int
	most  int // entries that there are
}

func newKeyTable(in node, num protowire.Number, entries int) *keyTable {
	return &keyTable{
		in: in, num: num, seed: maphash.MakeSeed(), most: entries,
		slots: make([]uint32, slotsFor(min(entries, 4*fewKeys))),
	}
}

// slotsFor is how many slots n keys need: so many that probes are few.
func slotsFor(n int) int { return n*7/4 + 1 }

// fill enters all entries of the map, a later one replacing an earlier one of
// the same key, and tells whether any did; with stop it ends there.
func (t *keyTable) fill(stop bool) (repeated bool) {
	it := t.in.fields()
	for r := (record{}); it.next(&r); {
		if r.num != t.num || r.typ != protowire.BytesType {
			continue
		}
		key := t.key(r.start)
		slot := t.slot(key)
		if *slot != 0 {
			if repeated = true; stop {
				return true
			}
		} else if t.used++; slotsFor(t.used) > len(t.slots) {
			t.grow()
			slot = t.slot(key)
		}
		*slot = uint32(r.start) + 1
	}
	return repeated
}

// grow makes room for twice as many keys, at most for as many as there are entries.
func (t *keyTable) grow() {
	old := t.slots
	t.slots = make([]uint32, slotsFor(min(t.most, 2*t.used)))
	for _, at := range old {
		if at != 0 {
			*t.slot(t.key(int(at - 1))) = at
		}
	}
}

// isLast tells whether the entry at r is its key's last.
func (t *keyTable) isLast(r *record) bool {
	return *t.slot(t.key(r.start)) == uint32(r.start)+1
}

// slot finds the key's slot: the one that holds an entry of it, or a free one.
func (t *keyTable) slot(key []byte) *uint32 {
	hi, _ := bits.Mul64(maphash.Bytes(t.seed, key), uint64(len(t.slots)))
	for i := int(hi); ; i++ {
		if i == len(t.slots) {
			i = 0
		}
		s := &t.slots[i]
		if *s == 0 || bytes.Equal(key, t.key(int(*s-1))) {
			return s
		}
	}
}

// key reads the key of the entry whose tag is at off: the last one in it, or
// the empty one. It is a copy only where it straddles buffers.
func (t *keyTable) key(off int) (key []byte) {
	c := t.in.m.cursorAt(off)
	_, _ = c.varint() // the tag
	n, _ := c.length(t.in.m.size)
	for end := c.offset() + n; c.offset() < end; {
		num, typ, f := c.tag(end, math.MaxInt32)
		if num == fieldKey && typ == protowire.BytesType {
			n, _ := c.length(end)
			key = c.take(n)
		} else if f != sound || c.value(num, typ, end) != sound {
			break // not after a scan
		}
	}
	return key
}

// take returns the next n bytes and moves past them.
func (c *cursor) take(n int) []byte {
	b := c.chunk(n)
	if len(b) == n {
		return b
	}
	b = append(make([]byte, 0, n), b...)
	for len(b) < n {
		b = append(b, c.chunk(n-len(b))...)
	}
	return b
}

// entryKey finds a map entry's key: its last one, or the empty one.
func (m *Message) entryKey(entry span) span {
	key, _ := node{m: m, at: entry}.last(fieldKey)
	return key
}
