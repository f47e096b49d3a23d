package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/audittest"
	"github.com/sluice-gateway/sluice/audit/merkle"
	"github.com/sluice-gateway/sluice/audit/sqlite"
)

// childFolder tells the test's binary to be the process that is killed.
const childFolder = "SLUICE_AUDIT_CHILD"

// TestChild is not a test: it records as fast as it can until it is killed, and
// says of each record that it was handed over or, if it is strict, written.
func TestChild(t *testing.T) {
	dir := os.Getenv(childFolder)
	if dir == "" {
		t.Skip("is another test's child")
	}
	l, err := sqlite.Open(t.Context(), filepath.Join(dir, "audit.db"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := merkle.OpenKey(filepath.Join(dir, "audit.key"))
	if err != nil {
		t.Fatal(err)
	}
	o := audit.Options{Log: l, Key: key, Logger: slog.New(slog.DiscardHandler)}
	o.Config.SetDefaults()
	r, err := audit.NewRecorder(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for worker := range 4 {
		go func() {
			for i := worker; ; i += 4 {
				record := audittest.Infer(i)
				record.Object = strconv.Itoa(i)
				if i%40 == worker {
					if r.Write(context.Background(), record, nil) != nil {
						return
					}
					fmt.Printf("written %d %d\n", i, time.Now().UnixMicro())
					continue
				}
				if r.Admit(context.Background()) != nil {
					return
				}
				handed := time.Now().UnixMicro()
				r.Record(record, nil)
				fmt.Printf("handed %d %d\n", i, handed)
				time.Sleep(100 * time.Microsecond)
			}
		}()
	}
	select {}
}

// said is what a child said before it was killed.
type said struct {
	written []int
	handed  map[int]time.Time
}

// kill runs a child until it has written, and for a while more, kills it, and returns
// what it said.
func kill(t *testing.T, dir string, after time.Duration) said {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childFolder+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := said{handed: make(map[int]time.Time)}
	lines := bufio.NewScanner(out)
	end := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer end.Stop()
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) != 3 {
			continue // cut off
		}
		i, err1 := strconv.Atoi(words[1])
		at, err2 := strconv.ParseInt(words[2], 10, 64)
		switch {
		case err1 != nil || err2 != nil:
		case words[0] == "written":
			if s.written = append(s.written, i); len(s.written) == 1 {
				end.Reset(after)
			}
		case words[0] == "handed":
			s.handed[i] = time.UnixMicro(at)
		}
	}
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait()
	return s
}

// lossWindow is what a record that is not strict may be lost of: the batch window
// (50 ms), and the time of writing the batch before on a machine with much else to do.
const lossWindow = 3 * time.Second

func TestKillLosesNoStrictRecord(t *testing.T) {
	if os.Getenv(childFolder) != "" {
		t.Skip("in the child")
	}
	for run := range kills {
		dir := t.TempDir()
		s := kill(t, dir, time.Duration(100+rand.IntN(500))*time.Millisecond)
		if len(s.written) == 0 {
			t.Errorf("run %d: nothing was written", run)
			continue
		}
		k := &kept{t: t, dir: dir, path: filepath.Join(dir, "audit.db")}
		have := make(map[int]bool)
		l := open(t, k.path)
		for f, err := range l.Search(t.Context(), audit.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			i, _ := strconv.Atoi(f.Record.Object)
			have[i] = true
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		last := time.Time{}
		for _, at := range s.handed {
			if at.After(last) {
				last = at
			}
		}
		for _, i := range s.written {
			if !have[i] {
				t.Errorf("run %d: strict record %d is lost", run, i)
			}
		}
		lost, oldest := 0, time.Duration(0)
		for i, at := range s.handed {
			if !have[i] {
				lost++
				oldest = max(oldest, last.Sub(at))
			}
		}
		if oldest > lossWindow {
			t.Errorf("run %d: a record is lost that was handed over %v before the end", run, oldest)
		}
		t.Logf("run %d: %d strict, %d others handed over, %d lost, the oldest %v old", run, len(s.written), len(s.handed), lost, oldest)
		k.record(0, 600) // it goes on
		if r, err := k.verify(); err != nil || len(r.Findings) > 0 {
			t.Errorf("run %d: found %v, %v", run, r, err)
		}
	}
}

// disk is what a disk holds of the log's two files.
type disk struct{ db, wal []byte }

func read(t *testing.T, path string) (d disk) {
	t.Helper()
	var err error
	if d.db, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	d.wal, _ = os.ReadFile(path + "-wal")
	return d
}

// sector is what a disk writes whole.
const sector = 512

// torn is a file of which some of what was written since it was synced has come to
// the disk, sector by sector, and some has not.
func torn(rng *rand.Rand, synced, now []byte) []byte {
	size := len(synced)
	if len(now) > size {
		size += rng.IntN(len(now) - size + 1)
	}
	out := make([]byte, size) // what was never written reads as zeros
	copy(out, synced)
	for at := 0; at < min(size, len(now)); at += sector {
		if end := min(at+sector, size, len(now)); rng.IntN(2) == 0 {
			copy(out[at:end], now[at:end])
		}
	}
	return out
}

// TestPowerCut stands for a loss of power. SQLite writes to its log file and, if
// asked, syncs it; what was not synced when the power goes may be there or not, each
// sector by itself. So what the files hold when a synced Append returns is taken as
// safe, and of all that is written after it any part: every record up to there has
// to be found, and no torn one.
func TestPowerCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for cut := range cuts {
		path := filepath.Join(t.TempDir(), "audit.db")
		l := open(t, path)
		all := audittest.Infers(audittest.Replica, 0, 1400)
		safe, at := 0, 0
		var synced disk
		for at < len(all)-200 || safe == 0 {
			n := 1 + rng.IntN(150)
			sync := rng.IntN(4) == 0 || safe == 0 && at+n > len(all)-200
			if err := l.Append(t.Context(), audit.Batch{Replica: audittest.Replica, Entries: all[at:min(at+n, len(all))], Sync: sync}); err != nil {
				t.Fatal(err)
			}
			at = min(at+n, len(all))
			if sync {
				if level, err := l.Synchronous(t.Context()); level != 2 || err != nil {
					t.Fatalf("synchronous is %d, %v", level, err)
				}
				safe, synced = at, read(t, path)
			}
			if safe > 0 && rng.IntN(8) == 0 {
				break
			}
		}
		now := read(t, path)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		after := filepath.Join(t.TempDir(), "audit.db")
		if err := os.WriteFile(after, torn(rng, synced.db, now.db), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(after+"-wal", torn(rng, synced.wal, now.wal), 0o600); err != nil {
			t.Fatal(err)
		}
		again := open(t, after)
		have := 0
		for f, err := range again.Search(t.Context(), audit.Query{Oldest: true}) {
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(f.Bytes, all[have].Bytes) {
				t.Fatalf("cut %d: record %d is another", cut, have)
			}
			have++
		}
		if have < safe || have > at {
			t.Errorf("cut %d: %d records are left, %d were synced, %d written", cut, have, safe, at)
		}
		if err := again.Append(t.Context(), audit.Batch{Replica: audittest.Replica, Entries: all[have:]}); err != nil {
			t.Errorf("cut %d: it does not go on: %v", cut, err)
		}
		if r, err := audit.Verify(t.Context(), again, audit.VerifyOptions{}); err != nil || len(r.Findings) > 0 {
			t.Errorf("cut %d: found %v, %v", cut, r, err)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}
}
