package oidc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	goidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/sluice-gateway/sluice/identity"
)

const (
	// askEvery is how often tokens with an unknown key can make the issuer be
	// asked before its time.
	askEvery = 10 * time.Second
	// askWait bounds how long a call waits for that, and for the first fetch.
	askWait = 3 * time.Second
	// maxWaiting bounds how many calls wait at the same time.
	maxWaiting = 128
	// minBackoff and maxBackoff are between fetches that fail.
	minBackoff = time.Second
	maxBackoff = 30 * time.Second
)

// Options are what a [Provider] can be told; the zero value is good.
type Options struct {
	// Logger hears of fetches that fail and of keys that change; nobody if nil.
	Logger *slog.Logger
	// Transport carries the requests to the issuer; nil for one with time-outs,
	// the proxies of the environment, and the configured CA.
	Transport http.RoundTripper
	// Now is the clock, time.Now if nil.
	Now func() time.Time
}

// Provider is the [identity.Verifier] of one issuer. It owns one goroutine,
// which fetches the keys: on a schedule, with growing pauses while that fails,
// and at most every 10 s when a token names a key that is not known. The
// methods are safe for concurrent use.
type Provider struct {
	cfg      Config
	fetcher  *fetcher
	verifier *goidc.IDTokenVerifier
	allowed  []jose.SignatureAlgorithm
	types    map[string]bool
	log      *slog.Logger
	now      func() time.Time

	ring atomic.Pointer[ring]
	ask  chan struct{}
	stop context.CancelFunc
	done chan struct{}

	mu      sync.Mutex
	round   chan struct{} // closed when the fetch under way or asked for is over
	started time.Time     // of the last fetch
	failure error         // of the last fetch
	retry   time.Time     // of the next one, after a failure
	waiting int
}

var _ identity.Verifier = (*Provider)(nil)

// New makes the provider of cfg and begins to fetch its keys; it does not wait
// for them. The provider lives until ctx ends or it is closed. cfg must have
// its defaults and be valid; what is wrong with it is the error, and so is a CA
// file that cannot be read. That the issuer cannot be reached is not: its tokens
// are refused until it can.
func New(ctx context.Context, cfg Config, options Options) (*Provider, error) {
	var wrong []error
	for _, problem := range cfg.Validate() {
		wrong = append(wrong, fmt.Errorf("identity source %q: %s %s", cfg.Name, problem.Path, problem.Message))
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	fetcher, err := newFetcher(&cfg, options.Transport)
	if err != nil {
		return nil, fmt.Errorf("identity source %q: ca: %w", cfg.Name, err)
	}
	p := &Provider{
		cfg: cfg, fetcher: fetcher, types: typesOf(cfg.Types),
		log: options.Logger, now: options.Now,
		ask: make(chan struct{}, 1), done: make(chan struct{}), round: make(chan struct{}),
	}
	if p.log == nil {
		p.log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if p.now == nil {
		p.now = time.Now
	}
	for _, name := range cfg.Algorithms {
		p.allowed = append(p.allowed, jose.SignatureAlgorithm(name))
	}
	p.verifier = newVerifier(&cfg)
	ctx, p.stop = context.WithCancel(ctx)
	go p.run(ctx)
	return p, nil
}

// Source returns the provider under its configured name and issuer.
func (p *Provider) Source() identity.Source {
	return identity.Source{Name: p.cfg.Name, Issuer: p.cfg.Issuer, Verifier: p}
}

// Close ends the provider's goroutine and waits for that. Tokens are judged
// by the keys it has until these are stale.
func (p *Provider) Close() error {
	p.stop()
	<-p.done
	return nil
}

func (p *Provider) run(ctx context.Context) {
	defer close(p.done)
	backoff := minBackoff
	for ctx.Err() == nil {
		pause := p.cfg.Refresh - rand.N(p.cfg.Refresh/10+1) // #nosec G404 -- spreads load, guards nothing
		if err := p.fetch(ctx, backoff); err != nil {
			pause, backoff = backoff, min(2*backoff, maxBackoff)
		} else {
			backoff = minBackoff
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-p.ask:
		}
		timer.Stop()
	}
}

// fetch gets the keys and puts them in force. Where it fails, those before
// stay in force until they are stale.
func (p *Provider) fetch(ctx context.Context, backoff time.Duration) error {
	p.begin()
	keys, err := p.keys(ctx)
	now := p.now()
	if err != nil {
		p.end(err, now.Add(backoff))
		if ctx.Err() == nil {
			p.log.WarnContext(ctx, "the keys of an identity source cannot be fetched",
				slog.String("source", p.cfg.Name), slog.String("issuer", p.cfg.Issuer),
				slog.String("error", fmt.Sprintf("%.*q", clip, err.Error())), slog.Duration("retry", backoff))
		}
		return err
	}
	next, added, withdrawn := follow(p.ring.Load(), keys, now, p.cfg.Stale)
	p.ring.Store(next)
	p.end(nil, time.Time{})
	if added+withdrawn > 0 || len(keys) == 0 {
		level := slog.LevelInfo
		if len(keys) == 0 { // the issuer may mean it: no token counts from now on
			level = slog.LevelWarn
		}
		p.log.LogAttrs(ctx, level, "the keys of an identity source changed",
			slog.String("source", p.cfg.Name), slog.String("issuer", p.cfg.Issuer),
			slog.Int("keys", len(keys)), slog.Int("added", added), slog.Int("withdrawn", withdrawn))
	}
	return nil
}

func (p *Provider) keys(ctx context.Context) ([]*key, error) {
	body, err := p.fetcher.fetch(ctx)
	if err != nil {
		return nil, err
	}
	return parseKeys(body)
}

func (p *Provider) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.round == nil {
		p.round = make(chan struct{})
	}
	p.started = p.now()
}

func (p *Provider) end(err error, retry time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failure, p.retry = err, retry
	close(p.round)
	p.round = nil
	select { // whoever asked since begin has been answered
	case <-p.ask:
	default:
	}
}
