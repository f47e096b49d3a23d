package audit

import (
	"net/netip"
	"time"
)

// strangers counts refusals of callers that are not known, so that they can't fill
// the disk, and those of somebody known who would take others' room in the queue. Its
// owner holds a lock.
type strangers struct {
	began time.Time
	seen  map[visitor]*visits
	rest  map[Verdict]*visits // of addresses that there is no place for
}

// visitor is an address and what becomes of its calls: probes that are answered take
// nothing from the refusals beside them, and are not counted as such.
type visitor struct {
	from    netip.Prefix
	who     person // of those who are known, who have no from
	verdict Verdict
}

// person is a principal; the zero one is nobody.
type person struct{ issuer, subject string }

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
	told := r.strangers.tell(visitor{from: prefixOf(record.Peer), verdict: record.Verdict}, r.o.Config.Strangers, r.now(), 2*(len(r.queue)+r.flying) < r.o.Config.Queue)
	r.mu.Unlock()
	if told {
		r.Record(record, nil)
	}
}

func (s *strangers) tell(who visitor, each int, now time.Time, room bool) bool {
	if s.seen == nil {
		s.seen, s.rest, s.began = make(map[visitor]*visits), make(map[Verdict]*visits), now
	}
	most := maxAddresses
	if who.who != (person{}) {
		most *= 2 // strangers don't hide them
	}
	v := s.seen[who]
	switch {
	case v == nil && len(s.seen) >= most:
		if v = s.rest[who.verdict]; v == nil { // of which there are few
			v = new(visits)
			s.rest[who.verdict] = v
		}
		each = 0
	case v == nil:
		v = new(visits)
		s.seen[who] = v
	}
	if v.n++; v.n <= uint64(each) && room {
		return true
	}
	v.untold++
	return false
}

// refusals is how many records of the queue are of something that was refused, by
// whose it was. Refusing is quick, and takes no room that is asked for before: without
// a share, one caller's would have others' calls refused, or their records lost.
type refusals map[person]int

// refusal tells whose call it was that came to nothing; nobody's where it may have
// done something, where somebody waits for the record, or nobody is known.
func (i *item) refusal() person {
	r := i.record
	if i.done != nil || r.Kind == KindStrangers || r.Verdict == Allowed || r.Verdict == 0 || r.Backend != "" || r.Answers > 0 {
		return person{}
	}
	return person{r.Issuer, r.Subject}
}

// crowds tells whether who has more in the queue than there is room left, which one
// caller alone has with half of it.
func (f refusals) crowds(who person, left int) bool {
	return who != (person{}) && f[who] > max(left, 0)
}

func (f refusals) add(who person, n int) {
	if who == (person{}) {
		return
	}
	if f[who] += n; f[who] <= 0 {
		delete(f, who)
	}
}

func prefixOf(peer netip.Addr) netip.Prefix {
	bits := peer.BitLen()
	if peer.Is6() {
		bits = network
	}
	p, _ := peer.WithZone("").Prefix(bits)
	return p
}

// flush gives records of what was only counted, when the window is over or nobody
// will come any more. A clock that was put back begins another.
func (s *strangers) flush(now time.Time, last bool, put func(*Record)) {
	if s.seen == nil || !last && now.Sub(s.began) < window && !now.Before(s.began) {
		return
	}
	took := max(now.Sub(s.began), 0)
	for who, v := range s.seen {
		if v.untold > 0 {
			put(&Record{Kind: KindStrangers, Time: s.began, Duration: took, Verdict: who.verdict, Peer: who.from.Addr(), Issuer: who.who.issuer, Subject: who.who.subject, Count: v.untold})
		}
	}
	for verdict, v := range s.rest {
		put(&Record{Kind: KindStrangers, Time: s.began, Duration: took, Verdict: verdict, Count: v.untold, Detail: "of many addresses"})
	}
	*s = strangers{}
}
