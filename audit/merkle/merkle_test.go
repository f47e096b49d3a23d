package merkle_test

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sluice-gateway/sluice/audit/merkle"
)

func leaf(i int) merkle.Hash { return merkle.Leaf(fmt.Appendf(nil, "record %d", i)) }

// Our tree is that of sumdb/tlog at each size.
func TestRootsAreThoseOfTlog(t *testing.T) {
	var ours merkle.Tree
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(at []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(at))
		for i, a := range at {
			out[i] = stored[a]
		}
		return out, nil
	})
	visited := map[int64]merkle.Hash{}
	ours.Visit = func(level int, n uint64, h merkle.Hash) { visited[tlog.StoredHashIndex(level, int64(n))] = h }
	for i := range 300 {
		want, err := tlog.TreeHash(int64(i), read)
		if err != nil {
			t.Fatal(err)
		}
		if got := ours.Root(); tlog.Hash(got) != want && i > 0 || ours.Size() != uint64(i) {
			t.Fatalf("root of %d leaves is %x, want %x", i, got, want)
		}
		hashes, err := tlog.StoredHashesForRecordHash(int64(i), tlog.Hash(leaf(i)), read)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hashes...)
		ours.Append(leaf(i))
	}
	for i, h := range stored {
		if visited[int64(i)] != merkle.Hash(h) {
			t.Fatalf("stored hash %d was not visited", i)
		}
	}
	if tlog.Hash(merkle.Leaf([]byte("x"))) != tlog.RecordHash([]byte("x")) {
		t.Error("a leaf's hash is another")
	}
}

func pieces(n int) iter.Seq2[[]merkle.Hash, error] {
	return func(yield func([]merkle.Hash, error) bool) {
		for i := 0; i < n; i += 7 {
			var piece []merkle.Hash
			for j := i; j < min(i+7, n); j++ {
				piece = append(piece, leaf(j))
			}
			if !yield(piece, nil) {
				return
			}
		}
	}
}

func TestAProofHoldsForItsRecordAlone(t *testing.T) {
	const n = 100
	var tree merkle.Tree
	for i := range n {
		tree.Append(leaf(i))
	}
	indexes := []uint64{0, 1, 42, 63, 64, 99}
	proofs, err := merkle.Prove(n, indexes, pieces(n+20)) // the log has grown since
	if err != nil {
		t.Fatal(err)
	}
	for k, i := range indexes {
		if err := proofs[k].Check(n, tree.Root(), i, leaf(int(i))); err != nil {
			t.Errorf("record %d: %v", i, err)
		}
		for what, err := range map[string]error{
			"another record": proofs[k].Check(n, tree.Root(), i, leaf(1000)),
			"another place":  proofs[k].Check(n, tree.Root(), (i+1)%n, leaf(int(i))),
			"another tree":   proofs[k].Check(n, leaf(0), i, leaf(int(i))),
			"outside":        proofs[k].Check(n, tree.Root(), n, leaf(int(i))),
		} {
			if !errors.Is(err, merkle.ErrProof) {
				t.Errorf("record %d: the proof holds for %s", i, what)
			}
		}
	}
	if _, err := merkle.Prove(n, indexes, pieces(50)); !errors.Is(err, merkle.ErrProof) {
		t.Errorf("of too few leaves: %v", err)
	}
	if _, err := merkle.Prove(n, []uint64{n}, pieces(n)); !errors.Is(err, merkle.ErrProof) {
		t.Errorf("of what is not in it: %v", err)
	}
}

func newKey(t *testing.T) (*merkle.Key, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "deeper", "audit.key")
	k, err := merkle.OpenKey(path)
	if err != nil {
		t.Fatal(err)
	}
	return k, path
}

func statement() merkle.Statement {
	return merkle.Statement{
		Size: 7, Root: leaf(1), Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
		Others: []merkle.Seen{{Origin: "sluice/b", Size: 9, Root: leaf(2)}},
		Pruned: []merkle.Pruned{{Origin: "sluice/b", To: 5}, {Origin: "sluice/c", To: 1 << 40}},
	}
}

