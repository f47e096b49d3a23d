// Package load sends KServe v2 calls to one address and measures them: with
// so many callers, each waiting for its answer before it asks again (closed
// loop), or at a constant rate whatever the answers do (open loop), or on
// streams. It is the only client of the benchmark, the same for each target.
//
// In the open loop a call's latency counts from the moment at which it was
// due, not from the one at which a caller was free to send it. So a target
// that stalls is charged with the wait of every call that it held up, which
// is known as correcting for coordinated omission.
package load

import (
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/bench/hist"
	"github.com/sluice-gateway/sluice/bench/kserve"
	"github.com/sluice-gateway/sluice/bench/probe"
)

// Mode says how calls are made.
type Mode string

// The modes.
const (
	// Closed is unary calls, each caller's after its last one's answer.
	Closed Mode = "closed"
	// Open is unary calls at a constant rate, with Callers at most at once.
	Open Mode = "open"
	// Stream is streams of one request and many answers, each caller's after
	// the end of its last.
	Stream Mode = "stream"
	// First is as Stream, but what counts is each caller's wait for the first
	// answer, from before it sends its request.
	First Mode = "first"
	// Idle is Callers streams that have had one answer each and wait.
	Idle Mode = "idle"
	// Held is Callers calls that wait for an approver, who agrees to them once they
	// all do.
	Held Mode = "held"
)

// Door says by which protocol calls are made; gRPC if empty.
type Door string

// The other doors, both of HTTP/1.1 with a connection for each caller.
const (
	// REST is KServe v2's: infer, and generate_stream for streams.
	REST Door = "rest"
	// Completions is vLLM's: streams alone.
	Completions Door = "completions"
)

// Spec is one measurement.
type Spec struct {
	Address string `json:"address"`
	Door    Door   `json:"door,omitempty"`
	// Prompt asks for streams in the tensors of Triton's vLLM backend, which is
	// all that such a model takes.
	Prompt bool   `json:"prompt,omitempty"`
	Token  string `json:"token"` // sent as a bearer token with each call
	// Console is the address at which an approver with the token Approver agrees, of
	// mode Held alone.
	Console  string `json:"console,omitempty"`
	Approver string `json:"approver,omitempty"`
	Mode     Mode   `json:"mode"`
	// Callers share Conns connections evenly.
	Conns   int `json:"connections"`
	Callers int `json:"callers"`
	// Rate is calls per second, of mode Open alone.
	Rate float64    `json:"rate,omitempty"`
	Ask  kserve.Ask `json:"ask"`
	// Calls are made for Warmup, then for Duration, which alone is measured.
	Warmup   time.Duration `json:"warmup_ns"`
	Duration time.Duration `json:"duration_ns"`
	// Proxy is measured beside the calls, and Backend to see that it is no
	// bottleneck. Without processes they are left out.
	Proxy   probe.Spec `json:"proxy"`
	Backend probe.Spec `json:"backend"`
}

func (s Spec) validate() error {
	switch {
	case s.Conns < 1 || s.Callers < s.Conns:
		return fmt.Errorf("%d callers cannot share %d connections", s.Callers, s.Conns)
	case s.Duration <= 0:
		return fmt.Errorf("duration %v is not positive", s.Duration)
	case s.Mode == Open && s.Rate <= 0:
		return fmt.Errorf("rate %v is not positive", s.Rate)
	case s.Mode == Held && s.Console == "":
		return fmt.Errorf("mode %s needs a console", s.Mode)
	case (s.Mode == Stream || s.Mode == First || s.Mode == Idle) && s.Ask.Tokens < 1:
		return fmt.Errorf("mode %s needs tokens", s.Mode)
	}
	return nil
}

// Result is what was measured while Spec.Duration went by.
type Result struct {
	// Calls counts answered calls, or streams that ended; Tokens their answers.
	Calls   uint64  `json:"calls"`
	Tokens  uint64  `json:"tokens,omitempty"`
	Seconds float64 `json:"seconds"`
	// Errors counts failed calls and wrong answers, warm-up included.
	Errors     uint64 `json:"errors"`
	FirstError string `json:"first_error,omitempty"`
	// Latency is of a call, or of a token from when it was due at the backend.
	Latency hist.Summary `json:"latency"`
	// The proxy before there was a connection, and around the measured time.
	Idle   probe.Sample `json:"proxy_idle"`
	Before probe.Sample `json:"proxy_before"`
	After  probe.Sample `json:"proxy_after"`
	Heap   probe.Heap   `json:"proxy_heap"` // allocated meanwhile
	// BackendCPU is the backend's processor time meanwhile.
	BackendCPU time.Duration `json:"backend_cpu_ns"`
	// Released is how long after an approval the last of the held calls was answered.
	Released time.Duration `json:"released_ns,omitempty"`
}
