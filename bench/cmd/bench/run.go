package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/bench/kserve"
	"github.com/sluice-gateway/sluice/bench/load"
	"github.com/sluice-gateway/sluice/bench/probe"
	"github.com/sluice-gateway/sluice/bench/report"
	"github.com/sluice-gateway/sluice/bench/scenario"
	"github.com/sluice-gateway/sluice/bench/target"
)

var errNothing = errors.New("no call ended within the measured time")

var errFailed = errors.New("there were errors, so the figures stand for nothing")

// run measures all scenarios in interleaved rounds: in each round each target
// takes its turn, freshly started.
func run(ctx context.Context, args []string, stderr io.Writer) error {
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	b, err := newBench(ctx, o, stderr)
	if err != nil {
		return err
	}
	defer b.backend.Stop()
	for _, s := range b.run.Scenarios {
		for round := range o.rounds {
			for _, t := range b.targets {
				if t.Takes(s.Name) {
					b.measure(ctx, s, t, round)
				}
			}
		}
	}
	return b.finish()
}

// bench is a run under way.
type bench struct {
	options
	stderr  io.Writer
	self    string
	setting target.Setting
	backend *target.Running
	targets []target.Target
	run     report.Run
}

func newBench(ctx context.Context, o options, stderr io.Writer) (*bench, error) {
	b := &bench{options: o, stderr: stderr}
	b.run.Machine = report.ThisMachine(time.Now())
	b.run.Machine.Commit, b.run.Machine.TargetCores, b.run.Machine.LoadCores = o.commit, o.cores, o.loadCores
	b.run.Rounds = o.rounds
	if err := errors.Join(b.choose(), b.prepare()); err != nil {
		return nil, err
	}
	b.run.Machine.Versions = target.Versions(ctx, b.bin)
	var err error
	b.backend, b.setting.LLM, err = target.StartBackend(ctx, b.setting, b.self, o.loadCores)
	if err != nil {
		return nil, err
	}
	b.setting.Backend = b.backend.Address
	return b, nil
}

// choose picks scenarios and targets; what is not installed is named.
func (b *bench) choose() (err error) {
	all := scenario.All(b.warmup, b.duration)
	if b.run.Scenarios, err = chosen(all, b.scenarios, scenarioName); err != nil {
		return err
	}
	targets, err := chosen(target.All(), b.options.targets, targetName)
	if err != nil {
		return err
	}
	for _, t := range targets {
		if program := t.Missing(b.bin); program != "" {
			b.say("left out: %s: %s is not in %s", t.Name, program, b.bin)
			b.run.LeftOut = append(b.run.LeftOut, report.About{Name: t.Name, Text: program + " is not installed"})
			continue
		}
		for _, s := range b.run.Scenarios {
			if why := t.Cannot(s.Name); why != "" {
				b.run.LeftOut = append(b.run.LeftOut, report.About{Name: t.Name + " in " + s.Name, Text: why})
			}
		}
		b.targets = append(b.targets, t)
		b.run.Targets = append(b.run.Targets, report.About{Name: t.Name, Text: t.Does})
	}
	return nil
}

// prepare makes the folders and the caller's identity.
func (b *bench) prepare() (err error) {
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	b.setting.Cores = b.cores
	if b.setting.CPUs, err = countCores(b.cores); err != nil {
		return err
	}
	if b.setting.Bin, err = filepath.Abs(b.bin); err != nil {
		return err
	}
	out, err := filepath.Abs(b.out)
	if err != nil {
		return err
	}
	b.setting.Dir = filepath.Join(out, "work")
	if err := errors.Join(os.RemoveAll(b.setting.Dir), os.MkdirAll(b.setting.Dir, 0o755)); err != nil {
		return err
	}
	b.setting.Identity, err = target.NewIdentity(b.setting.Dir, time.Now())
	b.setting.Ready = b.ready
	return err
}

// ready makes one call, with the token.
func (b *bench) ready(ctx context.Context, t target.Target, address string) error {
	return b.call(ctx, t, address, b.setting.Identity.Token)
}

