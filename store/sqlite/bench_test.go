package sqlite_test

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/store/sqlite"
)

// BenchmarkApply is one durable change, by one caller and by many at once.
func BenchmarkApply(b *testing.B) {
	for _, callers := range []int{1, 100} {
		b.Run(fmt.Sprint(callers, " callers"), func(b *testing.B) {
			s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "s.db"))
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			var n atomic.Int64
			b.SetParallelism(callers)
			b.ResetTimer()
			if callers == 1 {
				for b.Loop() {
					benchApply(b, s, n.Add(1))
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					benchApply(b, s, n.Add(1))
				}
			})
		})
	}
}

func benchApply(b *testing.B, s *sqlite.Store, n int64) {
	c := put(fmt.Sprint(n), make([]byte, 1000))
	c.Owner, c.State = "alice", "open"
	if err := s.Apply(b.Context(), c, store.Change{Item: store.Item{Kind: "notification", ID: c.ID}}); err != nil {
		b.Error(err)
	}
}
