package export_test

import (
	"context"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/export"
	"github.com/sluice-gateway/sluice/audit/merkle"
)

// files reads a folder.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[f.Name()] = string(b)
	}
	return all
}

func TestRunAndVerify(t *testing.T) {
	for _, f := range export.Formats {
		t.Run(string(f), func(t *testing.T) {
			j, dir := newJournal(t, 25), t.TempDir()
			m, digest := exported(t, j, dir, func(o *export.Options) { o.Format = f })
			if m.Records != 25 || len(m.Parts) != 3 || m.Parts[2].Records != 5 {
				t.Fatalf("manifest %+v", m)
			}
			report, err := export.Verify(t.Context(), export.Folder(dir), j.key.Public())
			if err != nil || !report.OK() || report.Records != 25 || report.Parts != 3 || report.Manifest != digest {
				t.Errorf("report %+v, %v", report, err)
			}
		})
	}
}

func TestQuery(t *testing.T) {
	j, dir := newJournal(t, 25), t.TempDir()
	m, _ := exported(t, j, dir, func(o *export.Options) { o.Query = audit.Query{Principal: "alice", Verb: "infer"} })
	want := 0
	for _, e := range j.entries {
		if e.Record.Subject == "alice" && e.Record.Verb == "infer" {
			want++
		}
	}
	report, err := export.Verify(t.Context(), export.Folder(dir), j.key.Public())
	if err != nil || !report.OK() || m.Records != int64(want) || want == 0 {
		t.Errorf("%d records, want %d; %+v, %v", m.Records, want, report, err)
	}
}

// TestWhatIsDamagedIsToldOf: an export goes on behind records that can't be read, says
// in its manifest which they are, and is not verified as a whole log.
func TestWhatIsDamagedIsToldOf(t *testing.T) {
	for name, at := range map[string][2]int{"first": {0, 1}, "within a part": {3, 4}, "between parts": {8, 12}, "last": {24, 24}} {
		t.Run(name, func(t *testing.T) {
			j, dir := newJournal(t, 25), t.TempDir()
			j.torn = &at
			m, _ := exported(t, j, dir, nil)
			lost := at[1] - at[0] + 1
			want := []export.Damaged{{Replica: j.key.Origin(), First: uint64(at[0]), Last: uint64(at[1])}}
			if m.Records != int64(25-lost) || !slices.Equal(m.Damaged, want) {
				t.Errorf("%d records, damaged %v", m.Records, m.Damaged)
			}
			report, err := export.Verify(t.Context(), export.Folder(dir), j.key.Public())
			if err != nil || len(report.Problems) != 1 || report.Records != int64(25-lost) {
				t.Errorf("report %+v, %v", report, err)
			}
			if inside := at[0] > 0 && at[1] < 24; inside && !strings.Contains(report.Problems[0], "could not be read when it was exported") {
				t.Errorf("problem %q", report.Problems[0])
			}
		})
	}
}

// TestWhatIsDamagedIsToldOfOnce: an export that goes on reads again that a place is
// damaged, wherever it was broken off.
func TestWhatIsDamagedIsToldOfOnce(t *testing.T) {
	for _, at := range []int{9, 10, 15, 24} {
		j, whole, dir := newJournal(t, 25), t.TempDir(), t.TempDir()
		j.torn = &[2]int{5, 7}
		exported(t, j, whole, nil)
		j.broken = at
		if _, _, err := export.Run(t.Context(), options(t, j, dir)); err == nil {
			t.Fatal("the search did not break off")
		}
		j.broken, j.again = 0, true
		m, _ := exported(t, j, dir, nil)
		if len(m.Damaged) != 1 || files(t, whole)[export.ManifestName] != files(t, dir)[export.ManifestName] {
			t.Errorf("broken off at %d: damaged are %v", at, m.Damaged)
		}
	}
}

