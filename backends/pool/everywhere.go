package pool

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/wire"
)

// changes tells the calls that change something at a server, and so have to be
// made at every one. Settings are read by a change of none.
func changes(method string, req any) bool {
	switch method {
	case inference.GRPCInferenceService_RepositoryModelLoad_FullMethodName,
		inference.GRPCInferenceService_RepositoryModelUnload_FullMethodName:
		return true
	case inference.GRPCInferenceService_TraceSetting_FullMethodName:
		r, ok := req.(*inference.TraceSettingRequest)
		return !ok || len(r.GetSettings()) > 0
	case inference.GRPCInferenceService_LogSettings_FullMethodName:
		r, ok := req.(*inference.LogSettingsRequest)
		return !ok || len(r.GetSettings()) > 0
	}
	return false
}

// answerOf is what one replica answered.
type answerOf struct {
	message *wire.Message
	err     error
}

// each sends a call to every replica at once and waits for all, in the order of
// their addresses. The answers are the caller's to free.
func (p *Pool) each(ctx context.Context, c call) []answerOf {
	if h, ok := c.req.(wire.HandOver); ok {
		c.req = h.Message
	}
	all := p.all()
	answers := make([]answerOf, len(all))
	var asking sync.WaitGroup
	for i, m := range all {
		asking.Go(func() {
			mine := c
			mine.opts = nil // headers of several have no order
			answers[i].message = new(wire.Message)
			mine.resp = answers[i].message
			answers[i].err = m.count(ctx, mine)
		})
	}
	asking.Wait()
	return answers
}

// everywhere makes a change at every replica. It is never repeated. Where all
// answer alike the answer is one of theirs; else the error says which failed.
func (p *Pool) everywhere(ctx context.Context, c call) error {
	answers := p.each(ctx, c)
	defer free(answers)
	p.ask()
	if len(answers) == 0 {
		return errNobody()
	}
	failed := indexesOf(answers)
	switch {
	case len(failed) == 0:
		return give(c.resp, answers[0].message)
	case len(failed) == len(answers) && alike(answers):
		return answers[0].err
	}
	return partial(c.method, answers, failed)
}

func free(answers []answerOf) {
	for _, a := range answers {
		a.message.Free()
	}
}

func indexesOf(answers []answerOf) (failed []int) {
	for i, a := range answers {
		if a.err != nil {
			failed = append(failed, i)
		}
	}
	return failed
}

// alike tells whether all failed with one status.
func alike(answers []answerOf) bool {
	return !slices.ContainsFunc(answers, func(a answerOf) bool { return a.err.Error() != answers[0].err.Error() })
}

// partial is the error of a change that some replicas did not make. Replicas have
// numbers here: their addresses are not the caller's to know. `sluice backends
// status` shows them in the same order.
func partial(method string, answers []answerOf, failed []int) error {
	numbers := make([]string, len(failed))
	for i, at := range failed {
		numbers[i] = strconv.Itoa(at + 1)
	}
	rpc := method[strings.LastIndexByte(method, '/')+1:]
	first := answers[failed[0]].err
	code, text := codes.Unknown, first.Error()
	if own, ok := access.AsError(first); ok {
		code = codes.Unavailable
		if own.Kind == access.Unimplemented {
			code = codes.Unimplemented
		}
	} else if st, ok := status.FromError(first); ok {
		code, text = st.Code(), st.Message()
	}
	return status.Error(code, fmt.Sprintf("%s was done at %d of %d replicas; replica %s failed: %s",
		rpc, len(answers)-len(failed), len(answers), strings.Join(numbers, ", "), text))
}

// give puts an answer where the caller wants it.
func give(resp any, answer *wire.Message) error {
	switch r := resp.(type) {
	case *wire.Message:
		return r.Take(answer)
	case proto.Message:
		return answer.Unmarshal(r)
	}
	return fmt.Errorf("backends/pool: cannot answer with a %T", resp)
}

// modelReady asks one replica after the other until one has the model ready: a
// model is ready if a call for it can be answered.
func (p *Pool) modelReady(ctx context.Context, c call) error {
	answers := p.each(ctx, c)
	defer free(answers)
	var last error = errNobody()
	var said *wire.Message
	for _, a := range answers {
		var r inference.ModelReadyResponse
		if a.err != nil {
			last = a.err
			continue
		}
		if err := a.message.Unmarshal(&r); err != nil {
			last = err
			continue
		}
		if said = a.message; r.GetReady() {
			break
		}
	}
	if said == nil {
		return last
	}
	return give(c.resp, said)
}
