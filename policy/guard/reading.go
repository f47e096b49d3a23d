package guard

import (
	"fmt"
	"net/netip"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/wire"
)

// Request is a call, or a message of a stream, that a role allows. It and what it
// refers to are read, not kept.
type Request struct {
	Verb           access.Verb
	Model, Version string
	Principal      *access.Principal
	// Client is the caller's address; the zero Addr where it has none.
	Client netip.Addr
	// Metadata is what the caller sent; guards see its keys alone.
	Metadata map[string][]string
	Now      time.Time
	// Size is the message's length in bytes.
	Size int
	// Infer is the view of a request to infer, Control the decoded message of any
	// other call; at most one is set.
	Infer   *wire.InferRequest
	Control proto.Message
}

// Bounds on what is read of one request; what is larger fails the guard that
// reads it.
const (
	maxText   = 1 << 20  // bytes of texts, parameters or JSON
	maxListed = 1024     // inputs, outputs, parameters, files
	maxValues = 100_000  // values of one JSON text
	maxDepth  = 64       // of one JSON text
	maxName   = 1024     // bytes of a tensor's or parameter's name
	maxWork   = 32 << 20 // bytes of text times expressions of deny lists
)

// failure is why something can't be told of a request. Its text is shown to the
// caller, and holds nothing of what he sent but names.
type failure struct{ text string }

func (f *failure) Error() string { return f.text }

func fail(format string, args ...any) error { return &failure{fmt.Sprintf(format, args...)} }

// reading is one request as guards see it: each fact is found out when it is
// asked for, and once. It is an activation of expressions.
type reading struct {
	r    *Request
	left int // bytes of text that may still be read
	work int // bytes on which an expression of a list may still be tried

	inputs     once[[]*input]
	outputs    once[[]string]
	parameters once[map[string]any]
	override   once[*override]
	sampling   once[map[string]any]
	asked      once[[]map[string]any]
}

func newReading(r *Request) *reading { return &reading{r: r, left: maxText, work: maxWork} }

// once is a fact, or why it can't be told.
type once[T any] struct {
	value T
	err   error
	done  bool
}

func (o *once[T]) get(find func() (T, error)) (T, error) {
	if !o.done {
		o.value, o.err = find()
		o.done = true
	}
	return o.value, o.err
}

// take counts text that is read.
func (r *reading) take(n int) error {
	if r.left -= n; r.left < 0 {
		return fail("the request has more than %d bytes of text to look at", maxText)
	}
	return nil
}

var _ cel.Activation = (*reading)(nil)

// Parent is of [cel.Activation].
func (r *reading) Parent() cel.Activation { return nil }

// ResolveName finds the value of a variable. One that can't be told is an error
// of the expression, unless what else is in it decides.
func (r *reading) ResolveName(name string) (any, bool) {
	if v, ok := r.plain(name); ok {
		return v, true
	}
	var v any
	var err error
	switch name {
	case "parameters":
		v, err = r.params()
	case "inputs":
		v, err = r.inputList()
	case "outputs":
		v, err = r.requested()
	case "batch":
		v, err = r.batch()
	case "override.config":
		if o, failed := r.pushed(); failed != nil {
			err = failed
		} else {
			v, err = o.model()
		}
	case "override.files":
		v, err = r.fileList()
	case callVariable:
		v = object{variables[callVariable].typ, r}
	default:
		return nil, false
	}
	if err != nil {
		return types.WrapErr(err), true
	}
	return v, true
}

// plain are the variables that cost nothing to find.
func (r *reading) plain(name string) (any, bool) {
	who := r.r.Principal
	if who == nil {
		who = new(access.Principal)
	}
	switch name {
	case "verb":
		return r.r.Verb.String(), true
	case "model":
		return r.r.Model, true
	case "version":
		return r.r.Version, true
	case "principal.subject":
		return who.Subject, true
	case "principal.issuer":
		return who.Issuer, true
	case "principal.kind":
		return string(who.Kind), true
	case "principal.groups":
		return who.Groups, true
	case "client.address":
		if !r.r.Client.IsValid() {
			return "", true
		}
		return r.r.Client.Unmap().String(), true
	case "metadata":
		keys := make([]string, 0, len(r.r.Metadata))
		for key := range r.r.Metadata {
			keys = append(keys, key)
		}
		return keys, true
	case "now":
		return r.r.Now, true
	case "size":
		return r.r.Size, true
	}
	return nil, false
}
