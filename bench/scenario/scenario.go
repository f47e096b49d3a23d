// Package scenario is the list of what the benchmark asks of each target. A
// scenario is the same for all of them: payload, callers, connections, time.
package scenario

import (
	"time"

	"github.com/sluice-gateway/sluice/bench/kserve"
	"github.com/sluice-gateway/sluice/bench/load"
)

// Names of the scenarios that the bars speak of.
const (
	Small1  = "small-1"
	Small16 = "small-16"
	MiB1    = "1MiB"
	MiB16   = "16MiB"
	Tokens  = "tokens"
	Unique  = "tokens-unique"
	Paced   = "tokens-paced"
	First   = "first-token"
	Open    = "open"
	Idle    = "idle-streams"
	Held    = "held-calls"
)

// Model is the one model that the benchmark calls.
const Model = "bench"

const (
	smallBytes = 128
	// HeldInput is the size of the requests that have to wait for an approver.
	HeldInput = 256
	mib       = 1 << 20
	// longFactor makes the measurement longer in which calls are few.
	longFactor = 3
	// MaxOutput is the largest tensor that a scenario asks for.
	MaxOutput = 16 * mib
)

// Scenario is one kind of load.
type Scenario struct {
	Name  string
	About string
	// Spec has no address, token or processes yet: those are the target's.
	Spec load.Spec
}

// Tokens tells whether the scenario counts tokens, not calls.
func (s Scenario) Tokens() bool { return s.Spec.Mode == load.Stream }

// Idle tells whether the scenario is about calls that wait.
func (s Scenario) Idle() bool { return s.Spec.Mode == load.Idle || s.Held() }

// Held tells whether they wait for an approver.
func (s Scenario) Held() bool { return s.Spec.Mode == load.Held }

// All gives the scenarios, each measured for duration after warmup.
func All(warmup, duration time.Duration) []Scenario {
	all := timeless()
	for i := range all {
		all[i].Spec.Warmup, all[i].Spec.Duration = warmup, duration
		if all[i].Name == MiB16 {
			all[i].Spec.Duration *= longFactor
		}
	}
	return all
}

// timeless are the scenarios before it is said how long each is measured.
func timeless() []Scenario {
	infer := func(size int) kserve.Ask { return kserve.Ask{Model: Model, Input: size, Output: size} }
	tokens := func(n int, interval time.Duration) kserve.Ask {
		return kserve.Ask{Model: Model, Input: smallBytes, Tokens: n, Interval: interval}
	}
	return []Scenario{
		{
			Small1, "infer, 128 bytes of tensors each way, 1 caller",
			load.Spec{Mode: load.Closed, Conns: 1, Callers: 1, Ask: infer(smallBytes)},
		},
		{
			Small16, "infer, 128 bytes of tensors each way, 16 callers on 4 connections",
			load.Spec{Mode: load.Closed, Conns: 4, Callers: 16, Ask: infer(smallBytes)},
		},
		{
			MiB1, "infer, a tensor of 1 MiB each way, 4 callers on 4 connections",
			load.Spec{Mode: load.Closed, Conns: 4, Callers: 4, Ask: infer(mib)},
		},
		{
			MiB16, "infer, a tensor of 16 MiB each way, 2 callers on 2 connections",
			load.Spec{Mode: load.Closed, Conns: 2, Callers: 2, Ask: infer(MaxOutput)},
		},
		{
			Tokens, "16 streams on 4 connections, 200 tokens each, as fast as they go",
			load.Spec{Mode: load.Stream, Conns: 4, Callers: 16, Ask: tokens(200, 0)},
		},
		{
			Unique, "the same, and each token is a word that no other is",
			load.Spec{Mode: load.Stream, Conns: 4, Callers: 16, Ask: kserve.Ask{Model: Model, Input: smallBytes, Tokens: 200, Unique: true}},
		},
		{
			Paced, "64 streams on 4 connections, 250 tokens each, one every 20 ms",
			load.Spec{Mode: load.Stream, Conns: 4, Callers: 64, Ask: tokens(250, 20*time.Millisecond)},
		},
		{
			First, "streams of 20 tokens, one every 5 ms, 8 callers on 4 connections; latency is a caller's wait for the first",
			load.Spec{Mode: load.First, Conns: 4, Callers: 8, Ask: tokens(20, 5*time.Millisecond)},
		},
		{
			Open, "small infer at 1000 calls a second whatever the answers do, latency from when a call was due",
			load.Spec{Mode: load.Open, Conns: 4, Callers: 256, Rate: 1000, Ask: infer(smallBytes)},
		},
		{
			Idle, "1000 streams on 8 connections that have had one token each and wait",
			load.Spec{Mode: load.Idle, Conns: 8, Callers: 1000, Ask: tokens(1, 0)},
		},
		{
			Held, "1000 small infers on 8 connections that wait for one approval; all ms is from the approver's call to the last answer",
			load.Spec{Mode: load.Held, Conns: 8, Callers: 1000, Ask: infer(HeldInput)},
		},
	}
}
