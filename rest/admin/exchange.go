package admin

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/rest"
)

const (
	// bodyTime is how long a request's body may take, writeTime one piece of an
	// answer.
	bodyTime  = 30 * time.Second
	writeTime = 60 * time.Second
	// restTime is how long the server reads on what a refused request goes on sending.
	restTime = 5 * time.Second
)

// exchange is one request and its answer.
type exchange struct {
	http.ResponseWriter
	http    *http.Request
	control *http.ResponseController
	caller  rest.Caller
}

type exchangeKey struct{}

func newExchange(w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{ResponseWriter: w, http: r, control: http.NewResponseController(w)}
	x.caller = rest.Caller{
		Peer: rest.PeerOf(r), Metadata: rest.MetadataOf(r.Header), Interrupt: x.interrupt,
		Door: &access.Door{Name: DoorName, Opened: func(call *access.Call) { x.Header().Set(rest.RequestID, call.ID) }},
	}
	return x
}

// DoorName is what records call the port, over gRPC and over REST.
const DoorName = "admin"

// interrupt ends the reading of a body, for a call that has been ended.
func (x *exchange) interrupt() { _ = x.control.SetReadDeadline(time.Now()) }

// request is what the mux gets: a method and a path as it was sent.
func (x *exchange) request() *http.Request {
	ctx := rest.WithCaller(context.WithValue(x.http.Context(), exchangeKey{}, x), &x.caller)
	return (&http.Request{
		Method: x.http.Method, URL: &url.URL{Path: x.http.URL.EscapedPath()}, Header: make(http.Header), Body: http.NoBody,
		Proto: x.http.Proto, ProtoMajor: x.http.ProtoMajor, ProtoMinor: x.http.ProtoMinor,
	}).WithContext(ctx)
}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// Write writes a piece of the answer.
func (x *exchange) Write(p []byte) (int, error) {
	_ = x.control.SetWriteDeadline(time.Now().Add(writeTime))
	return x.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController find what the writer can do.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// flush sends what was written. Until the next piece there is no deadline: a watch
// may have nothing to say for hours.
func (x *exchange) flush() error {
	err := x.control.Flush()
	_ = x.control.SetWriteDeadline(time.Time{})
	return err
}

// close bounds what is left to do when the handler has returned.
func (x *exchange) close() {
	_ = x.control.SetReadDeadline(time.Now().Add(restTime))
	_ = x.control.SetWriteDeadline(time.Now().Add(writeTime))
}
