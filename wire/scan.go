package wire

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// view is what a scan keeps of a message's top level: where each field's last
// value is and how many there were. Everything below is found again on demand,
// so that a message of many small fields costs no more memory than one of few.
type view struct {
	table     *table // what the message was scanned as; nil before
	err       *SyntaxError
	ambiguous bool
	foreign   bool // holds fields that the tables don't know
	last      [maxFields]span
	count     [maxFields]uint32
}

// scan reads m as t once; later calls return the first one's result.
func (m *Message) scan(t *table) (*view, *SyntaxError) {
	if m.view.table == t {
		return &m.view, m.view.err
	}
	m.view = view{table: t}
	if m.size > math.MaxInt32 {
		m.view.err = &SyntaxError{Message: t.name, Problem: faultTexts[tooLong]}
		return &m.view, m.view.err
	}
	m.index()
	s := scanner{m: m, c: cursor{bufs: m.bufs}}
	m.view.err = s.message(t, m.size, &m.view)
	m.view.ambiguous, m.view.foreign = s.ambiguous, s.foreign
	return &m.view, m.view.err
}

// fewKeys is up to how many map keys are compared with each other directly.
const fewKeys = 8

// scanner walks a message once and checks all of it that protobuf would check.
type scanner struct {
	m         *Message
	c         cursor
	ambiguous bool
	foreign   bool
	key       span // of the map entry scanned last
	impatient bool // end the scan where it becomes ambiguous
}

// message scans a message of type t up to end. Only the outermost has a view
// to fill.
func (s *scanner) message(t *table, end int, top *view) *SyntaxError {
	var seen uint16
	var keys keyList
	start := s.c.offset()
	for s.c.offset() < end {
		num, typ, f := s.c.tag(end, uint64(protowire.MaxValidNumber))
		if f != sound {
			return fail(t, f, s.c.offset())
		}
		fd := t.find(num, typ)
		if fd == nil {
			if f := s.c.value(num, typ, end); f != sound {
				return fail(t, f, s.c.offset())
			}
			s.foreign = true
			s.ambiguous = s.ambiguous || t.entry
			continue
		}
		s.ambiguous = s.ambiguous || seen&fd.once != 0
		seen |= fd.once
		body, err := s.field(t, fd, typ, end)
		if err != nil {
			return err.in(fd, top, num)
		}
		if fd.kind == paramsMap {
			keys.add(num, s.key)
		}
		if t.entry && num == fieldKey {
			s.key = body
		}
		if s.impatient && s.ambiguous {
			return nil
		}
		if top != nil {
			top.last[num] = body
			top.count[num]++
		}
	}
	s.ambiguous = s.ambiguous || keys.repeated(s.m, t, span{uint32(start), uint32(end)})
	return nil
}

// field scans one known field's value and returns where it lies.
func (s *scanner) field(t *table, fd *field, typ protowire.Type, end int) (span, *SyntaxError) {
	if typ != protowire.BytesType {
		start := s.c.offset()
		if f := s.c.value(0, typ, end); f != sound {
			return span{}, fail(t, f, s.c.offset())
		}
		return span{uint32(start), uint32(s.c.offset())}, nil
	}
	n, f := s.c.length(end)
	if f != sound {
		return span{}, fail(t, f, s.c.offset())
	}
	start := s.c.offset()
	body := span{uint32(start), uint32(start + n)}
	if fd.kind == paramsMap {
		s.key = span{} // an entry without a key has the empty one
	}
	if fd.sub != nil {
		return body, s.message(fd.sub, start+n, nil)
	}
	if f := s.c.content(fd.kind, n); f != sound {
		return body, fail(t, f, s.c.offset())
	}
	return body, nil
}

// content checks the n bytes of a bytes value of kind k, and moves past them.
func (c *cursor) content(k kind, n int) fault {
	switch k {
	case text:
		return c.utf8(n)
	case varints:
		return c.packed(n)
	case fixed32s:
		if n%4 != 0 {
			return truncated
		}
	case fixed64s:
		if n%8 != 0 {
			return truncated
		}
	}
	c.skip(n)
	return sound
}