func (b *bench) call(ctx context.Context, t target.Target, address, token string) error {
	ask := kserve.Ask{Model: scenario.Model, Input: 128, Output: 128}
	if t.Door == load.Completions {
		ask.Tokens = 1
	}
	return load.Check(ctx, load.Spec{Address: address, Door: t.Door, Prompt: t.Prompt, Token: token, Conns: 1, Ask: ask})
}

// refuses makes sure that a target that is said to decide does: an error
// means that it lets through who has no token, or one without the group.
func (b *bench) refuses(ctx context.Context, address string) error {
	for who, token := range map[string]string{"nobody": "", "a stranger": b.setting.Identity.Stranger} {
		switch err := b.call(ctx, target.Target{}, address, token); status.Code(err) {
		case codes.Unauthenticated, codes.PermissionDenied:
		default:
			return fmt.Errorf("%s is not refused: %v", who, err)
		}
	}
	return nil
}

// measure fills one cell. Whatever fails is kept in it, and the run goes on.
func (b *bench) measure(ctx context.Context, s scenario.Scenario, t target.Target, round int) {
	cell := report.Cell{Scenario: s.Name, Target: t.Name, Round: round}
	running, err := target.Start(ctx, t, b.setting)
	if err == nil && t.Decides {
		err = b.refuses(ctx, running.Address)
	}
	if err == nil {
		spec := s.Spec
		spec.Address, spec.Token = running.Address, b.setting.Identity.Token
		spec.Door, spec.Prompt = t.Door, t.Prompt
		spec.Console, spec.Approver = running.Console, b.setting.Identity.Approver
		spec.Proxy, spec.Backend = running.Probe, probe.Spec{PIDs: b.backend.Probe.PIDs}
		cell.Result, err = loadProcess(ctx, b.self, b.loadCores, spec)
		if err == nil && cell.Result.Calls+cell.Result.Tokens+cell.Result.Errors == 0 && !b.smoke {
			err = errNothing
		}
	}
	if running != nil {
		running.Stop()
	}
	switch {
	case err != nil:
		cell.Failed = err.Error()
	case cell.Result.Errors == 0: // else its configuration and log are of use
		if err := running.Remove(); err != nil {
			b.say("%v", err)
		}
	}
	b.run.Cells = append(b.run.Cells, cell)
	b.say("%s", progress(s, cell, b.rounds))
}

func progress(s scenario.Scenario, c report.Cell, rounds int) string {
	head := fmt.Sprintf("%-13s %d/%d  %-18s ", c.Scenario, c.Round+1, rounds, c.Target)
	switch f := report.NewFigures(s, c.Result); {
	case c.Failed != "":
		return head + "FAILED: " + c.Failed
	case c.Result.Errors > 0:
		return head + fmt.Sprintf("%d ERRORS: %s", c.Result.Errors, c.Result.FirstError)
	case s.Held():
		return head + fmt.Sprintf("%8.1f KiB a call  all released in %.0f ms", f.KiBPerIdle, f.ReleasedMs)
	case s.Idle():
		return head + fmt.Sprintf("%8.1f KiB a stream", f.KiBPerIdle)
	default:
		return head + fmt.Sprintf("%8.0f/s  p50 %8.0f µs  p99 %8.0f µs  CPU %8.1f µs  peak %+.1f MiB",
			f.Rate, f.P50, f.P99, f.CPU, f.PeakMiB)
	}
}

func (b *bench) finish() error {
	if err := b.run.Write(b.out); err != nil {
		return err
	}
	b.say("written: %s", filepath.Join(b.out, report.TableFile))
	if errs := b.run.Errors(); len(errs) > 0 {
		return fmt.Errorf("%w: %d cells, the first: %s", errFailed, len(errs), errs[0])
	}
	if b.publish == "" {
		return nil
	}
	return b.run.Publish(b.publish)
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.stderr, format+"\n", args...)
}
