package sqlite_test

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
)

// A write that is given up in its midst, as one is whose disk hangs, leaves nothing
// behind and does not keep the next one from succeeding.
func TestAWriteThatIsGivenUpLeavesNothing(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "audit.db"))
	defer func() { must(t, l.Close()) }()
	all := audittest.Infers(audittest.Replica, 0, 20_000)
	gaveUp := 0
	for at := 0; at < len(all); at += 1000 {
		b := audit.Batch{Replica: audittest.Replica, Entries: all[at : at+1000], Sync: at%3000 == 0}
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(12_000))*time.Microsecond)
			if l.Append(ctx, b) != nil {
				gaveUp++
			}
			cancel()
		}
		must(t, l.Append(t.Context(), b))
	}
	n := 0
	for f, err := range l.Search(t.Context(), audit.Query{Oldest: true}) {
		must(t, err)
		if f.Place != uint64(n) || f.Leaf != all[n].Leaf {
			t.Fatalf("record %d is another", n)
		}
		n++
	}
	if n != len(all) || gaveUp == 0 {
		t.Errorf("%d records, of %d, %d writes were given up", n, len(all), gaveUp)
	}
}
