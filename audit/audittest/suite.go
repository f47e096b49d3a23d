package audittest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/audit"
)

// Replica is the log that the suite writes.
const Replica = "sluice/suite"

// Run tries a log by its contract. open opens an empty one; harm makes what is kept of
// a record unreadable, with those that are kept as one with it, and is nil for a log of
// which nothing can be. It gives the first of them and the last.
func Run(t *testing.T, open func(t *testing.T) audit.Log, harm func(t *testing.T, l audit.Log, seq uint64) (first, last uint64)) {
	for name, test := range map[string]func(t *testing.T, l audit.Log){
		"order": order, "queries": queries, "cursors": cursors, "repeats": repeats, "tree": tree,
		"pruning": pruning, "payloads": payloads, "marks": marks, "clocks that step": clocks,
		"damage": func(t *testing.T, l audit.Log) { damage(t, l, harm) },
	} {
		t.Run(name, func(t *testing.T) {
			l := open(t)
			defer func() {
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			}()
			test(t, l)
		})
	}
}

// sizes of batches: alone, few, more than any segment.
var sizes = []int{1, 2, 7, 300, 1, 1100, 40}

// fill writes records in batches of many sizes.
func fill(t *testing.T, l audit.Log) []audit.Entry {
	t.Helper()
	total := 0
	for _, n := range sizes {
		total += n
	}
	all := Infers(Replica, 0, total)
	at := 0
	for i, n := range sizes {
		appendTo(t, l, audit.Batch{Replica: Replica, Entries: all[at : at+n], Sync: i%2 == 0})
		at += n
	}
	return all
}

func appendTo(t *testing.T, l audit.Log, b audit.Batch) {
	t.Helper()
	if err := l.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// found collects the places that a query gives.
func found(t *testing.T, l audit.Log, q audit.Query) (seqs []uint64) {
	t.Helper()
	for f, err := range l.Search(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, f.Place)
	}
	return seqs
}

func order(t *testing.T, l audit.Log) {
	all := fill(t, l)
	next := 0
	for f, err := range l.Search(t.Context(), audit.Query{Oldest: true}) {
		if err != nil {
			t.Fatal(err)
		}
		want := all[next]
		if f.Place != uint64(next) || string(f.Bytes) != string(want.Bytes) || f.Leaf != want.Leaf || f.Record.Call != want.Record.Call {
			t.Fatalf("record %d is another: %+v", next, f.Record)
		}
		next++
	}
	if next != len(all) {
		t.Errorf("%d records, want %d", next, len(all))
	}
	newest := found(t, l, audit.Query{})
	slices.Reverse(newest)
	if !slices.Equal(newest, found(t, l, audit.Query{Oldest: true})) {
		t.Error("the newest first are not the oldest first the other way round")
	}
	for _, seq := range []uint64{0, 1, 511, 512, 1400, uint64(len(all) - 1)} {
		if e, err := l.Get(t.Context(), Replica, seq); err != nil || e.Record.Call != all[seq].Record.Call {
			t.Errorf("record %d: %v", seq, err)
		}
	}
	if _, err := l.Get(t.Context(), Replica, uint64(len(all))); !errors.Is(err, audit.ErrNotFound) {
		t.Errorf("a record that is not there: %v", err)
	}
	if c, ok := l.(audit.Counter); ok {
		s, err := c.Stats(t.Context())
		if err != nil || s.Records != uint64(len(all)) || s.Bytes == 0 || !s.Oldest.Equal(all[0].Record.Time) || !s.Newest.Equal(all[len(all)-1].Record.Time) {
			t.Errorf("stats are %+v, %v", s, err)
		}
	}
}

