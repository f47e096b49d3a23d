package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/tap"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/interceptors/telemetry"
	"github.com/sluice-gateway/sluice/notify/slack"
	"github.com/sluice-gateway/sluice/rest"
	restadmin "github.com/sluice-gateway/sluice/rest/admin"
)

// What a door refuses before the chain begins is a call like any other for the
// record: this file finds it on each door, and hands it to [interceptors.Chain.Refuse].

// metricsDoor is how records call the port of the metrics.
const metricsDoor = "metrics"

// witnessed records what next refuses without having made a call of it.
func witnessed(chain *interceptors.Chain, door string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{ResponseWriter: w}
		next.ServeHTTP(v, r)
		why := v.refused(r)
		if why == nil {
			return
		}
		at := door
		if door == restadmin.DoorName && r.URL.Path == slack.Path {
			at = slackDoor
		}
		ctx := access.WithDoor(context.Background(), &access.Door{Name: at})
		ctx = metadata.NewIncomingContext(ctx, metadata.MD{"x-forwarded-for": r.Header.Values("X-Forwarded-For")})
		ctx = peer.NewContext(ctx, &peer.Peer{Addr: rest.PeerOf(r)})
		chain.Refuse(ctx, unknown, func(call *access.Call) {
			if door == rest.DoorName {
				call.Verb, call.Model = rest.About(r)
			}
		}, why)
	})
}

// visit is an answer over HTTP, of which it is to be known whether there was a call.
type visit struct {
	http.ResponseWriter
	code   int
	called atomic.Bool
}

// opened hears of a call that there is no id of in the answer's header.
func (v *visit) opened(*access.Call) { v.called.Store(true) }

// WriteHeader is http.ResponseWriter's.
func (v *visit) WriteHeader(code int) {
	v.code = code
	v.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController find what the writer can do.
func (v *visit) Unwrap() http.ResponseWriter { return v.ResponseWriter }

// refused is why a request was refused without a call; nil if it was not. A call of
// the REST doors has its id in the answer's header.
func (v *visit) refused(r *http.Request) *access.Error {
	code, h := v.code, v.Header()
	if v.called.Load() || h.Get(rest.RequestID) != "" {
		return nil
	}
	why := &access.Error{Kind: access.Malformed, Reason: access.ReasonMalformed, Cause: fmt.Errorf("HTTP %d", code)}
	if said, err := strconv.Atoi(h.Get("Grpc-Status")); err == nil && said > 0 { // grpc-go's own
		why.Cause = fmt.Errorf("gRPC %v", codes.Code(said))
		return why
	}
	switch {
	case code < http.StatusBadRequest:
		return nil
	case code == http.StatusForbidden, r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != "":
		why.Kind, why.Reason = access.PermissionDenied, access.ReasonCrossSite
	case code == http.StatusNotFound, code == http.StatusMethodNotAllowed:
		why.Kind, why.Reason = access.Unimplemented, access.ReasonUnknownRPC
	case code == http.StatusUnauthorized:
		why.Kind, why.Reason = access.Unauthenticated, access.ReasonTokenInvalid
	case code == http.StatusConflict:
		why.Kind, why.Reason = access.Unauthenticated, access.ReasonConflict // what is shown again proves nothing
	case code == http.StatusServiceUnavailable:
		why.Kind, why.Reason = access.Unavailable, access.ReasonStoreAway
	case code >= http.StatusInternalServerError:
		why.Kind, why.Reason = access.Internal, access.ReasonInternal
	}
	return why
}

// witnessTap is [telemetry.Tap], which also records what grpc-go is about to refuse: a
// path that is no method's, and a deadline that is over. It runs under the
// connection's lock: what it waits for, the caller alone waits for.
func witnessTap(chain *interceptors.Chain) tap.ServerInHandle {
	return func(ctx context.Context, info *tap.Info) (context.Context, error) {
		service, _, named := strings.Cut(strings.TrimPrefix(info.FullMethodName, "/"), "/")
		switch {
		case ctx.Err() != nil:
			chain.Refuse(ctx, unknown, nil, ctx.Err())
		case !named || len(service)+1 >= len(info.FullMethodName) || info.FullMethodName[0] != '/':
			chain.Refuse(ctx, unknown, nil, &access.Error{Kind: access.Unimplemented, Reason: access.ReasonMalformed, Cause: errors.New("the path is no method's")})
		}
		return telemetry.Tap(ctx, info)
	}
}

// witnessTLS are credentials that record the handshakes they refuse.
type witnessTLS struct {
	credentials.TransportCredentials
	chain *interceptors.Chain
}

// ServerHandshake is [credentials.TransportCredentials]'s.
func (w *witnessTLS) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	out, info, err := w.TransportCredentials.ServerHandshake(conn)
	refuseHandshake(w.chain, "grpc", conn, err)
	return out, info, err
}

// Clone is [credentials.TransportCredentials]'s.
func (w *witnessTLS) Clone() credentials.TransportCredentials {
	return &witnessTLS{w.TransportCredentials.Clone(), w.chain}
}

// handshakes is an http.Server's ConnState that records the handshakes that failed.
func handshakes(chain *interceptors.Chain, door string) func(net.Conn, http.ConnState) {
	return func(conn net.Conn, state http.ConnState) {
		if c, ok := conn.(*tls.Conn); ok && state == http.StateClosed && !c.ConnectionState().HandshakeComplete {
			refuseHandshake(chain, door, conn, c.HandshakeContext(context.Background())) // which says why it failed; the connection is closed
		}
	}
}

// refuseHandshake records a handshake that failed, unless it was the client who
// broke off or said nothing.
func refuseHandshake(chain *interceptors.Chain, door string, conn net.Conn, err error) {
	var network net.Error
	if err == nil || errors.Is(err, io.EOF) || errors.As(err, &network) {
		return
	}
	ctx := access.WithDoor(context.Background(), &access.Door{Name: door})
	ctx = peer.NewContext(ctx, &peer.Peer{Addr: conn.RemoteAddr()})
	chain.Refuse(ctx, unknown, nil, &access.Error{Kind: access.Unauthenticated, Reason: access.ReasonHandshake, Cause: err})
}
