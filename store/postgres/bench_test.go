package postgres_test

import (
	"fmt"
	"testing"

	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/store/postgres"
	"github.com/sluice-gateway/sluice/store/storetest/pgtest"
)

// Benchmark is one change of two items, one read, and how long another replica
// takes to hear of a change and read it. The server is pgtest's, without fsync.
func Benchmark(b *testing.B) {
	server := pgtest.Start(b)
	url := server.Database(b)
	var both [2]*postgres.Store
	for i := range both {
		s, err := postgres.Open(b.Context(), url, postgres.Options{})
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		both[i] = s
	}
	n := 0
	apply := func() string {
		n++
		id := fmt.Sprint(n)
		if err := both[0].Apply(b.Context(), put(id), store.Change{Item: store.Item{Kind: "notification", ID: id}}); err != nil {
			b.Fatal(err)
		}
		return id
	}
	b.Run("apply", func(b *testing.B) {
		for b.Loop() {
			apply()
		}
	})
	b.Run("get", func(b *testing.B) {
		for b.Loop() {
			if _, err := both[0].Get(b.Context(), "thing", "1"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("heard by another", func(b *testing.B) {
		hints := both[1].Watch(b.Context(), "thing")
		<-hints
		for b.Loop() {
			id := apply()
			for (<-hints).ID != id {
			}
			if _, err := both[1].Get(b.Context(), "thing", id); err != nil {
				b.Fatal(err)
			}
		}
	})
}