// queries compares each query with asking every record.
func queries(t *testing.T, l audit.Log) {
	all := fill(t, l)
	some, denied, ok := all[700].Record, uint32(7), uint32(0)
	at := some.Time
	for name, q := range map[string]audit.Query{
		"all": {}, "replica": {Replica: Replica}, "another replica": {Replica: "x"},
		"since": {Since: at}, "until": {Until: at}, "a second": {Since: at, Until: at.Add(time.Second)}, "long ago": {Until: Began},
		"principal": {Principal: some.PrincipalID()}, "subject": {Principal: some.Subject}, "nobody": {Principal: "x#y"},
		"another issuer's": {Principal: "https://evil#" + some.Subject}, "group": {Group: "team-7"}, "model": {Model: "model-3"}, "verb": {Verb: "load"},
		"denied": {Verdict: audit.Denied}, "allowed": {Verdict: audit.Allowed}, "rule": {Rule: "no role allows it"}, "session": {Session: some.Session},
		"call": {Call: some.Call}, "no call": {Call: "x"}, "approval": {Approval: "apr-1000"}, "approver": {Approver: "https://login.example.com#carol"},
		"entity": {Entity: "EMAIL"}, "status": {Status: &denied}, "status 0": {Status: &ok}, "kind": {Kinds: []audit.Kind{audit.KindCall}},
		"kinds": {Kinds: []audit.Kind{audit.KindAdmin, audit.KindGap}}, "guard": {Guard: "x"}, "object": {Object: "x"},
		"person and time":      {Principal: some.Subject, Since: at.Add(-time.Second), Until: at.Add(time.Second)},
		"person and model":     {Principal: some.Subject, Model: some.Model},
		"model, masked":        {Model: "model-3", Entity: "EMAIL"},
		"verb, verdict, group": {Verb: "infer", Verdict: audit.Denied, Group: "ml-users"},
		"a word":               {Words: [][]uint64{{1, 2}}},
	} {
		for _, oldest := range []bool{true, false} {
			q.Oldest = oldest
			var want []uint64
			for i := range all {
				if q.Matches(all[i].Record) && q.Words == nil {
					want = append(want, uint64(i))
				}
			}
			if !oldest {
				slices.Reverse(want)
			}
			if got := found(t, l, q); !slices.Equal(got, want) {
				t.Errorf("%s (oldest %v): got %d records, want %d: %v", name, oldest, len(got), len(want), got[:min(len(got), 5)])
			}
		}
	}
	if got := found(t, l, audit.Query{Limit: 7}); len(got) != 7 {
		t.Errorf("limited to 7 it gives %d", len(got))
	}
}

// cursors pages through while records come: none is skipped, none comes twice.
func cursors(t *testing.T, l audit.Log) {
	before := len(fill(t, l))
	all := Infers(Replica, 0, before+2000)
	for _, oldest := range []bool{true, false} {
		size := len(found(t, l, audit.Query{}))
		q := audit.Query{Oldest: oldest, Limit: 37}
		var seqs []uint64
		for {
			n := 0
			for f, err := range l.Search(t.Context(), q) {
				if err != nil {
					t.Fatal(err)
				}
				seqs, q.After = append(seqs, f.Place), f.Cursor
				n++
			}
			if n == 0 {
				break
			}
			if at := size + len(seqs)/3; len(seqs)%3 == 1 && at+9 < len(all) {
				size := len(found(t, l, audit.Query{}))
				appendTo(t, l, audit.Batch{Replica: Replica, Entries: all[size : size+9]})
			}
		}
		want := found(t, l, audit.Query{Oldest: oldest})
		if !oldest {
			want = want[len(want)-size:] // what has come since is newer
		}
		if !slices.Equal(seqs, want) {
			t.Errorf("oldest %v: paged through %d records, want %d", oldest, len(seqs), len(want))
		}
	}
	for _, after := range []string{"x", "-1", "1 OR 1", "99999999999999999999999"} {
		for _, err := range l.Search(t.Context(), audit.Query{After: after}) {
			if !errors.Is(err, audit.ErrCursor) {
				t.Errorf("cursor %q: %v", after, err)
			}
			break
		}
	}
}

