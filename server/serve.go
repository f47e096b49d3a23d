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
)

const (
	// scrapeTimeout bounds a request to the metrics door.
	scrapeTimeout = 10 * time.Second
	// stopTimeout bounds how long the metrics door may take to close.
	stopTimeout = 2 * time.Second
)

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
	metrics, err := listen(ctx, "metrics", cfg.Metrics)
	if err != nil {
		return err
	}
	door, err := listen(ctx, "grpc", cfg.GRPC)
	if err != nil {
		return errors.Join(err, closeListener(metrics))
	}
	web, err := listen(ctx, "rest", cfg.REST)
	if err != nil {
		return errors.Join(err, closeListener(metrics), closeListener(door))
	}
	s.announce(ctx, door, web, metrics)

	group, ctx := errgroup.WithContext(ctx)
	if metrics != nil {
		group.Go(func() error { return s.serveMetrics(ctx, metrics) })
	}
	if door != nil {
		g := s.grpcServer(tlsConfig, chain)
		group.Go(func() error { return g.Serve(s.gate.Listener(door)) })
		group.Go(func() error { s.stopGRPC(ctx, g); return nil })
	}
	if web != nil {
		group.Go(func() error {
			return s.serveREST(ctx, s.gate.Listener(web), restDoor, s.restServer(restDoor, tlsConfig))
		})
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

// announce says where the doors are, and which configured ones are not built.
func (s *Server) announce(ctx context.Context, door, web, metrics net.Listener) {
	var at Addresses
	if door != nil {
		at.GRPC = door.Addr()
		s.log.LogAttrs(ctx, slog.LevelInfo, "listening", slog.String("door", "grpc"), slog.String("address", at.GRPC.String()), slog.Bool("tls", s.started.Server.TLS != nil))
	}
	if web != nil {
		at.REST = web.Addr()
		s.log.LogAttrs(ctx, slog.LevelInfo, "listening", slog.String("door", "rest"), slog.String("address", at.REST.String()), slog.Bool("tls", s.started.Server.TLS != nil))
	}
	if metrics != nil {
		at.Metrics = metrics.Addr()
		s.log.LogAttrs(ctx, slog.LevelInfo, "listening", slog.String("door", "metrics"), slog.String("address", at.Metrics.String()))
	}
	if s.opts.Ready != nil {
		s.opts.Ready(at)
	}
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

func (s *Server) serveMetrics(ctx context.Context, l net.Listener) error {
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), newBackendMetrics(func() []*replicas.Pool { return s.state.Load().pool.open }))
	handler := promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{Timeout: scrapeTimeout})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", handler)
	mux.Handle("GET /metrics/", handler)
	h := &http.Server{Handler: mux, ReadHeaderTimeout: scrapeTimeout, ReadTimeout: scrapeTimeout, WriteTimeout: 2 * scrapeTimeout, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
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
