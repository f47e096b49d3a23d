package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/payload"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/policy/guard"
	"github.com/sluice-gateway/sluice/wire"
)

// auditCalls are the calls that a gateway has recorded, and the end of the reading. A
// text that guards read is what is kept of it, masked, or not known.
func auditCalls(ctx context.Context, l *remoteLog, q audit.Query) (next calls, stop func()) {
	q.Oldest, q.Kinds = true, []audit.Kind{audit.KindCall, audit.KindMessage}
	pull, stop := iter.Pull2(l.Search(ctx, q))
	said := true // what was said may be read
	var past audit.Damage
	return func() (*guard.Recorded, string, error) {
		for {
			found, err, ok := pull()
			switch {
			case !ok:
				damageOf(&past).tell(l.cmd.ErrOrStderr())
				return nil, l.server, io.EOF
			case past.Take(err):
				continue
			case err != nil:
				return nil, l.server, err
			}
			r := found.Record
			verb, known := access.ParseVerb(r.Verb)
			if !known || verb > access.Shm || r.Subject == "" || verb == access.Infer && r.Model == "" {
				continue // a stream's own record, a probe, the admin API, somebody who was not known
			}
			call := recordedCall(r)
			if said && r.Payload != nil {
				content, err := l.Open(ctx, r.Payload)
				var gone absentError
				switch {
				case err == nil:
					fill(call, content)
				case ctx.Err() != nil:
					return nil, l.server, ctx.Err()
				case !errors.As(err, &gone) && !errors.Is(err, audit.ErrNotFound):
					said = false
					fmt.Fprintf(l.cmd.ErrOrStderr(), "sluice: guards that look at texts can't decide: %v\n", err)
				}
			}
			return call, fmt.Sprintf("%s/%d", r.Replica, r.Seq), nil
		}
	}, stop
}

// recordedCall is what a record says of a call.
func recordedCall(r *audit.Record) *guard.Recorded {
	c := &guard.Recorded{Verb: r.Verb, Model: r.Model}
	c.Version, c.Time, c.Size = r.AskedVersion, r.Time, int(r.BytesIn)
	c.Principal.Subject, c.Principal.Issuer, c.Principal.Kind, c.Principal.Groups = r.Subject, r.Issuer, access.Kind(r.UserKind), r.Groups
	if r.Peer.IsValid() {
		c.Client = r.Peer.String()
	}
	for _, in := range r.Inputs {
		if wire.ParseDatatype(in.Datatype) != wire.UnknownType {
			c.Inputs = append(c.Inputs, guard.RecordedInput{Name: in.Name, Datatype: in.Datatype, Shape: in.Shape})
		}
	}
	return c
}

// fill adds what is kept of the request.
func fill(c *guard.Recorded, content *payload.Content) {
	i := slices.IndexFunc(content.Frames, func(f payload.Frame) bool { return f.Kind == payload.Request && !f.Cut })
	if i < 0 {
		return
	}
	m := new(inference.ModelInferRequest)
	if proto.Unmarshal(content.Frames[i].Message, m) != nil {
		return
	}
	c.Parameters = make(map[string]any)
	for name, p := range m.GetParameters() {
		switch v := p.GetParameterChoice().(type) {
		case *inference.InferParameter_BoolParam:
			c.Parameters[name] = v.BoolParam
		case *inference.InferParameter_Int64Param:
			c.Parameters[name] = float64(v.Int64Param)
		case *inference.InferParameter_DoubleParam:
			c.Parameters[name] = v.DoubleParam
		case *inference.InferParameter_StringParam:
			c.Parameters[name] = v.StringParam
		}
	}
	for _, out := range m.GetOutputs() {
		c.Outputs = append(c.Outputs, out.GetName())
	}
	c.Inputs = nil
	raws := m.GetRawInputContents()
	for _, in := range m.GetInputs() {
		one := guard.RecordedInput{Name: in.GetName(), Datatype: in.GetDatatype(), Shape: in.GetShape()}
		_, one.SharedMemory = in.GetParameters()["shared_memory_region"]
		if len(raws) > 0 && !one.SharedMemory {
			one.Text = textsOf(one.Datatype, raws[0])
			raws = raws[1:]
		}
		for _, b := range in.GetContents().GetBytesContents() {
			one.Text = append(one.Text, string(b))
		}
		c.Inputs = append(c.Inputs, one)
	}
}

// textsOf are the elements of a BYTES tensor's raw data; nil of any other, or where
// they can't be told apart.
func textsOf(datatype string, raw []byte) (out []string) {
	if !strings.EqualFold(datatype, "BYTES") {
		return nil
	}
	for len(raw) >= 4 {
		n := uint64(raw[0]) | uint64(raw[1])<<8 | uint64(raw[2])<<16 | uint64(raw[3])<<24
		if n > uint64(len(raw)-4) {
			return nil
		}
		out, raw = append(out, string(raw[4:4+n])), raw[4+n:]
	}
	return out
}
