package audittest

import (
	"errors"
	"slices"
	"testing"

	"github.com/sluice-gateway/sluice/audit"
)

// damage has places of a log that can't be read: every search goes on behind them, and
// says of each that could hold what is asked for which records it has, once and in its
// place.
func damage(t *testing.T, l audit.Log, harm func(t *testing.T, l audit.Log, seq uint64) (first, last uint64)) {
	if harm == nil {
		t.Skip("nothing of it can be damaged")
	}
	all := Infers(Replica, 0, 5000)
	for at := 0; at < len(all); at += 1000 {
		appendTo(t, l, audit.Batch{Replica: Replica, Entries: all[at : at+1000], Sync: true})
	}
	lost := make([]bool, len(all))
	for _, seq := range []uint64{0, 2500, 3600, uint64(len(all) - 1)} {
		first, last := harm(t, l, seq)
		for i := first; i <= last; i++ {
			lost[i] = true
		}
	}
	for name, q := range map[string]audit.Query{
		"all": {}, "principal": {Principal: all[7].Record.Subject}, "model": {Model: "model-3"}, "call": {Call: all[2500].Record.Call},
		"another call": {Call: all[1500].Record.Call}, "verb": {Verb: "load"}, "time": {Since: all[2000].Record.Time, Until: all[3000].Record.Time},
		"replica": {Replica: Replica}, "status": {Status: new(uint32)},
	} {
		for _, oldest := range []bool{true, false} {
			q.Oldest = oldest
			damaged(t, name, l, q, all, lost)
		}
	}
	counted(t, l, all, lost)
}

// damaged compares what a search gives and tells of with what is there and is lost.
func damaged(t *testing.T, name string, l audit.Log, q audit.Query, all []audit.Entry, lost []bool) {
	t.Helper()
	told := make([]bool, len(all))
	given, before := 0, -1
	for f, err := range l.Search(t.Context(), q) {
		d := (*audit.DamagedError)(nil)
		place := int(f.Place)
		if errors.As(err, &d) {
			for i := d.First; i <= d.Last; i++ {
				if !lost[i] || told[i] {
					t.Fatalf("%s: record %d is told of as damaged: it is not, or twice", name, i)
				}
				told[i] = true
			}
			place = int(d.First)
		} else if err != nil {
			t.Fatalf("%s: %v", name, err)
		} else if given++; lost[place] || !q.Matches(all[place].Record) {
			t.Fatalf("%s: record %d is given", name, place)
		}
		if before >= 0 && (place > before) != q.Oldest {
			t.Fatalf("%s: %d comes after %d", name, place, before)
		}
		before = place
	}
	want := 0
	for i := range all {
		switch matches := q.Matches(all[i].Record); {
		case matches && !lost[i]:
			want++
		case matches && !told[i]:
			t.Errorf("%s (oldest %v): nobody says that record %d is damaged", name, q.Oldest, i)
		}
	}
	if given != want {
		t.Errorf("%s (oldest %v): got %d records, want %d", name, q.Oldest, given, want)
	}
}

// counted asks a log, the first and last of whose records can't be read, how much there
// is, and for single records.
func counted(t *testing.T, l audit.Log, all []audit.Entry, lost []bool) {
	t.Helper()
	oldest, newest := slices.Index(lost, false), len(lost)-1
	for lost[newest] {
		newest--
	}
	if c, ok := l.(audit.Counter); ok {
		s, err := c.Stats(t.Context())
		if err != nil || s.Records != uint64(len(all)) || !s.Oldest.Equal(all[oldest].Record.Time) || !s.Newest.Equal(all[newest].Record.Time) {
			t.Errorf("stats are %+v, %v", s, err)
		}
	}
	for _, i := range []int{oldest, newest} {
		if e, err := l.Get(t.Context(), Replica, uint64(i)); err != nil || e.Place != uint64(i) {
			t.Errorf("record %d: %v", i, err)
		}
	}
	d := (*audit.DamagedError)(nil)
	if _, err := l.Get(t.Context(), Replica, 2500); !errors.As(err, &d) || d.First > 2500 || d.Last < 2500 {
		t.Errorf("a damaged record: %v", err)
	}
	appendTo(t, l, audit.Batch{Replica: Replica, Entries: Infers(Replica, len(all), len(all)+10)})
	if e, err := l.Get(t.Context(), Replica, uint64(len(all)+5)); err != nil || e.Place != uint64(len(all)+5) {
		t.Errorf("it does not go on: %v", err)
	}
}