// repeats appends again what is there.
func repeats(t *testing.T, l audit.Log) {
	all := Infers(Replica, 0, 1300)
	for _, part := range [][2]int{{0, 600}, {0, 600}, {550, 620}, {599, 600}, {610, 1300}, {0, 1300}} {
		appendTo(t, l, audit.Batch{Replica: Replica, Entries: all[part[0]:part[1]]})
	}
	if got := found(t, l, audit.Query{Oldest: true}); len(got) != 1300 {
		t.Errorf("%d records, want 1300", len(got))
	}
	other := Infers(Replica, 0, 1302)
	other[1299].Leaf[0]++
	for name, b := range map[string]audit.Batch{
		"a hole":              {Replica: Replica, Entries: other[1301:]},
		"another record":      {Replica: Replica, Entries: other[1299:1301]},
		"a batch with a hole": {Replica: Replica, Entries: []audit.Entry{other[1300], all[3]}},
	} {
		if err := l.Append(t.Context(), b); !errors.Is(err, audit.ErrOutOfOrder) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := found(t, l, audit.Query{Oldest: true}); len(got) != 1300 {
		t.Errorf("what was refused was written: %d records", len(got))
	}
}

func tree(t *testing.T, l audit.Log) {
	all := fill(t, l)
	for _, size := range []uint64{10, 1000, uint64(len(all))} {
		appendTo(t, l, audit.Batch{Replica: Replica, Checkpoint: &audit.Checkpoint{Replica: Replica, Size: size, Root: [32]byte{byte(size)}, Time: Began, Note: fmt.Appendf(nil, "note %d", size)}})
	}
	states, err := l.States(t.Context())
	if err != nil || len(states) != 1 || states[0].Size != uint64(len(all)) || states[0].First != 0 || string(states[0].Last.Note) != fmt.Sprintf("note %d", len(all)) {
		t.Errorf("states are %+v, %v", states, err)
	}
	for _, from := range []uint64{0, 5, 512, 1234, uint64(len(all))} {
		if got := leaves(t, l, from); len(got) != len(all)-int(from) || len(got) > 0 && got[0] != all[from].Leaf {
			t.Errorf("from %d on there are %d leaves", from, len(got))
		}
	}
	var notes []string
	for c, err := range l.Checkpoints(t.Context(), Replica, 11) {
		if err != nil {
			t.Fatal(err)
		}
		notes = append(notes, string(c.Note))
	}
	if !slices.Equal(notes, []string{"note 1000", fmt.Sprintf("note %d", len(all))}) {
		t.Errorf("checkpoints are %v", notes)
	}
}

func leaves(t *testing.T, l audit.Log, from uint64) (all [][32]byte) {
	t.Helper()
	for piece, err := range l.Leaves(t.Context(), Replica, from) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, piece...)
	}
	return all
}

func pruning(t *testing.T, l audit.Log) {
	p, ok := l.(audit.Pruner)
	if !ok {
		t.Skip("the log prunes nothing")
	}
	all := fill(t, l)
	before := leaves(t, l, 0)
	for _, cut := range []int{0, 700, 1300, len(all)} {
		limit := Began.Add(time.Hour)
		if cut < len(all) {
			limit = all[cut].Record.Time
		}
		to, err := p.Old(t.Context(), Replica, limit)
		if err != nil || to > uint64(cut) {
			t.Fatalf("up to %d are old, of %d: %v", to, cut, err)
		}
		if _, err := p.Prune(t.Context(), Replica, to); err != nil {
			t.Fatal(err)
		}
		states, err := l.States(t.Context())
		if err != nil || states[0].First > to || states[0].Size != uint64(len(all)) {
			t.Fatalf("after pruning to %d: %+v, %v", to, states, err)
		}
		got := found(t, l, audit.Query{Oldest: true})
		if len(got) != len(all)-int(states[0].First) || len(got) > 0 && got[0] != states[0].First {
			t.Errorf("%d records are left", len(got))
		}
		if got := found(t, l, audit.Query{Model: "model-3", Oldest: true}); len(got) > 0 && got[0] < states[0].First {
			t.Error("a pruned record is found")
		}
		if !reflect.DeepEqual(leaves(t, l, 0), before) {
			t.Error("a hash is gone")
		}
	}
	if got := found(t, l, audit.Query{}); len(got) != 0 {
		t.Errorf("%d old records are left", len(got))
	}
	appendTo(t, l, audit.Batch{Replica: Replica, Entries: Infers(Replica, 0, len(all)+3)[len(all):]})
	if got := found(t, l, audit.Query{}); len(got) != 3 {
		t.Errorf("it does not go on: %v", got)
	}
}

