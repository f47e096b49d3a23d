package connection

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
)

// run asks about each connection, until the verifier ends.
func (v *verifier) run(ctx context.Context) {
	defer v.end()
	var again <-chan time.Time
	lost := 0 // questions in a row that the connection did not outlive
	for {
		select {
		case <-ctx.Done():
			return
		case <-v.connect:
		case <-again:
		}
		v.asker.settled(ctx)
		v.mu.Lock()
		asked := v.made
		select { // what was made until here is what is asked about
		case <-v.connect:
		default:
		}
		v.mu.Unlock()
		refused, failed := v.judge(ctx)
		again = nil
		if refused != nil {
			again = time.After(askAgain)
		}
		if v.settle(asked, refused, failed) {
			lost = 0
			continue
		}
		if lost++; lost >= maxLost {
			v.giveUp()
		}
		// grpc-go connects at once after a connection that was made: a server that
		// breaks off each time must not be asked without a pause.
		if !pause(ctx, min(time.Duration(lost)*lostPause, askTimeout)) {
			return
		}
	}
}

// pause lets time pass; false if ctx has ended before.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// errLost is why calls are not made on a connection that never lasts.
var errLost = errors.New("each connection ended before the server had said what it is")

// giveUp tells those who wait that the server is away.
func (v *verifier) giveUp() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if waiting := v.now.Load(); !waiting.isKnown() {
		v.now.Store(unasked)
		waiting.err = backends.Away(backends.Unsent(errLost))
		close(waiting.known)
	}
}

// judge asks, and says with which error calls are refused from now on, or those
// that wait have failed.
func (v *verifier) judge(ctx context.Context) (refused, failed error) {
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	m, err := v.asker.ask(asking)
	kind := KindOf(m)
	switch {
	case err != nil && v.wrong:
		return v.refusal("was of another kind, and does not say what it is now"), nil
	case backends.IsAway(err) && !v.asker.isConnected():
		return nil, backends.Away(backends.Unsent(err))
	case err != nil:
		v.log.DebugContext(ctx, "a backend does not say what it is", "backend", v.name, "error", err)
		return nil, nil
	case kind == "":
		v.log.WarnContext(ctx, "backend "+v.name+" answers as no known kind of server; it is believed to be what it is configured as",
			"backend", v.name, "type", string(v.kind), "server", access.Quote(m.GetName()))
	case kind != v.kind:
		v.tell(ctx, true, kind)
		return v.refusal("configured as " + string(v.kind) + ", answers as " + string(kind)), nil
	}
	v.tell(ctx, false, kind)
	return nil, nil
}

// refusal is what calls get; why is for the log alone.
func (v *verifier) refusal(why string) error {
	return &access.Error{
		Kind: access.Unavailable, Reason: access.ReasonBackendKind, Cause: backends.Unsent(mismatch(why)),
		Message: "the model's server is of another kind than this gateway is configured for; tell the platform team",
	}
}

// settle gives those who wait their answer, and the calls to come; false if
// there is a newer connection than the one that was asked.
func (v *verifier) settle(asked int, refused, failed error) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if asked != v.made {
		return false
	}
	waiting, next := v.now.Load(), fine
	switch {
	case refused != nil:
		next, failed = known(refused), refused
	case failed != nil:
		next = unasked
	}
	v.now.Store(next)
	if !waiting.isKnown() {
		waiting.err = failed
		close(waiting.known)
	}
	return true
}

// end lets all calls on: the connection is closed, and says so itself.
func (v *verifier) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.over = true
	if waiting := v.now.Swap(fine); !waiting.isKnown() {
		close(waiting.known)
	}
}

// tell says whether the server is of the wrong kind, when that changes.
func (v *verifier) tell(ctx context.Context, wrong bool, kind Kind) {
	if wrong == v.wrong {
		return
	}
	v.wrong = wrong
	if v.told != nil {
		v.told(wrong)
	}
	if wrong {
		v.log.ErrorContext(ctx, "backend "+v.name+" is configured as "+string(v.kind)+" but answers as "+string(kind)+"; its calls are refused until the two are the same",
			"backend", v.name, "type", string(v.kind), "answers_as", string(kind))
		return
	}
	v.log.InfoContext(ctx, "backend "+v.name+" is of the configured kind now", "backend", v.name, "type", string(v.kind))
}
