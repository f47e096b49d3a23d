package audit_test

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
)

// pruned is a log of this recorder's and of another that is gone, which believes what
// its indexes say of times, whoever wrote them.
type pruned struct {
	*audittest.Memory
	gone    []audit.Entry
	damaged [2]uint64 // from one of them to another, itself not included
	claims  uint64    // how many of each are old
	signed  time.Time // when the one that is gone has done so last

	mu    sync.Mutex
	to    map[string]uint64
	first uint64
}

const goneReplica = "sluice/gone"

func (p *pruned) States(ctx context.Context) ([]audit.State, error) {
	states, err := p.Memory.States(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	return append(states, audit.State{Replica: goneReplica, Size: uint64(len(p.gone)), First: p.first, Last: audit.Checkpoint{Time: p.signed}}), err
}

func (p *pruned) Search(ctx context.Context, q audit.Query) iter.Seq2[audit.Found, error] {
	if q.Replica != goneReplica {
		return p.Memory.Search(ctx, q)
	}
	return func(yield func(audit.Found, error) bool) {
		for i, e := range p.gone {
			e.Place = uint64(i)
			if d := p.damaged; e.Place >= d[0] && e.Place < d[1] {
				if e.Place == d[0] && !yield(audit.Found{}, &audit.DamagedError{Replica: goneReplica, First: d[0], Last: d[1] - 1}) {
					return
				}
				continue
			}
			if !yield(audit.Found{Entry: e}, nil) {
				return
			}
		}
	}
}

func (p *pruned) Old(context.Context, string, time.Time) (uint64, error) { return p.claims, nil }

func (p *pruned) Prune(_ context.Context, replica string, to uint64) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to[replica] = to
	return int(to), nil
}

func (p *pruned) PruneGone(ctx context.Context, replica string, to uint64, say func(context.Context) error) (int, error) {
	if err := say(ctx); err != nil {
		return 0, err
	}
	n, err := p.Prune(ctx, replica, to)
	p.mu.Lock()
	p.first = to
	p.mu.Unlock()
	return n, err
}

// TestWhatIsPrunedIsOldByItsOwnRecords: not by what a log's indexes say, which who can write
// to the database can change; and what is deleted of others is signed.
func TestWhatIsPrunedIsOldByItsOwnRecords(t *testing.T) {
	const size, retain = 100, 24 * time.Hour
	for name, c := range map[string]struct {
		claims uint64
		old    int // of the records, by themselves
		change func(p *pruned)
		want   uint64
	}{
		"it has signed since":                {100, 100, func(p *pruned) { p.signed = audittest.Began.Add(1000*time.Hour - 59*time.Minute) }, 0},
		"all are old":                        {100, 100, func(*pruned) {}, 100},
		"none is old":                        {0, 0, func(*pruned) {}, 0},
		"none is old, and all claimed to be": {100, 0, func(*pruned) {}, 0},
		"half of what is claimed":            {100, 50, func(*pruned) {}, 50},
		"less is claimed":                    {30, 50, func(*pruned) {}, 30},
		"some can't be read":                 {100, 50, func(p *pruned) { p.damaged = [2]uint64{10, 20} }, 50},
		"the last can't be read":             {100, 50, func(p *pruned) { p.damaged = [2]uint64{45, 100} }, 45},
		"some made older":                    {100, 50, func(p *pruned) { p.gone[50] = older(p.gone[50]) }, 50},
		"the last made older":                {100, 99, func(p *pruned) { p.gone[99] = older(p.gone[99]) }, 99},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				now := audittest.Began.Add(1000 * time.Hour)
				records := make([]*audit.Record, size)
				for i := range records {
					records[i] = audittest.Infer(i)
					if i >= c.old {
						records[i].Time = now
					}
				}
				p := &pruned{Memory: new(audittest.Memory), gone: audittest.Entries(goneReplica, 0, records...), claims: c.claims, to: map[string]uint64{}}
				c.change(p)
				r := newRecorder(t, p, func(o *audit.Options) {
					o.Config.Retain, o.Now = retain, func() time.Time { return now }
				})
				time.Sleep(time.Minute)
				if err := r.Close(); err != nil {
					t.Error(err)
				}
				if p.to[goneReplica] != c.want || p.to[r.Replica()] != 0 {
					t.Errorf("pruned %v, want %d", p.to, c.want)
				}
				said := ""
				entries, _ := p.Entries()
				for _, e := range entries {
					if e.Record.Kind == audit.KindPrune {
						said += e.Record.Object
					}
				}
				want := ""
				if c.want > 0 {
					want = fmt.Sprint(goneReplica, "/", c.want)
				}
				if said != want {
					t.Errorf("the log says %q of it, want %q", said, want)
				}
			})
		})
	}
}

// older is a record that somebody has made so, and not its hash.
func older(e audit.Entry) audit.Entry {
	r := *e.Record
	r.Time = audittest.Began
	e.Record, e.Bytes = &r, r.Append(nil)
	return e
}
