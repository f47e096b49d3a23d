package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/store/sqlite"
)

// asChild makes the test binary another process on the file that it names.
const asChild = "SLUICE_TEST_STORE"

func TestMain(m *testing.M) {
	if path := os.Getenv(asChild); path != "" {
		if err := child(path); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// child counts up ten times, says so, and waits for its end.
func child(path string) error {
	s, err := sqlite.Open(context.Background(), path)
	if err != nil {
		return err
	}
	if err := count(s, 10); err != nil {
		return err
	}
	fmt.Println("done")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func count(s *sqlite.Store, times int) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for times > 0 {
		item, err := s.Get(ctx, "thing", "n")
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(item.Body))
		if err != nil {
			return err
		}
		item.Body = strconv.AppendInt(nil, int64(n)+1, 10)
		if err = s.Apply(ctx, store.Change{Item: item}); err == nil {
			times--
		} else if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return nil
}

// TestProcesses: several processes count up in one file and lose nothing, not
// even when they are killed; and each hears of the others' changes.
func TestProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.db")
	s := open(t, path)
	if err := s.Apply(t.Context(), put("n", []byte("0"))); err != nil {
		t.Fatal(err)
	}
	hints := s.Watch(t.Context(), "thing")
	<-hints // the first
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var children []*exec.Cmd
	var said []*bufio.Reader
	for range 3 {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), asChild+"="+path)
		if _, err := cmd.StdinPipe(); err != nil { // stays open
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		children, said = append(children, cmd), append(said, bufio.NewReader(out))
	}
	if err := count(s, 10); err != nil {
		t.Error(err)
	}
	for i, cmd := range children {
		if line, err := said[i].ReadString('\n'); line != "done\n" {
			t.Errorf("child %d says %q, %v", i, line, err)
		}
		_ = cmd.Process.Kill() // it has closed nothing
		_ = cmd.Wait()
	}
	item, err := s.Get(t.Context(), "thing", "n")
	if err != nil || string(item.Body) != "40" {
		t.Errorf("counted to %s, %v", item.Body, err)
	}
	if found, err := s.Check(t.Context()); err != nil || !found[0].OK {
		t.Errorf("check: %+v, %v", found, err)
	}
	// Of its own changes a store knows the ids; without one is what others did.
	for timeout := time.After(time.Minute); ; {
		select {
		case hint := <-hints:
			if hint.ID != "" {
				continue
			}
		case <-timeout:
			t.Error("no hint of other processes' changes")
		}
		return
	}
}