// TestGoOn: an export that was broken off anywhere ends as one that was not, to
// the byte, although the log has grown meanwhile.
func TestGoOn(t *testing.T) {
	for _, f := range export.Formats {
		for _, at := range []int{1, 10, 11, 24} {
			j, whole, dir := newJournal(t, 25), t.TempDir(), t.TempDir()
			exported(t, j, whole, func(o *export.Options) { o.Format = f })
			j.broken = at
			o := options(t, j, dir)
			o.Format = f
			if _, _, err := export.Run(t.Context(), o); err == nil {
				t.Fatal("the search did not break off")
			}
			j.broken = 0
			for i := range 30 {
				j.add(sample(i))
			}
			j.sign(t)
			exported(t, j, dir, func(o *export.Options) { o.Format = f })
			want, got := files(t, whole), files(t, dir)
			for name := range want {
				if got[name] != want[name] {
					t.Errorf("%s, broken off at %d: %s is another file", f, at, name)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%s, broken off at %d: %d files, want %d", f, at, len(got), len(want))
			}
		}
	}
}

func TestAnotherExportInThePlace(t *testing.T) {
	j, dir := newJournal(t, 5), t.TempDir()
	exported(t, j, dir, nil)
	for name, change := range map[string]func(o *export.Options){
		"another format": func(o *export.Options) { o.Format = export.CSV },
		"another query":  func(o *export.Options) { o.Query.Model = "other" },
		"no such format": func(o *export.Options) { o.Format = "xml" },
	} {
		o := options(t, j, dir)
		change(&o)
		if _, _, err := export.Run(t.Context(), o); err == nil {
			t.Errorf("%s: written over what was there", name)
		}
	}
}

// TestOnlyWhatIsSigned: what was not signed yet could not be proven.
func TestOnlyWhatIsSigned(t *testing.T) {
	j, dir := newJournal(t, 5), t.TempDir()
	j.add(sample(0))
	if m, _ := exported(t, j, dir, nil); m.Records != 5 {
		t.Errorf("%d records, want 5", m.Records)
	}
	if m, _ := exported(t, j, t.TempDir(), func(o *export.Options) { o.Tree = nil }); m.Records != 6 {
		t.Errorf("%d records without proofs, want 6", m.Records)
	}
}

// TestTampered: each way to change an export is found, and named.
func TestTampered(t *testing.T) {
	edit := func(name, old, by string) func(f map[string]string) {
		return func(f map[string]string) { f[name] = strings.Replace(f[name], old, by, 1) }
	}
	const part, proofs = "records-00001.jsonl", "proofs-00001.jsonl"
	line := func(s string, n int) string { return strings.SplitAfter(s, "\n")[n] }
	tests := []struct {
		name   string
		change func(f map[string]string)
		want   string
	}{
		{"a record is edited", edit(part, `"alice"`, `"mallo"`), part},
		{"a record is dropped", func(f map[string]string) { f[part] = strings.Replace(f[part], line(f[part], 3), "", 1) }, part},
		{"a part is missing", func(f map[string]string) { delete(f, part) }, part},
		{"proofs are missing", func(f map[string]string) { delete(f, proofs) }, proofs},
		{"a proof is cut", func(f map[string]string) { f[proofs] = f[proofs][:len(f[proofs])-20] }, proofs},
		{"the count is changed", edit(export.ManifestName, `"records": 25`, `"records": 24`), export.ManifestName},
		{"the checkpoint is edited", edit(export.ManifestName, `\n25\n`, `\n26\n`), "checkpoint"},
		{"parts change places", func(f map[string]string) {
			f[part], f["records-00000.jsonl"] = f["records-00000.jsonl"], f[part]
		}, part},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j, dir := newJournal(t, 25), t.TempDir()
			exported(t, j, dir, nil)
			f := files(t, dir)
			before := len(f)
			tt.change(f)
			changed := t.TempDir()
			for name, text := range f {
				if err := os.WriteFile(filepath.Join(changed, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			report, err := export.Verify(t.Context(), export.Folder(changed), j.key.Public())
			if err != nil || report.OK() || !strings.Contains(strings.Join(report.Problems, "\n"), tt.want) {
				t.Errorf("of %d files: %+v, %v, want a problem of %s", before, report, err, tt.want)
			}
		})
	}
}

// TestForged: who rewrites files, proofs and the manifest so that they fit each
// other still can't make the log say it.
func TestForged(t *testing.T) {
	j, dir := newJournal(t, 25), t.TempDir()
	exported(t, j, dir, nil)
	forger := newJournal(t, 0)
	for i := range 25 {
		r := sample(i)
		if i == 7 {
			r.Subject = "mallory"
		}
		forger.add(r)
	}
	forger.sign(t)
	forged := t.TempDir()
	exported(t, forger, forged, nil)
	report, err := export.Verify(t.Context(), export.Folder(forged), j.key.Public())
	if err != nil || report.OK() || !strings.Contains(report.Problems[0], "checkpoint") {
		t.Errorf("another's log is taken for ours: %+v, %v", report, err)
	}
	// With our own checkpoint beside his records the proofs do not hold.
	m, _ := os.ReadFile(filepath.Join(dir, export.ManifestName))
	his, _ := os.ReadFile(filepath.Join(forged, export.ManifestName))
	note := func(b []byte) string {
		s := string(b)
		i := strings.Index(s, `"logs"`)
		return s[i:]
	}
	if err := os.WriteFile(filepath.Join(forged, export.ManifestName), []byte(strings.Replace(string(his), note(his), note(m), 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	report, err = export.Verify(t.Context(), export.Folder(forged), j.key.Public())
	if err != nil || report.OK() || report.Records != 0 {
		t.Errorf("%d records are taken for ours: %v", report.Records, err)
	}
}

// TestMissingInBetween: an export of a whole log that somebody took a record out
// of, with its proof and its count, has a hole.
func TestMissingInBetween(t *testing.T) {
	j, dir := newJournal(t, 25), t.TempDir()
	without := *j
	without.entries = slices.Delete(slices.Clone(j.entries), 12, 13)
	exported(t, j, dir, func(o *export.Options) { o.Source = &without })
	report, err := export.Verify(t.Context(), export.Folder(dir), j.key.Public())
	if err != nil || report.OK() || !strings.Contains(report.Problems[0], "/13") {
		t.Errorf("%+v, %v", report, err)
	}
	short := *j
	short.entries, dir = j.entries[:20], t.TempDir()
	exported(t, j, dir, func(o *export.Options) { o.Source = &short })
	report, err = export.Verify(t.Context(), export.Folder(dir), j.key.Public())
	if err != nil || report.OK() || !strings.Contains(report.Problems[0], "ends with 19") {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestMissingAtTheBeginning: what is not there before the first record is missing,
// unless the log itself says that it was pruned.
func TestMissingAtTheBeginning(t *testing.T) {
	for name, tt := range map[string]struct {
		from   int
		pruned string
		want   string
	}{
		"nothing":        {0, "", ""},
		"some":           {5, "", "begins with record 5"},
		"all":            {26, "", "has none"},
		"pruned":         {5, "5", ""},
		"less is pruned": {5, "4", "begins with record 5"},
	} {
		t.Run(name, func(t *testing.T) {
			j, dir := newJournal(t, 25), t.TempDir()
			j.add(&audit.Record{Kind: audit.KindPrune, Object: tt.pruned})
			j.sign(t)
			cut := *j
			cut.entries = j.entries[tt.from:]
			exported(t, j, dir, func(o *export.Options) { o.Source = &cut })
			report, err := export.Verify(t.Context(), export.Folder(dir), j.key.Public())
			if problems := strings.Join(report.Problems, " "); err != nil || report.OK() != (tt.want == "") || !strings.Contains(problems, tt.want) {
				t.Errorf("%s, %v", problems, err)
			}
		})
	}
}

func TestFolderKeepsToItself(t *testing.T) {
	f := export.Folder(t.TempDir())
	for _, name := range []string{"", "../x", "a/b", ".hidden", `a\b`, "/etc/passwd", "c:x"} {
		if f.Put(t.Context(), name, strings.NewReader("x"), 1) == nil {
			t.Errorf("%q is written", name)
		}
		if _, err := f.Get(t.Context(), name); err == nil {
			t.Errorf("%q is read", name)
		}
	}
	if err := f.Put(t.Context(), "short", strings.NewReader("x"), 2); err == nil {
		t.Error("a file that is too short is there")
	}
	if _, err := f.Get(context.Background(), "short"); !os.IsNotExist(err) {
		t.Errorf("a part of a file is there: %v", err)
	}
	if err := f.Put(t.Context(), "x", strings.NewReader("x"), 1); err != nil {
		t.Fatal(err)
	}
	r, err := f.Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(r)
	if r.Close() != nil || string(b) != "x" {
		t.Errorf("read %q", b)
	}
}

// TestAnExportReadsHashesTwice, however many parts it has: once to know the tree, and once
// beside its records.
func TestAnExportReadsHashesTwice(t *testing.T) {
	const size, block = 9000, 4096
	j := newJournal(t, size)
	for _, part := range []int{size, 1000, 90} {
		j.read = 0
		dir := t.TempDir()
		m, _ := exported(t, j, dir, func(o *export.Options) { o.PartRecords = part })
		if len(m.Parts) != size/part || j.read > 2*size+2*block {
			t.Errorf("%d parts: %d hashes were read of %d", len(m.Parts), j.read, size)
		}
		if part > 90 {
			continue
		}
		if report, err := export.Verify(t.Context(), export.Folder(dir), j.key.Public()); err != nil || !report.OK() {
			t.Errorf("%+v, %v", report, err)
		}
	}
}

// several are logs of several replicas.
type several []*journal

func (s several) Search(ctx context.Context, q audit.Query) iter.Seq2[audit.Found, error] {
	return s[0].Search(ctx, q)
}

func (s several) States(ctx context.Context) (all []audit.State, err error) {
	for _, j := range s {
		states, _ := j.States(ctx)
		all = append(all, states...)
	}
	return all, nil
}

func (s several) Leaves(ctx context.Context, replica string, from uint64) iter.Seq2[[][32]byte, error] {
	i := slices.IndexFunc(s, func(j *journal) bool { return j.key.Origin() == replica })
	return s[i].Leaves(ctx, replica, from)
}

func (s several) Checkpoints(ctx context.Context, replica string, size uint64) iter.Seq2[audit.Checkpoint, error] {
	return s[0].Checkpoints(ctx, replica, size)
}

// TestPrunedByAnother: what is missing of a log whose replica is gone was pruned, if the
// checkpoint of another's says so; nobody else's word counts.
func TestPrunedByAnother(t *testing.T) {
	for name, tt := range map[string]struct {
		from, says int
		forged     bool
		want       string
	}{
		"some":                  {5, 5, false, ""},
		"all":                   {25, 25, false, ""},
		"less is said":          {5, 4, false, "begins with record 5"},
		"less than all":         {25, 24, false, "has none"},
		"by who has no key":     {5, 5, true, "checkpoint"},
		"all by who has no key": {25, 25, true, "checkpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			gone, other, stranger := newJournal(t, 25), newJournal(t, 3), newJournal(t, 0)
			s := merkle.Statement{Size: other.tree.Size(), Root: other.tree.Root(), Time: began, Pruned: []merkle.Pruned{{Origin: gone.key.Origin(), To: uint64(tt.says)}}}
			signer := other.key
			if tt.forged {
				signer = stranger.key
			}
			note, err := signer.Sign(s)
			if err != nil {
				t.Fatal(err)
			}
			other.signed.Note = note
			rest := *gone
			rest.entries = gone.entries[tt.from:]
			dir := t.TempDir()
			exported(t, gone, dir, func(o *export.Options) {
				o.Source, o.Tree, o.Query = &rest, several{gone, other}, audit.Query{Replica: gone.key.Origin()}
			})
			report, err := export.Verify(t.Context(), export.Folder(dir), gone.key.Public(), other.key.Public())
			if err != nil || report.OK() != (tt.want == "") || !strings.Contains(strings.Join(report.Problems, "\n"), tt.want) {
				t.Errorf("%+v, %v, want %q", report, err, tt.want)
			}
		})
	}
}
