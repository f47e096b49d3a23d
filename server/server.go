// Package server composes the gateway: listeners, the chain, explicit tables of
// backends and identity providers, reloads, and the way down. Nothing here
// decides anything.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"github.com/sluice-gateway/sluice/approval"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/identity"
	sessiongate "github.com/sluice-gateway/sluice/interceptors/session"
	"github.com/sluice-gateway/sluice/masking"
	"github.com/sluice-gateway/sluice/policy"
	"github.com/sluice-gateway/sluice/policy/guard"
	"github.com/sluice-gateway/sluice/services/inference"
	"github.com/sluice-gateway/sluice/session"
	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/wire"
)

// Options are what [Run] needs beside the configuration.
type Options struct {
	// ConfigPath is the configuration file.
	ConfigPath string
	// Logger writes calls and what happens to the gateway itself.
	Logger *slog.Logger
	// Reload, if not nil, makes the gateway read its files at once (SIGHUP).
	Reload <-chan os.Signal
	// Ready, if not nil, hears once where the gateway listens.
	Ready func(Addresses)
	// Buffers lends the buffers of received messages; grpc's own if nil.
	Buffers mem.BufferPool
}

// Addresses are where the gateway listens; nil for a door that is off.
type Addresses struct {
	GRPC, REST, Metrics, Console net.Addr
}

// Server is a running gateway.
type Server struct {
	opts     Options
	log      *slog.Logger
	started  *config.Config
	store    store.Store // nil if none is configured; read when the gateway starts only
	secrets  *secrets    // nil if none are kept
	registry *prometheus.Registry

	auth    identity.Current
	engine  *policy.Engine
	masking *masking.Engine
	guards  *guard.Engine
	regions *policy.Regions
	budget  *wire.Budget
	gate    *sessiongate.Gate
	// approvals is nil without a store.
	approvals *approval.Engine
	state     atomic.Pointer[state]

	// audit and sinks are nil where nothing is recorded.
	audit     *audit.Recorder
	auditKeys func(context.Context) ([]string, error) // the public keys that the log is signed with
	payloads  *payloads
	sinks     *forwarding

	// notifying is nil without a store.
	notifying *notifying
	vouchers  vouchers

	retired sync.WaitGroup // what is still closing after a reload
}

// state is what a reload replaces as a whole.
type state struct {
	cfg      *config.Config
	sources  *sources
	pool     *pool
	service  *inference.Service
	handlers map[string]grpc.UnaryHandler
	health   grpc.UnaryHandler
}

