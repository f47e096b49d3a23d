package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/rest"
)

const (
	// restHeaderTime is how long a request's headers may take, and restIdle how
	// long a connection may lie between two requests.
	restHeaderTime = 10 * time.Second
	restIdle       = 2 * time.Minute
	// restHeaders bounds a request's headers in bytes: room for a token that is
	// too long to be refused in words.
	restHeaders = 128 << 10
	// restWindow is how much of a body HTTP/2 takes in before the chain has asked
	// for it: what a stranger can have lie in memory, for each connection.
	restWindow = 256 << 10
)

// restDoor makes the HTTP door to the handlers of the gRPC one.
func (s *Server) restDoor(chain *interceptors.Chain) (*rest.Door, error) {
	handlers := make(map[string]grpc.StreamHandler)
	desc := s.inferenceService(chain)
	for _, stream := range desc.Streams {
		handlers["/"+desc.ServiceName+"/"+stream.StreamName] = stream.Handler
	}
	return rest.New(rest.Options{
		Handlers: handlers, ModelConfig: s.modelConfig, Pool: s.opts.Buffers,
		Origins: func() []string { return s.state.Load().cfg.Server.CORS },
		OpenAI:  func() bool { return s.state.Load().cfg.Server.OpenAI },
	})
}

// modelConfig tells the REST door what a model's inputs are, for a principal who
// may infer on it: nobody else learns by it that there is such a model, nor has
// the gateway ask a backend.
func (s *Server) modelConfig(ctx context.Context, call *access.Call, model, version string) (*pb.ModelConfig, error) {
	if call == nil || call.Principal == nil || access.CheckModelName(model) != nil || !s.engine.Decide(call.Principal, access.Infer, model).Allowed {
		return nil, rest.ErrNotAllowed
	}
	return s.state.Load().service.ModelConfig(access.WithCall(ctx, call), model, version)
}

// restServer serves the door over HTTP/1.1 and HTTP/2, the latter without TLS
// too for clients that begin with it (h2c).
func (s *Server) restServer(door *rest.Door, tlsConfig *tls.Config, chain *interceptors.Chain) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(tlsConfig == nil)
	return &http.Server{
		Handler: witnessed(chain, rest.DoorName, door), TLSConfig: tlsConfig.Clone(), Protocols: protocols,
		ConnState:         handshakes(chain, rest.DoorName),
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return access.WithPeer(ctx, c.RemoteAddr()) },
		ReadHeaderTimeout: restHeaderTime, IdleTimeout: restIdle, MaxHeaderBytes: restHeaders,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: int(s.started.Server.Limits.MaxStreams), SendPingTimeout: pingIdle, PingTimeout: pingTimeout,
			MaxReceiveBufferPerConnection: restWindow, MaxReceiveBufferPerStream: restWindow,
		},
		ErrorLog: log.New(&httpLog{s.log}, "", 0),
	}
}

// httpLog takes what net/http has to say about connections: nothing that an
// operator has to act on, and text that a client can choose; and of panics in
// the door, whose stack is code's names.
type httpLog struct{ log *slog.Logger }

// Write logs a line, or a panic without what it says: that may quote a message.
func (l *httpLog) Write(line []byte) (int, error) {
	if bytes.HasPrefix(line, []byte("http: panic serving")) || bytes.HasPrefix(line, []byte("http2: panic serving")) {
		_, stack, _ := bytes.Cut(line, []byte("\ngoroutine "))
		l.log.LogAttrs(context.Background(), slog.LevelError, "panic", slog.String("door", "rest"), slog.String("stack", string(stack)))
		return len(line), nil
	}
	l.log.LogAttrs(context.Background(), slog.LevelDebug, "http", slog.String("about", access.Quote(string(line))))
	return len(line), nil
}

// serveREST serves the door on l until ctx ends, then lets open requests end for
// as long as they may go on.
func (s *Server) serveREST(ctx context.Context, l net.Listener, door *rest.Door, h *http.Server) error {
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.state.Load().cfg.Server.ShutdownGrace)
		defer cancel()
		if h.Shutdown(grace) != nil {
			_ = h.Close()
		}
	})
	var err error
	if h.TLSConfig != nil {
		err = h.ServeTLS(l, "", "")
	} else {
		err = h.Serve(l)
	}
	if !stop() {
		<-stopped
	}
	door.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