func TestAStatementIsReadAsItWasSigned(t *testing.T) {
	k, path := newKey(t)
	signed, err := k.Sign(statement())
	if err != nil {
		t.Fatal(err)
	}
	want := statement()
	want.Origin = k.Origin()
	for name, read := range map[string]func() (merkle.Statement, error){
		"signed":   func() (merkle.Statement, error) { return merkle.Open(signed, k.Public()) },
		"unsigned": func() (merkle.Statement, error) { return merkle.Unsigned(signed) },
	} {
		if got, err := read(); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	again, err := merkle.OpenKey(path)
	if err != nil || again.Public() != k.Public() || !strings.HasPrefix(k.Origin(), "sluice/") {
		t.Errorf("opened again it is another key: %v", err)
	}
}

// Who can name logs in a database writes no line that is signed.
func TestANameIsNoLine(t *testing.T) {
	k, _ := newKey(t)
	for _, name := range []string{"", "x\npruned sluice/b 9", "x\n\n— sluice/b AAAA", "x 5", "x\r", "x\u2028", "\x00"} {
		signed, err := k.Sign(merkle.Statement{Size: 7, Others: []merkle.Seen{{Origin: name, Size: 3}}, Pruned: []merkle.Pruned{{Origin: name, To: 3}}})
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if s, err := merkle.Open(signed, k.Public()); err != nil || len(s.Others)+len(s.Pruned) > 0 {
			t.Errorf("%q: %+v, %v", name, s, err)
		}
	}
	if _, err := merkle.Unsigned([]byte("a\n7\n" + strings.Repeat("A", 43) + "=\npruned b 07\n")); !errors.Is(err, merkle.ErrStatement) {
		t.Errorf("a number that is none: %v", err)
	}
}

func TestAStatementOfAnotherIsRefused(t *testing.T) {
	k, _ := newKey(t)
	other, _ := newKey(t)
	signed, _ := k.Sign(statement())
	changed := strings.Replace(string(signed), "\n7\n", "\n8\n", 1)
	for name, c := range map[string]struct {
		note, public string
	}{
		"another's key":   {string(signed), other.Public()},
		"changed":         {changed, k.Public()},
		"no key":          {string(signed), "what"},
		"unsigned":        {statement().Text() + "\n", k.Public()},
		"nothing":         {"", k.Public()},
		"size with signs": {strings.Replace(string(signed), "\n7\n", "\n+7\n", 1), k.Public()},
	} {
		if _, err := merkle.Open([]byte(c.note), c.public); err == nil {
			t.Errorf("%s: is taken", name)
		}
	}
	for _, text := range []string{"", "a\n", "a\nb\nc\n", "a\n01\n" + strings.Repeat("A", 43) + "=\n", "a\n-1\nAA==\n"} {
		if _, err := merkle.Unsigned([]byte(text)); !errors.Is(err, merkle.ErrStatement) {
			t.Errorf("%q is read: %v", text, err)
		}
	}
}

func TestAKeyThatOthersCanReadIsRefused(t *testing.T) {
	_, path := newKey(t)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("made with %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := merkle.OpenKey(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(path, []byte("PRIVATE+KEY+hush"), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = os.Chmod(path, 0o600)
	if _, err := merkle.OpenKey(path); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("got %v", err)
	}
}

func TestTheLastStatementIsRemembered(t *testing.T) {
	k, path := newKey(t)
	if s, _, err := k.Last(); err != nil || s.Size != 0 {
		t.Errorf("got %+v, %v at first", s, err)
	}
	signed, _ := k.Sign(statement())
	if err := k.Remember(signed, nil); err != nil {
		t.Fatal(err)
	}
	if s, tree, err := k.Last(); err != nil || s.Size != 7 || tree != nil {
		t.Errorf("got %+v, %v, %v", s, tree, err)
	}
	if err := os.WriteFile(path+".last", []byte("forged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.Last(); !errors.Is(err, merkle.ErrSignature) {
		t.Errorf("a forged one is taken: %v", err)
	}
}

// A tree goes on from its remembered edge as it would have from its leaves; an edge that
// is not of the root that was signed is none.
func TestATreeGoesOnFromItsEdge(t *testing.T) {
	for _, size := range []int{1, 2, 3, 7, 8, 300} {
		k, path := newKey(t)
		var tree merkle.Tree
		for i := range size {
			tree.Append(leaf(i))
		}
		signed, err := k.Sign(merkle.Statement{Size: tree.Size(), Root: tree.Root()})
		if err := errors.Join(err, k.Remember(signed, &tree)); err != nil {
			t.Fatal(err)
		}
		_, got, err := k.Last()
		if err != nil || got == nil {
			t.Fatalf("of %d leaves: %v, %v", size, got, err)
		}
		for i := range 20 {
			tree.Append(leaf(size + i))
			if got.Append(leaf(size + i)); got.Size() != tree.Size() || got.Root() != tree.Root() {
				t.Fatalf("%d leaves and %d more are another tree", size, i+1)
			}
		}
		edge, err := os.ReadFile(path + ".edge")
		if err != nil {
			t.Fatal(err)
		}
		changed := append([]byte{edge[0] ^ 1}, edge[1:]...)
		for what, b := range map[string][]byte{"changed": changed, "cut": edge[:len(edge)-1], "longer": append(edge[:len(edge):len(edge)], edge[:32]...), "nothing": nil} {
			if err := os.WriteFile(path+".edge", b, 0o600); err != nil {
				t.Fatal(err)
			}
			if s, got, err := k.Last(); err != nil || s.Size != uint64(size) || got != nil {
				t.Errorf("%s: of %d leaves got %v, %v", what, size, got, err)
			}
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	var t merkle.Tree
	record := make([]byte, 1+300)
	for b.Loop() {
		t.Append(merkle.PrefixedLeaf(record))
	}
}
