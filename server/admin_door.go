package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/experimental"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/interceptors"
	"github.com/sluice-gateway/sluice/notify/slack"
	restadmin "github.com/sluice-gateway/sluice/rest/admin"
	"github.com/sluice-gateway/sluice/wire"
)

const (
	// consoleStreams is how many calls one HTTP/2 connection may have open.
	consoleStreams = 128
	// consoleBody bounds all that one gRPC call sends, in bytes: the one request that
	// each has, and its frame.
	consoleBody = 1<<20 + 16
)

// console is the door of sluice.v1: one port that speaks gRPC and REST. net/http reads
// both; requests of gRPC go on to grpc-go's own handler, whose calls take the same
// chain as REST's.
type console struct {
	rest *restadmin.Door
	grpc *grpc.Server
	http *http.Server
	// slack answers what Slack sends; nil without a store.
	slack http.Handler
}

// newConsole makes the door. Its watches end when done does.
func (s *Server) newConsole(tlsConfig *tls.Config, chain *interceptors.Chain, done <-chan struct{}) (*console, error) {
	descs := adminHandlers(chain, s.adminService(done))
	handlers := make(map[string]grpc.StreamHandler)
	for _, desc := range descs {
		for _, stream := range desc.Streams {
			handlers["/"+desc.ServiceName+"/"+stream.StreamName] = stream.Handler
		}
	}
	rest, err := restadmin.New(handlers)
	if err != nil {
		return nil, err
	}
	c := &console{rest: rest, grpc: s.consoleGRPC(chain, descs), slack: s.slackHandler(handlers, chain)}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(tlsConfig == nil)
	c.http = &http.Server{
		Handler:   witnessed(chain, restadmin.DoorName, restadmin.SameSite(http.HandlerFunc(c.serve))),
		TLSConfig: tlsConfig.Clone(), Protocols: protocols, ConnState: handshakes(chain, restadmin.DoorName),
		ReadHeaderTimeout: restHeaderTime, IdleTimeout: restIdle, MaxHeaderBytes: restHeaders,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: consoleStreams, SendPingTimeout: pingIdle, PingTimeout: pingTimeout,
			MaxReceiveBufferPerConnection: restWindow, MaxReceiveBufferPerStream: restWindow,
		},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return access.WithPeer(ctx, c.RemoteAddr()) },
		ErrorLog:    log.New(&httpLog{s.log}, "", 0),
	}
	return c, nil
}

// consoleGRPC serves gRPC on connections that net/http has read.
func (s *Server) consoleGRPC(chain *interceptors.Chain, descs []*grpc.ServiceDesc) *grpc.Server {
	opts := []grpc.ServerOption{
		grpc.ForceServerCodecV2(wire.Codec{}),
		grpc.MaxRecvMsgSize(consoleBody),
		grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.WaitForHandlers(true),
		grpc.UnknownServiceHandler(asked(chain.Stream(unknown, refuseUnknown))),
	}
	if s.opts.Buffers != nil {
		opts = append(opts, experimental.BufferPool(s.opts.Buffers))
	}
	g := grpc.NewServer(opts...)
	for _, desc := range descs {
		out := *desc
		out.Streams = nil
		for _, stream := range desc.Streams {
			stream.Handler = asked(stream.Handler)
			out.Streams = append(out.Streams, stream)
		}
		g.RegisterService(&out, nil)
	}
	return g
}

// serve tells gRPC's requests from REST's.
func (c *console) serve(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 2 && r.Method == http.MethodPost && isGRPC(r.Header.Get("Content-Type")) {
		c.serveGRPC(w, r)
		return
	}
	if c.slack != nil && r.URL.Path == slack.Path {
		c.slack.ServeHTTP(w, r)
		return
	}
	c.rest.ServeHTTP(w, r)
}

func isGRPC(contentType string) bool {
	rest, ok := strings.CutPrefix(contentType, "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// serveGRPC hands a call to grpc-go, whose handler for net/http would read the
// whole of what a stranger sends at once: here nothing is read before the chain
// asks for it, and then no more than a request may have.
func (c *console) serveGRPC(w http.ResponseWriter, r *http.Request) {
	out := &patientWriter{ResponseWriter: w, control: http.NewResponseController(w)}
	body := &patientBody{asked: make(chan struct{}), closed: make(chan struct{}), from: http.MaxBytesReader(nil, r.Body, consoleBody), control: out.control}
	door := &access.Door{Name: restadmin.DoorName}
	if v, ok := w.(*visit); ok {
		door.Opened = v.opened
	}
	ctx := access.WithDoor(r.Context(), door)
	r = r.WithContext(context.WithValue(ctx, bodyKey{}, body))
	r.Body = body
	c.grpc.ServeHTTP(out, r)
}

// patientWriter bounds how long a piece of an answer may take to leave; between two
// there is no bound, for a watch may have nothing to say for hours.
type patientWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

// consoleWrite is how long a piece of an answer may take to leave.
const consoleWrite = 60 * time.Second

// Write writes a piece of an answer.
func (w *patientWriter) Write(p []byte) (int, error) {
	_ = w.control.SetWriteDeadline(time.Now().Add(consoleWrite))
	return w.ResponseWriter.Write(p)
}

// Flush sends what was written.
func (w *patientWriter) Flush() {
	_ = w.control.SetWriteDeadline(time.Now().Add(consoleWrite))
	_ = w.control.Flush()
	_ = w.control.SetWriteDeadline(time.Time{})
}

// Unwrap lets http.ResponseController find what the writer can do.
func (w *patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// run serves on l until ctx ends, then lets calls end for as long as they may.
func (s *Server) serveConsole(ctx context.Context, l net.Listener, c *console) error {
	var stopped sync.WaitGroup
	stopped.Add(1)
	stop := context.AfterFunc(ctx, func() {
		defer stopped.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.state.Load().cfg.Server.ShutdownGrace)
		defer cancel()
		if c.http.Shutdown(grace) != nil {
			_ = c.http.Close()
		}
	})
	var err error
	if c.http.TLSConfig != nil {
		err = c.http.ServeTLS(l, "", "")
	} else {
		err = c.http.Serve(l)
	}
	if !stop() {
		stopped.Wait()
	}
	c.grpc.Stop()
	c.rest.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
