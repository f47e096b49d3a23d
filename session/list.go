package session

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/store"
)

// Info is one live session as lists show it.
type Info struct {
	ID  string `json:"id"`
	Who Who    `json:"who"`
	// Door is "grpc", "rest" or "admin"; Peer the caller's address.
	Door string `json:"door"`
	Peer string `json:"peer,omitempty"`
	// RPC is the method of a stream; empty for a connection's single calls.
	RPC string `json:"rpc,omitempty"`
	// Since is when it began, Last when it was used last.
	Since time.Time `json:"since"`
	Last  time.Time `json:"last"`
	// Calls counts calls, or a stream's messages that were let through; Open are
	// those that are not answered.
	Calls int64 `json:"calls"`
	Open  int   `json:"open"`
	// Models are the last ones that were called, the latest at the end.
	Models []string `json:"models,omitempty"`
	// Replica is the name of the replica that has it; it is not kept with it.
	Replica string `json:"-"`
}

// Filter says which sessions are asked for; empty fields ask for all.
type Filter struct {
	ID, Principal string
}

// Listing is what sessions there are.
type Listing struct {
	// Sessions are the newest first.
	Sessions []Info
	// Partial tells that the store is away and only this replica's are here.
	Partial bool
}

// List lists the live sessions of all replicas: this one's as they are, the
// others' as they were some seconds ago, without those that were younger then.
func (r *Registry) List(ctx context.Context, f Filter) Listing {
	others, err := r.others(ctx)
	all := append(r.local(), others...)
	all = slices.DeleteFunc(all, func(s Info) bool {
		return f.ID != "" && s.ID != f.ID || f.Principal != "" && s.Who.ID != f.Principal
	})
	slices.SortFunc(all, func(a, b Info) int { return cmp.Or(b.Since.Compare(a.Since), cmp.Compare(a.ID, b.ID)) })
	return Listing{Sessions: all, Partial: err != nil}
}

// local are this replica's sessions.
func (r *Registry) local() []Info {
	var all []Info
	r.each(func(_ *Conn, s *live) {
		if s.killed {
			return
		}
		i := Info{
			ID: s.id, Who: WhoIs(s.principal), Door: s.door, Peer: s.peer, Since: s.since.UTC().Round(0), Last: s.last.UTC().Round(0),
			Calls: s.calls, Open: s.opened, Models: slices.Clone(s.models), Replica: r.replica,
		}
		if s.call != nil {
			i.RPC = s.call.RPC
		}
		all = append(all, i)
	})
	return all
}

// snapshot is what a replica tells of its sessions.
type snapshot struct {
	Replica  string `json:"replica"`
	Sessions []Info `json:"sessions"`
	// Left is how many more there are.
	Left int `json:"left,omitempty"`
}

// others reads the other replicas' snapshots.
func (r *Registry) others(ctx context.Context) ([]Info, error) {
	if r.store == nil {
		return nil, nil
	}
	var all []Info
	for after := ""; ; {
		items, err := r.store.List(ctx, store.Query{Kind: KindReplica, After: after, Limit: replicaPage})
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			var s snapshot
			if item.ID == r.item || !item.Expires.After(r.now()) || json.Unmarshal(item.Body, &s) != nil {
				continue
			}
			for _, i := range s.Sessions {
				i.Replica = s.Replica
				all = append(all, i)
			}
		}
		if len(items) < replicaPage {
			return all, nil
		}
		after = items[len(items)-1].ID
	}
}
