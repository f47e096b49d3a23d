package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	replicas "github.com/sluice-gateway/sluice/backends/pool"
	"github.com/sluice-gateway/sluice/config/tlsfiles"
	"github.com/sluice-gateway/sluice/interceptors"
)

const (
	// scrapeTimeout bounds a request to the metrics door.
	scrapeTimeout = 10 * time.Second
	// stopTimeout bounds how long the metrics door may take to close.
	stopTimeout = 2 * time.Second
)

// doors are the listeners; one that is off is nil.
type doors struct{ grpc, rest, metrics, console net.Listener }

// listen opens all doors or none.
func (s *Server) listen(ctx context.Context) (d doors, err error) {
	cfg := s.started.Server
	for _, door := range []struct {
		at            *net.Listener
		name, address string
	}{{&d.metrics, "metrics", cfg.Metrics}, {&d.grpc, "grpc", cfg.GRPC}, {&d.rest, "rest", cfg.REST}, {&d.console, "console", cfg.Console}} {
		if *door.at, err = listen(ctx, door.name, door.address); err != nil {
			return doors{}, errors.Join(err, closeListener(d.metrics), closeListener(d.grpc), closeListener(d.rest))
		}
	}
	return d, nil
}

// serve opens the doors and keeps them open until ctx ends.
func (s *Server) serve(ctx context.Context) error {
	cfg := s.started.Server
	debug.SetGCPercent(cfg.Memory.GCPercent)
	if cfg.Memory.Limit > 0 {
		debug.SetMemoryLimit(int64(cfg.Memory.Limit))
	}
	tlsConfig, err := s.tls()
	if err != nil {
		return err
	}
	chain, err := s.Chain()
	if err != nil {
		return err
	}
	restDoor, err := s.restDoor(chain)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	desk, err := s.newConsole(tlsConfig, chain, ctx.Done())
	if err != nil {
		return err
	}
	open, err := s.listen(ctx)
	if err != nil {
		return err
	}
	s.announce(ctx, open)
	if open.metrics != nil {
		group.Go(func() error { return s.serveMetrics(ctx, open.metrics, chain) })
	}
	if open.grpc != nil {
		g := s.grpcServer(tlsConfig, chain)
		group.Go(func() error { return serveGRPC(g, s.gate.Listener(open.grpc)) })
		group.Go(func() error { s.stopGRPC(ctx, g); return nil })
	}
	if open.rest != nil {
		h := s.restServer(restDoor, tlsConfig, chain)
		group.Go(func() error { return s.serveREST(ctx, s.gate.Listener(open.rest), restDoor, h) })
	}
	if open.console != nil {
		group.Go(func() error { return s.serveConsole(ctx, s.gate.Listener(open.console), desk) })
	}
	group.Go(func() error { <-ctx.Done(); return nil })
	return group.Wait()
}

func closeListener(l net.Listener) error {
	if l == nil {
		return nil
	}
	return l.Close()
}

func (s *Server) tls() (*tls.Config, error) {
	c := s.started.Server.TLS
	if c == nil {
		return nil, nil
	}
	var oldest uint16 = tls.VersionTLS12
	if c.MinVersion == "1.3" {
		oldest = tls.VersionTLS13
	}
	return tlsfiles.Server(tlsfiles.ServerFiles{Cert: string(c.Cert), Key: string(c.Key), ClientCA: string(c.ClientCA), MinVersion: oldest}, s.log)
}

// announce says where the doors are.
func (s *Server) announce(ctx context.Context, open doors) {
	var at Addresses
	for _, door := range []struct {
		name string
		l    net.Listener
		addr *net.Addr
		tls  bool
	}{{"grpc", open.grpc, &at.GRPC, true}, {"rest", open.rest, &at.REST, true}, {"metrics", open.metrics, &at.Metrics, false}, {"console", open.console, &at.Console, true}} {
		if door.l == nil {
			continue
		}
		*door.addr = door.l.Addr()
		attrs := []slog.Attr{slog.String("door", door.name), slog.String("address", door.l.Addr().String())}
		if door.tls {
			attrs = append(attrs, slog.Bool("tls", s.started.Server.TLS != nil))
		}
		s.log.LogAttrs(ctx, slog.LevelInfo, "listening", attrs...)
	}
	if s.opts.Ready != nil {
		s.opts.Ready(at)
	}
}

// serveGRPC returns when g is stopped, which may have been before it came to serve.
func serveGRPC(g *grpc.Server, l net.Listener) error {
	if err := g.Serve(l); !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// stopGRPC waits for ctx, then for the open calls as long as they may go on.
func (s *Server) stopGRPC(ctx context.Context, g *grpc.Server) {
	<-ctx.Done()
	stopped := make(chan struct{})
	go func() {
		g.GracefulStop()
		close(stopped)
	}()
	timer := time.NewTimer(s.state.Load().cfg.Server.ShutdownGrace)
	defer timer.Stop()
	select {
	case <-stopped:
	case <-timer.C:
		g.Stop()
		<-stopped
	}
}

func (s *Server) serveMetrics(ctx context.Context, l net.Listener, chain *interceptors.Chain) error {
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), newBackendMetrics(func() []*replicas.Pool { return s.state.Load().pool.open }))
	handler := promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{Timeout: scrapeTimeout})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", handler)
	mux.Handle("GET /metrics/", handler)
	h := &http.Server{Handler: witnessed(chain, metricsDoor, mux), ReadHeaderTimeout: scrapeTimeout, ReadTimeout: scrapeTimeout, WriteTimeout: 2 * scrapeTimeout, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	context.AfterFunc(ctx, func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		_ = h.Shutdown(end)
	})
	if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