// Run serves until ctx ends, then lets the calls that are open end for as long
// as the configuration says. Problems of the configuration are the error, all
// of them.
func Run(ctx context.Context, opts Options) error {
	wire.RegisterCompressors()
	watcher := &config.Watcher{Path: opts.ConfigPath, Logger: opts.Logger}
	cfg, problems := watcher.Load()
	if cfg == nil {
		return problems.Err()
	}
	kept, err := openStore(ctx, cfg.Store, opts.Logger)
	if err != nil {
		return err
	}
	defer closeStore(kept, opts.Logger) // after everything that uses it
	ring, err := loadKeys(ctx, cfg.Secrets)
	if err != nil {
		return err
	}
	var s *Server
	kept = vouched(kept, ring, opts.Logger, func(kind store.Kind, id string, _ error) { s.unvouched(kind, id) })
	s = newServer(opts, cfg, kept)
	s.openSecrets(cfg, ring)
	if err := s.openAudit(ctx, cfg, ring, watcher.Digest()); err != nil {
		return err
	}
	defer s.closeAudit() // when no call is left
	// Behind the log, which says whether the clock is believed.
	if err := s.gate.Registry.Load(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first, err := s.open(ctx, cfg, nil)
	if err != nil {
		return err
	}
	s.take(first)
	defer s.close()

	watcher.Apply, watcher.Reloaded = s.reload, s.reloaded
	var watching sync.WaitGroup
	watching.Go(func() { watcher.Run(ctx, opts.Reload) })
	watching.Go(func() { s.watchStore(ctx) })
	watching.Go(func() { s.gate.Registry.Run(ctx) })
	if s.approvals != nil {
		watching.Go(func() { s.approvals.Run(ctx) })
	}
	watching.Go(func() { s.secrets.run(ctx) })
	if s.notifying != nil {
		watching.Go(func() { s.notifying.Run(ctx) })
	}
	watching.Go(func() { s.payloads.run(ctx) })
	defer watching.Wait()
	defer cancel()
	return s.serve(ctx)
}

func newServer(opts Options, cfg *config.Config, kept store.Store) *Server {
	limits := cfg.Server.Limits
	s := &Server{
		opts: opts, log: opts.Logger, started: cfg, store: kept,
		registry: prometheus.NewRegistry(),
		engine:   policy.NewEngine(cfg.Rules.Policy),
		masking:  masking.NewEngine(cfg.Rules.Masking),
		guards:   guard.NewEngine(cfg.Rules.Guards),
		regions:  policy.NewRegions(),
		budget:   wire.NewBudget(wire.BudgetConfig{All: int64(limits.InFlight), PerPrincipal: int64(limits.InFlightPerPrincipal)}),
	}
	s.gate = &sessiongate.Gate{Registry: session.New(session.Options{Store: kept, Log: opts.Logger, Believed: s.clockBelieved})}
	s.approvals = s.newApprovals(kept, cfg)
	s.notifying = s.newNotifying()
	s.vouchers.next = &s.auth
	return s
}

// open makes everything that a configuration needs, or nothing. What before has
// and cfg leaves as it is, is taken over.
func (s *Server) open(ctx context.Context, cfg *config.Config, before *state) (*state, error) {
	if before == nil {
		before = new(state)
	}
	sources, err := openIdentity(ctx, cfg.Identity, before.sources, s.log)
	if err != nil {
		return nil, err
	}
	pool, err := openBackends(cfg.Backends, before.pool, gateway{buffers: s.opts.Buffers, log: s.log, mayChoose: s.mayChoose, secrets: s.secrets.leased()})
	if err != nil {
		return nil, errors.Join(err, sources.closeAllBut(before.sources))
	}
	service := inference.New(pool.table, inference.Readiness(cfg.Server.Ready))
	return &state{cfg: cfg, sources: sources, pool: pool, service: service, handlers: service.Handlers(), health: service.HealthHandler()}, nil
}

// take puts a state in force.
func (s *Server) take(next *state) {
	s.state.Store(next)
	s.auth.Replace(next.sources.set)
	s.masking.Replace(next.cfg.Rules.Masking) // these two before who may call: no call finds the new permission with the old ones
	s.replaceApprovals(next.cfg.Rules)
	s.guards.Replace(next.cfg.Rules.Guards)
	s.engine.Replace(next.cfg.Rules.Policy)
	s.notifying.replace(next.cfg)
}

// reload is what the watcher calls with a configuration that is whole and valid.
func (s *Server) reload(ctx context.Context, _, loaded *config.Config) error {
	before := s.state.Load()
	next, err := s.open(ctx, loaded, before)
	if err != nil {
		return err
	}
	s.take(next)
	s.retired.Go(func() { s.retire(ctx, before, next) })
	return nil
}

// retire closes what a reload has replaced: the identity providers at once,
// the backends when the calls on them have had time to end.
func (s *Server) retire(ctx context.Context, before, next *state) {
	if err := before.sources.closeAllBut(next.sources); err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "closing identity sources", slog.Any("error", err))
	}
	timer := time.NewTimer(before.cfg.Server.ShutdownGrace)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	if err := before.pool.closeAllBut(next.pool); err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "closing backends", slog.Any("error", err))
	}
}

func (s *Server) close() {
	s.retired.Wait()
	last := s.state.Load()
	if err := errors.Join(last.sources.closeAllBut(nil), last.pool.closeAllBut(nil)); err != nil {
		s.log.LogAttrs(context.Background(), slog.LevelWarn, "closing", slog.Any("error", err))
	}
}

// listen opens a door; "off" is none.
func listen(ctx context.Context, name, address string) (net.Listener, error) {
	if address == "off" {
		return nil, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("server.%s: %w", name, err)
	}
	return l, nil
}
