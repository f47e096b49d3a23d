package export

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/merkle"
)

// Source is where records come from: a log, or who asks one for us.
type Source interface {
	Search(ctx context.Context, q audit.Query) iter.Seq2[audit.Found, error]
}

// Options say what is exported, and where to.
type Options struct {
	Source Source
	// Tree makes the proofs; without one there are none.
	Tree   audit.Tree
	Target Target
	Format Format
	Query  audit.Query
	// PartRecords is how many records a part has at most. Default: 20,000.
	PartRecords int
	// Temp is a folder for one part at a time. Default: the system's.
	Temp string
	// Progress, if set, hears of each part.
	Progress func(Part)
	Now      func() time.Time
}

const (
	defaultPart = 20_000
	// maxState bounds what is read of a manifest, in bytes.
	maxState = 64 << 20
)

// Run exports the records of a query, oldest first, and gives the manifest and the
// SHA-256 of its file. Where an export of the same query was broken off in the same
// place, it goes on after its last part, and what is there in the end is the same
// to the byte. With [Options.Tree], records that were not signed when the export
// began are left to the next one.
func Run(ctx context.Context, o Options) (*Manifest, string, error) {
	if o.PartRecords <= 0 {
		o.PartRecords = defaultPart
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if !o.Format.Known() {
		return nil, "", fmt.Errorf("export: unknown format %q; it is one of %v", o.Format, Formats)
	}
	m, done, err := begin(ctx, &o)
	if err != nil {
		return nil, "", err
	}
	if !done {
		r := &run{Options: &o, manifest: m, provers: map[string]*prover{}}
		if err := r.parts(ctx); err != nil {
			return nil, "", err
		}
	}
	b, err := m.encode()
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(b)
	return m, hex.EncodeToString(sum[:]), put(ctx, o.Target, ManifestName, b)
}

// begin finds what is there of this export, or settles what it will be.
func begin(ctx context.Context, o *Options) (m *Manifest, done bool, err error) {
	for _, name := range []string{ManifestName, stateName} {
		m, _, err := read(ctx, o.Target, name)
		switch {
		case errors.Is(err, os.ErrNotExist):
			continue
		case err != nil:
			return nil, false, err
		case m.Version != manifestVersion || m.Format != o.Format || !same(m.Query, o.Query):
			return nil, false, errState
		}
		return m, name == ManifestName, nil
	}
	m = &Manifest{Version: manifestVersion, Format: o.Format, Query: settle(o.Query, o.Tree != nil, o.Now()), Parts: []Part{}}
	if o.Tree != nil {
		states, err := o.Tree.States(ctx)
		if err != nil {
			return nil, false, err
		}
		for _, s := range states {
			if m.Query.Replica == "" || m.Query.Replica == s.Replica || tellsOf(s.Last, m.Query.Replica) {
				m.Logs = append(m.Logs, Signed{s.Replica, s.Last.Size, string(s.Last.Note)})
			}
		}
	}
	return m, false, save(ctx, o.Target, stateName, m)
}

// tellsOf says whether a checkpoint is of who pruned another log.
func tellsOf(c audit.Checkpoint, replica string) bool {
	s, err := merkle.Unsigned(c.Note)
	return err == nil && slices.ContainsFunc(s.Pruned, func(p merkle.Pruned) bool { return p.Origin == replica })
}

func read(ctx context.Context, t Target, name string) (m *Manifest, b []byte, err error) {
	f, err := t.Get(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	b, err = io.ReadAll(io.LimitReader(f, maxState))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, nil, err
	}
	m = &Manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, nil, fmt.Errorf("export: %s is no manifest: %w", name, err)
	}
	return m, b, nil
}

func save(ctx context.Context, t Target, name string, m *Manifest) error {
	b, err := m.encode()
	if err != nil {
		return err
	}
	return put(ctx, t, name, b)
}

func put(ctx context.Context, t Target, name string, b []byte) error {
	return t.Put(ctx, name, bytes.NewReader(b), int64(len(b)))
}

// run is an export under way.
type run struct {
	*Options
	manifest *Manifest
	provers  map[string]*prover // by log
}

// parts writes all parts that are not there yet.
func (r *run) parts(ctx context.Context) error {
	q := r.manifest.Query
	if n := len(r.manifest.Parts); n > 0 {
		q.After = r.manifest.Parts[n-1].Cursor
	}
	next, stop := iter.Pull2(r.Source.Search(ctx, q))
	defer stop()
	for {
		p, err := r.part(ctx, next)
		if err != nil || p == nil {
			return err
		}
		r.manifest.Parts = append(r.manifest.Parts, *p)
		r.manifest.Records += int64(p.Records)
		if err := save(ctx, r.Target, stateName, r.manifest); err != nil {
			return err
		}
		if r.Progress != nil {
			r.Progress(*p)
		}
	}
}

// part writes the next part; nil if there are no more records.
func (r *run) part(ctx context.Context, next func() (audit.Found, error, bool)) (p *Part, err error) {
	s, err := newSpool(r.Temp)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.remove()) }()
	w := newWriter(r.Format, s)
	var proven []audit.Entry
	p = &Part{Name: fmt.Sprintf("records-%05d.%s", len(r.manifest.Parts), r.Format.ending())}
	for p.Records < r.PartRecords {
		found, err, ok := next()
		if damaged := (*audit.DamagedError)(nil); errors.As(err, &damaged) {
			r.damaged(damaged)
			continue
		}
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if !r.signed(found.Record) {
			continue
		}
		if err := w.write(found.Record); err != nil {
			return nil, err
		}
		if r.Tree != nil {
			proven = append(proven, found.Entry)
		}
		p.Records, p.Cursor = p.Records+1, found.Cursor
	}
	if p.Records == 0 {
		return nil, nil
	}
	if err := w.close(); err != nil {
		return nil, err
	}
	if p.Size, p.SHA256, err = s.send(ctx, r.Target, p.Name); err != nil || r.Tree == nil {
		return p, err
	}
	p.Proofs, err = r.proofs(ctx, fmt.Sprintf("proofs-%05d.jsonl", len(r.manifest.Parts)), proven)
	return p, err
}

// damaged says in the manifest what is left out, together with what is beside it, and
// once, although an export that goes on comes by there again.
func (r *run) damaged(d *audit.DamagedError) {
	all := r.manifest.Damaged
	for _, was := range all {
		if was.Replica == d.Replica && was.First <= d.First && d.Last <= was.Last {
			return
		}
	}
	if n := len(all); n > 0 && all[n-1].Replica == d.Replica && all[n-1].Last+1 == d.First {
		all[n-1].Last = d.Last
		return
	}
	r.manifest.Damaged = append(all, Damaged{d.Replica, d.First, d.Last})
}

// signed tells whether a record was in its log when that was signed.
func (r *run) signed(record *audit.Record) bool {
	if r.Tree == nil {
		return true
	}
	for _, l := range r.manifest.Logs {
		if l.Replica == record.Replica {
			return record.Seq < l.Size
		}
	}
	return false
}
