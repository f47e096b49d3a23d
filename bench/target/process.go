package target

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stopGrace is how long a process may take to end before it is killed.
const stopGrace = 3 * time.Second

// process is a program that runs beside the benchmark and ends with it.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	log   string
	done  chan struct{}
}

// start runs a program in dir, with its output in a file there, on the given
// cores where taskset is at hand ("" for all). Its standard input stays open
// until it is stopped: what is ours ends when that does, and the kernel kills
// the rest when the benchmark dies.
func start(dir, cpus string, argv ...string) (*process, error) {
	if cpus != "" {
		taskset, err := exec.LookPath("taskset")
		if err != nil {
			return nil, fmt.Errorf("cores %s were asked for: %w", cpus, err)
		}
		argv = append([]string{taskset, "-c", cpus}, argv...)
	}
	p := &process{log: filepath.Join(dir, "output.log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, log, log
	p.cmd.SysProcAttr = diesWithUs()
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // how it ended does not matter, that it did does
		close(p.done)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// ended tells whether the process has ended by itself.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop ends the process and waits until it has.
func (p *process) stop() {
	_ = p.stdin.Close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopGrace):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// tail gives the last of what the process said, for an error.
func (p *process) tail() string {
	const most = 2000
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(b[max(0, len(b)-most):]))
}

const (
	readyLimit = 15 * time.Second
	readyPause = 20 * time.Millisecond
)

// waitReady asks until ready says nil, a process has ended, or time is up.
func waitReady(ctx context.Context, procs []*process, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		for _, p := range procs {
			if p.ended() {
				return fmt.Errorf("%s ended at once: %s", filepath.Base(p.cmd.Path), p.tail())
			}
		}
		select {
		case <-ctx.Done():
			err = fmt.Errorf("no answer within %v: %w", readyLimit, err)
			for _, p := range procs {
				err = fmt.Errorf("%w\n%s", err, p.tail())
			}
			return err
		case <-time.After(readyPause):
		}
	}
}
