package audit

import (
	"net/netip"
	"time"
)

// strangers counts refusals of callers that are not known, so that they can't fill
// the disk. Its owner holds a lock.
type strangers struct {
	began time.Time
	seen  map[netip.Prefix]*visits
	rest  visits // of addresses that there is no place for
}

type visits struct{ n, untold uint64 }

const (
	// maxAddresses is how many addresses are told apart within a window.
	maxAddresses = 1000
	// window is for how long they are counted.
	window = time.Minute
	// network is what counts as one address of IPv6: who has one has all of it.
	network = 64
)

// Stranger takes the record of a refusal of somebody who is not known: it is
// written, or counted where there were too many from its address, or where the queue
// is so full that records of others would be in danger.
func (r *Recorder) Stranger(record *Record) {
	r.mu.Lock()
	told := r.strangers.tell(record.Peer, r.o.Config.Strangers, r.now(), 2*(len(r.queue)+r.flying) < r.o.Config.Queue)
	r.mu.Unlock()
	if told {
		r.Record(record, nil)
	}
}

func (s *strangers) tell(peer netip.Addr, each int, now time.Time, room bool) bool {
	if s.seen == nil {
		s.seen, s.began = make(map[netip.Prefix]*visits), now
	}
	key := prefixOf(peer)
	v := s.seen[key]
	switch {
	case v == nil && len(s.seen) >= maxAddresses:
		v = &s.rest
	case v == nil:
		v = new(visits)
		s.seen[key] = v
	}
	if v.n++; v != &s.rest && v.n <= uint64(each) && room {
		return true
	}
	v.untold++
	return false
}

func prefixOf(peer netip.Addr) netip.Prefix {
	bits := peer.BitLen()
	if peer.Is6() {
		bits = network
	}
	p, _ := peer.WithZone("").Prefix(bits)
	return p
}

// flush gives records of what was only counted, when the window is over. A clock
// that was put back begins another.
func (s *strangers) flush(now time.Time, put func(*Record)) {
	if s.seen == nil || now.Sub(s.began) < window && !now.Before(s.began) {
		return
	}
	took := max(now.Sub(s.began), 0)
	for p, v := range s.seen {
		if v.untold > 0 {
			put(&Record{Kind: KindStrangers, Time: s.began, Duration: took, Verdict: Denied, Peer: p.Addr(), Count: v.untold})
		}
	}
	if s.rest.untold > 0 {
		put(&Record{Kind: KindStrangers, Time: s.began, Duration: took, Verdict: Denied, Count: s.rest.untold, Detail: "of many addresses"})
	}
	*s = strangers{}
}
