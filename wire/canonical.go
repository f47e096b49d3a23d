package wire

import "google.golang.org/protobuf/encoding/protowire"

// canonical rewrites the scanned message m of type t so that every parser
// reads it as protobuf does: of a repeated singular field, of the members of a
// oneof and of the entries of a map's key only the last stays; a repeated
// sub-message becomes one; unknown fields stay, save in map entries, where
// protobuf drops them. What need not change is shared with m.
func canonical(m *Message, t *table) (*Message, error) { return rewritten(m, t, false) }

// known is canonical without unknown fields.
func known(m *Message, t *table) (*Message, error) { return rewritten(m, t, true) }

func rewritten(m *Message, t *table, known bool) (*Message, error) {
	b := newBuilder(m)
	e := editor{b: b, known: known}
	e.message(t, m.root())
	return b.message()
}

// editor writes a message canonically to b, or, without one, only counts how
// long that is: lengths stand before values. It keeps no tree of the message
// but reads it again at each level, of which there are four.
type editor struct {
	b     *builder
	size  int
	known bool // unknown fields are left out
}

func (e *editor) keep(start, end int) {
	if e.b == nil {
		e.size += end - start
		return
	}
	e.b.keep(start, end)
}

// survey is what must be known of a message's fields before the first of them
// can be written.
type survey struct {
	first, last [maxFields]int // where the field's first and last tags are
	count       [maxFields]int
	once        [16]int // where the last tag is that has this bit of field.once
	keys        *keyTable
}

func (e *editor) survey(t *table, n node) (sv survey) {
	mapped := protowire.Number(0)
	it := n.fields()
	for r := (record{}); it.next(&r); {
		fd := t.find(r.num, r.typ)
		if fd == nil {
			continue
		}
		if sv.count[r.num] == 0 {
			sv.first[r.num] = r.start
		}
		sv.count[r.num]++
		sv.last[r.num] = r.start
		sv.once[fd.once] = r.start
		if fd.kind == paramsMap {
			mapped = r.num
		}
	}
	if mapped != 0 && sv.count[mapped] > 1 {
		sv.keys = newKeyTable(n, mapped, sv.count[mapped])
		sv.keys.fill(false)
	}
	return sv
}

// message writes the fields of n, which is a message of type t.
func (e *editor) message(t *table, n node) {
	sv := e.survey(t, n)
	it := n.fields()
	for r := (record{}); it.next(&r); {
		fd := t.find(r.num, r.typ)
		if fd == nil {
			if !t.entry && !e.known {
				e.keep(r.start, int(r.body.end))
			}
			continue
		}
		switch fd.kind {
		case text, varint, fixed64:
			if sv.once[fd.once] == r.start {
				e.keep(r.start, int(r.body.end))
			}
		case submsg:
			e.merged(fd, n, &r, &sv)
		case paramsMap:
			if sv.keys == nil || sv.keys.isLast(&r) {
				e.sub(fd, node{m: n.m, at: r.body}, &r)
			}
		case submsgs:
			e.sub(fd, node{m: n.m, at: r.body}, &r)
		default:
			e.keep(r.start, int(r.body.end))
		}
	}
}

// merged writes all repeats of a singular sub-message in the place of the first.
func (e *editor) merged(fd *field, n node, r *record, sv *survey) {
	switch {
	case sv.count[r.num] == 1:
		e.sub(fd, node{m: n.m, at: r.body}, r)
	case sv.first[r.num] == r.start:
		e.sub(fd, n.sub(r.num), r)
	}
}

// sub writes a sub-message: as it stands if there is nothing to change in it.
func (e *editor) sub(fd *field, n node, r *record) {
	if n.part == 0 && n.clean(fd.sub, e.known) {
		e.keep(r.start, int(r.body.end))
		return
	}
	count := editor{known: e.known}
	count.message(fd.sub, n)
	if e.b == nil {
		e.size += protowire.SizeTag(r.num) + protowire.SizeBytes(count.size)
		return
	}
	e.b.tag(r.num, count.size)
	e.message(fd.sub, n)
}

// clean tells whether nothing in n, a message of type t, could be read in two
// ways, nor, where all is to be known, is anything in it unknown.
func (n node) clean(t *table, known bool) bool {
	if n.at.len() == 0 {
		return true
	}
	s := scanner{m: n.m, c: n.m.cursorAt(int(n.at.off)), impatient: true}
	return s.message(t, int(n.at.end), nil) == nil && !s.ambiguous && !(known && s.foreign)
}
