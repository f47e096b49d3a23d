package sqlite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/sqlite"
)

// spoil overwrites pages of a file's table or index: all of them, or the leaves.
func spoil(t *testing.T, path string, names ...string) {
	t.Helper()
	l := open(t, path)
	must(t, l.Exec(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"))
	var pages []int64
	for _, name := range names {
		var list string
		must(t, l.Row(t.Context(), "SELECT coalesce(group_concat(pageno), '') FROM dbstat WHERE name = ? AND pageno > 1", name).Scan(&list))
		for page := int64(0); list != ""; {
			digit := list[0]
			if list = list[1:]; digit != ',' {
				page = page*10 + int64(digit-'0')
			}
			if digit == ',' || list == "" {
				pages, page = append(pages, page), 0
			}
		}
	}
	must(t, l.Close())
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	junk := make([]byte, 8192)
	for i := range junk {
		junk[i] = byte(i*7 + 3)
	}
	for _, page := range pages {
		_, err := f.WriteAt(junk, (page-1)*8192)
		must(t, err)
	}
	must(t, f.Close())
	if len(pages) == 0 {
		t.Fatal("there are no such pages")
	}
}

// What leads to records may be damaged and they are not: each search finds them all the
// same. Where it can't be told what there is, that is said.
func TestDamagedIndexes(t *testing.T) {
	const n = 34_000 // more than one span
	whole := filepath.Join(t.TempDir(), "audit.db")
	l := open(t, whole)
	all := audittest.Infers(audittest.Replica, 0, n)
	for i := 0; i < n; i += 2000 {
		must(t, l.Append(t.Context(), audit.Batch{Replica: audittest.Replica, Entries: all[i : i+2000]}))
	}
	must(t, l.Exec(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"))
	must(t, l.Close())
	file, err := os.ReadFile(whole)
	must(t, err)
	for name, tt := range map[string]struct {
		spoiled []string
		damaged uint64
	}{
		"terms":                {[]string{"term"}, 0},
		"calls":                {[]string{"calls"}, 0},
		"times":                {[]string{"segment_high"}, 0},
		"segments":             {[]string{"segment"}, 0},
		"segments and hashes":  {[]string{"segment", "leaf"}, n - n%sqlite.SegmentSize},
		"what was not indexed": {[]string{"segment_unread"}, 0},
		"the head":             {[]string{"head"}, n % sqlite.SegmentSize},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.db")
			must(t, os.WriteFile(path, file, 0o600))
			l := open(t, path) // before: a gateway is at work when its disk goes
			defer func() { _ = l.Close() }()
			spoil(t, path, tt.spoiled...)
			some := all[n/2].Record
			for what, q := range map[string]audit.Query{
				"all": {}, "principal": {Principal: some.Subject}, "call": {Call: some.Call}, "verb": {Verb: "load"},
				"time": {Since: some.Time, Until: all[n-1].Record.Time},
			} {
				for _, oldest := range []bool{true, false} {
					q.Oldest = oldest
					past := given(t, l, what, q, all)
					if past.Records > tt.damaged || past.Records < tt.damaged && what == "all" {
						t.Errorf("%s (oldest %v): %d are told of as damaged, want %d", what, oldest, past.Records, tt.damaged)
					}
				}
			}
		})
	}
}

// given compares what a search gives with what is there, but for what it says can't be
// read.
func given(t *testing.T, l *sqlite.Log, what string, q audit.Query, all []audit.Entry) (past audit.Damage) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	have, lost := make([]bool, len(all)), make([]bool, len(all))
	for f, err := range l.Search(ctx, q) {
		d := (*audit.DamagedError)(nil)
		switch {
		case errors.As(err, &d):
			past.Take(err)
			for i := d.First; i <= d.Last; i++ {
				if lost[i] {
					t.Fatalf("%s (oldest %v): %v is told of twice", what, q.Oldest, d)
				}
				lost[i] = true
			}
		case err != nil:
			t.Errorf("%s (oldest %v): %v", what, q.Oldest, err)
			return past
		default:
			have[f.Place] = true
		}
	}
	for i := range have {
		if q.Matches(all[i].Record) != have[i] && !lost[i] {
			t.Fatalf("%s (oldest %v): record %d is given: %v", what, q.Oldest, i, have[i])
		}
	}
	return past
}
