package rest

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/rest/dialect"
	"github.com/sluice-gateway/sluice/rest/inprocess"
)

const (
	// bodyStep is how much of a body has to come within bodyTime: who sends more
	// slowly is cut off.
	bodyStep = 16 << 10
	bodyTime = 30 * time.Second
	// writeTime is how long one piece of an answer may take to be written.
	writeTime = 60 * time.Second
	// restTime is how long the server reads on what a refused request goes on sending.
	restTime = 5 * time.Second
)

// exchange is one request and its answer.
type exchange struct {
	http.ResponseWriter
	door    *Door
	http    *http.Request
	control *http.ResponseController
	caller  inprocess.Caller
	call    *access.Call   // nil until the chain has made it
	failed  *dialect.Error // what reading the body failed with
	aside   bool           // Triton has no such route
	wrote   bool
	// bodyEnded tells that no more of the body is read, or is to be read.
	bodyEnded, interrupted atomic.Bool
}

type exchangeKey struct{}

func newExchange(d *Door, w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{ResponseWriter: w, door: d, http: r, control: http.NewResponseController(w)}
	x.caller = inprocess.Caller{
		Peer: peerOf(r), Metadata: metadataOf(r.Header), Interrupt: x.interrupt,
		Door: &access.Door{Name: DoorName, Opened: x.opened},
	}
	_ = x.control.SetWriteDeadline(time.Time{})
	return x
}

// DoorName is what records call the door.
const DoorName = "rest"

// RequestID is the header that carries the call's id, which the log has too. An
// answer without it was given before there was a call.
const RequestID = "X-Request-Id"

// opened hears of the call that the chain has made.
func (x *exchange) opened(call *access.Call) {
	x.call = call
	x.Header().Set(RequestID, call.ID)
}

// request is what the mux gets: no header, query or body of the caller's, so
// that the gateway's own reading of them, which comes before identity and would
// make metadata of headers, has nothing to read.
func (x *exchange) request(ctx context.Context, path string) *http.Request {
	ctx = inprocess.WithCaller(context.WithValue(ctx, exchangeKey{}, x), &x.caller)
	r := (&http.Request{
		Method: x.http.Method, URL: &url.URL{Path: path}, Header: make(http.Header), Body: http.NoBody,
		Proto: x.http.Proto, ProtoMajor: x.http.ProtoMajor, ProtoMinor: x.http.ProtoMinor,
	}).WithContext(ctx)
	return r
}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// close bounds what is left to do when the handler has returned: the server
// still sends the last of the answer, and reads the last of the request.
func (x *exchange) close() {
	rest := restTime
	if x.interrupted.Load() {
		rest = 0 // its answer goes out after that
	}
	_ = x.control.SetReadDeadline(time.Now().Add(rest))
	_ = x.control.SetWriteDeadline(time.Now().Add(writeTime))
}

// body is the request's body, read under a deadline that moves on with it.
type body struct {
	x    *exchange
	left int // until the deadline moves
}

// interrupt ends the reading of the body, for a call that has been ended.
func (x *exchange) interrupt() {
	x.interrupted.Store(true)
	if !x.bodyEnded.Load() {
		_ = x.control.SetReadDeadline(time.Now())
	}
}

// Read reads from the body.
func (b *body) Read(p []byte) (int, error) {
	if b.left <= 0 {
		b.left = bodyStep
		_ = b.x.control.SetReadDeadline(time.Now().Add(bodyTime))
		if b.x.interrupted.Load() { // whichever of the two came last
			_ = b.x.control.SetReadDeadline(time.Now())
		}
	}
	n, err := b.x.http.Body.Read(p)
	b.left -= n
	if err != nil {
		b.x.bodyEnded.Store(true)
		// An answer may take longer; the deadline was for the body.
		_ = b.x.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// Write writes a piece of the answer's body.
func (x *exchange) Write(p []byte) (int, error) {
	x.wrote = true
	_ = x.control.SetWriteDeadline(time.Now().Add(writeTime))
	return x.ResponseWriter.Write(p)
}

// flush sends what is written. Until the next piece nothing is waited for: over
// HTTP/2 a deadline ends a stream on which nothing is written, too.
func (x *exchange) flush() error {
	err := x.control.Flush()
	_ = x.control.SetWriteDeadline(time.Time{})
	return err
}

// Unwrap lets http.ResponseController find what the writer can do.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// peerOf is the address that a request came from.
func peerOf(r *http.Request) net.Addr {
	if peer := access.PeerFrom(r.Context()); peer != nil {
		return peer
	}
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return &net.UnixAddr{Name: "unknown"} // which no rule about addresses trusts
	}
	return net.TCPAddrFromAddrPort(addr)
}
