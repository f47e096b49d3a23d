// Package sinktest is the suite that every sink of records passes.
package sinktest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/audit"
)

// Place is where a sink's records go, as a test sees it.
type Place struct {
	Sink audit.Sink
	// Received gives the seqs that have arrived, in their order.
	Received func(t *testing.T) []uint64
	// Break makes the place take nothing, Mend has it work again; a place that
	// can't be broken has neither, and Why says why.
	Break, Mend func(t *testing.T)
	Why         string
	// Unheard tells that the place says nothing of what it took: what is sent right
	// after its end may be lost.
	Unheard bool
	// Hang makes the place take nothing and say nothing; nil where it can't.
	Hang func(t *testing.T)
}

// Entries are n records from seq on.
func Entries(seq uint64, n int) []audit.Entry {
	all := make([]audit.Entry, n)
	for i := range all {
		r := &audit.Record{
			Replica: "r1", Seq: seq + uint64(i), Kind: audit.KindCall, Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Second),
			Subject: "alice", Issuer: "https://iss", Name: "alice \"a\" ]", Verb: "infer", Model: fmt.Sprint("m", i), Verdict: audit.Allowed,
			Masked: map[string]int64{"EMAIL": 2}, Groups: []string{"a", "b"},
		}
		all[i] = audit.Entry{Record: r, Bytes: r.Append(nil)}
	}
	return all
}

// Run holds a sink to the contract of [audit.Sink].
func Run(t *testing.T, open func(t *testing.T) Place) {
	for name, rule := range map[string]func(t *testing.T, p Place){
		"records arrive in their order":                   inOrder,
		"the name stays":                                  nameStays,
		"what was refused comes again and arrives":        comesAgain,
		"a place that hangs is given up with the context": givesUp,
	} {
		t.Run(name, func(t *testing.T) { rule(t, opened(t, open)) })
	}
}

func inOrder(t *testing.T, p Place) {
	for seq := uint64(0); seq < 300; seq += 100 {
		if err := p.Sink.Send(t.Context(), Entries(seq, 100)); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, p, 300)
}

func nameStays(t *testing.T, p Place) {
	if name := p.Sink.Name(); name == "" || name != p.Sink.Name() {
		t.Errorf("name %q", name)
	}
}

func comesAgain(t *testing.T, p Place) {
	if p.Break == nil {
		t.Skip(p.Why)
	}
	if err := p.Sink.Send(t.Context(), Entries(0, 3)); err != nil {
		t.Fatal(err)
	}
	wait(t, p, 3)
	p.Break(t)
	err := p.Sink.Send(t.Context(), Entries(3, 3))
	for end := time.Now().Add(time.Minute); p.Unheard && err == nil && time.Now().Before(end); time.Sleep(time.Millisecond) {
		err = p.Sink.Send(t.Context(), Entries(3, 3))
	}
	if err == nil {
		t.Fatal("a place that is away took records")
	}
	p.Mend(t)
	if err := p.Sink.Send(t.Context(), Entries(3, 3)); err != nil {
		t.Fatal(err)
	}
	wait(t, p, 6)
}

func givesUp(t *testing.T, p Place) {
	if p.Hang == nil {
		t.Skip(p.Why)
	}
	p.Hang(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		var err error
		for i := 0; err == nil && i < 100_000; i++ { // until the place's buffers are full
			err = p.Sink.Send(ctx, Entries(0, 200))
		}
		ended <- err
	}()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("no error")
		}
	case <-time.After(time.Minute):
		t.Error("hangs with the place")
	}
}

func opened(t *testing.T, open func(t *testing.T) Place) Place {
	t.Helper()
	p := open(t)
	t.Cleanup(func() {
		if err := p.Sink.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p
}

// wait waits until n records have arrived: each, once at least, in their order.
func wait(t *testing.T, p Place, n int) {
	t.Helper()
	var got []uint64
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if got = p.Received(t); len(slices.Compact(slices.Clone(got))) >= n {
			break
		}
	}
	once := slices.Compact(slices.Sorted(slices.Values(got)))
	if len(once) != n || once[0] != 0 || once[n-1] != uint64(n-1) {
		t.Fatalf("%d records arrived, want %d", len(once), n)
	}
	if first := slices.Compact(got); !slices.IsSorted(first[:n]) {
		t.Errorf("arrived out of order: %v", first)
	}
}