func payloads(t *testing.T, l audit.Log) {
	p, ok := l.(audit.Payloads)
	if !ok {
		t.Skip("the log keeps no payloads")
	}
	all := Infers(Replica, 0, 900)
	for i := 0; i < len(all); i += 10 {
		all[i].Payload = &audit.Payload{ID: fmt.Sprintf("p%d", i), Key: fmt.Sprintf("day%d", i%20), Body: []byte{byte(i)}, Words: []uint64{uint64(i % 30), 1 << 60}}
		all[i].Record.Payload = &audit.PayloadRef{ID: all[i].Payload.ID}
	}
	again := make([]*audit.Record, len(all))
	for i := range all {
		again[i] = all[i].Record
	}
	for i, e := range Entries(Replica, 0, again...) {
		e.Payload = all[i].Payload
		all[i] = e
	}
	appendTo(t, l, audit.Batch{Replica: Replica, Entries: all[:100]})
	appendTo(t, l, audit.Batch{Replica: Replica, Entries: all[100:]})
	got, err := p.Payload(t.Context(), "p870")
	if err != nil || !reflect.DeepEqual(got, *all[870].Payload) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := p.Payload(t.Context(), "x"); !errors.Is(err, audit.ErrNotFound) {
		t.Errorf("a payload that is not there: %v", err)
	}
	if got := found(t, l, audit.Query{Words: [][]uint64{{99, 10}, {1 << 60}}, Oldest: true}); len(got) != 30 || got[0] != 10 {
		t.Errorf("words are in %v", got)
	}
	if got := found(t, l, audit.Query{Words: [][]uint64{{}}}); len(got) != 0 {
		t.Errorf("a word without a hash is in %v", got)
	}
	if n, err := p.DropPayloads(t.Context(), "day0"); n != 45 || err != nil {
		t.Errorf("dropped %d, %v", n, err)
	}
	keys(t, p)
}

func keys(t *testing.T, p audit.Payloads) {
	t.Helper()
	k := audit.Key{ID: "2026-03-01", Sealed: []byte("sealed")}
	for range 2 {
		if err := p.PutKey(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.PutKey(t.Context(), audit.Key{ID: k.ID, Sealed: []byte("another")}); err == nil {
		t.Error("a key is replaced")
	}
	if all, err := p.Keys(t.Context()); err != nil || !reflect.DeepEqual(all, []audit.Key{k}) {
		t.Errorf("keys are %v, %v", all, err)
	}
	if err := p.DeleteKey(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	if all, err := p.Keys(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("keys are %v, %v", all, err)
	}
}

func marks(t *testing.T, l audit.Log) {
	m, ok := l.(audit.Marks)
	if !ok {
		t.Skip("the log keeps no marks")
	}
	for _, cursor := range []string{"", "7", "12"} {
		if cursor != "" {
			if err := m.SetMark(t.Context(), "sink", cursor); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := m.Mark(t.Context(), "sink"); got != cursor || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, cursor)
		}
	}
}

// clocks writes records whose times go back and forth, and asks by time.
func clocks(t *testing.T, l audit.Log) {
	rng := rand.New(rand.NewPCG(1, 2))
	records := make([]*audit.Record, 3000)
	for i := range records {
		r := Infer(i)
		r.Time = Began.Add(time.Duration(i) * time.Second)
		switch {
		case i > 1000 && i < 1400:
			r.Time = r.Time.Add(-20 * time.Minute) // the clock was put back
		case i%300 == 7:
			r.Time = r.Time.Add(-time.Duration(rng.IntN(3000)) * time.Second) // a stream that was open for long
		case i == 2000:
			r.Time = r.Time.Add(24 * time.Hour)
		}
		records[i] = r
	}
	all := Entries(Replica, 0, records...)
	for at := 0; at < len(all); at += 100 {
		appendTo(t, l, audit.Batch{Replica: Replica, Entries: all[at : at+100]})
	}
	for range 60 {
		since := Began.Add(time.Duration(rng.IntN(4000)-500) * time.Second)
		q := audit.Query{Since: since, Until: since.Add(time.Duration(rng.IntN(600)) * time.Second), Oldest: rng.IntN(2) == 0}
		if rng.IntN(2) == 0 {
			q.Model = "model-5"
		}
		var want []uint64
		for i := range all {
			if q.Matches(all[i].Record) {
				want = append(want, uint64(i))
			}
		}
		if !q.Oldest {
			slices.Reverse(want)
		}
		if got := found(t, l, q); !slices.Equal(got, want) {
			t.Errorf("%+v: got %d records, want %d", q, len(got), len(want))
		}
	}
}
