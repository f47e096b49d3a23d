package leased

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/gen/inference"
	"github.com/sluice-gateway/sluice/secret"
)

// generation is the connections of one opened credential. What is not in contents
// is guarded by the backend's mu.
type generation struct {
	backends.Backend
	versions []int64 // of the secrets, by their names' order; nil while nobody has used it
	calls    int
	retired  bool
	contents atomic.Pointer[contents]
	shutting sync.Once
	shutErr  error
}

// contents is what an open credential shows.
type contents struct {
	metadata map[string]string
	pair     *tls.Certificate
}

var errNotOpen = errors.New("no call has the credential open")

func (g *generation) metadata() (map[string]string, error) {
	if c := g.contents.Load(); c != nil {
		return c.metadata, nil
	}
	return nil, errNotOpen
}

func (g *generation) certificate() (*tls.Certificate, error) {
	if c := g.contents.Load(); c != nil {
		return c.pair, nil
	}
	return nil, errNotOpen
}

// shut closes the connections and forgets what they showed.
func (g *generation) shut() error {
	g.shutting.Do(func() {
		g.contents.Store(nil)
		g.shutErr = g.Close()
	})
	return g.shutErr
}

// use is one call's hold of a generation and of its secrets.
type use struct {
	*generation
	of     *Backend
	shown  map[string]string
	leases []*secret.Lease
	few    [1]*secret.Lease
	once   sync.Once
}

// approved is what calls get that nobody has approved.
var approved = &access.Error{
	Kind: access.NeedsApproval, Reason: access.ReasonNeedsApproval,
	Message: "the credential for the model's server is opened only for calls that people have approved; a guard of the policy has to ask for that",
}

// begin leases the secrets for the context's call, and finds the connection that
// shows them.
func (b *Backend) begin(ctx context.Context) (*use, error) {
	call := access.CallFrom(ctx)
	h := secret.HolderOf(call)
	if b.o.Config.Credential.Lease == backends.LeaseApproved {
		h.Brief = true
		if a := access.ApprovedFrom(ctx); !h.Own && (a == nil || a.Grant == "") {
			return nil, approved
		}
	}
	u := &use{of: b}
	u.leases = u.few[:0]
	for _, name := range b.names {
		l, err := b.o.Secrets.Lease(ctx, name, h)
		if err != nil {
			u.giveBack()
			return nil, err
		}
		u.leases = append(u.leases, l)
	}
	if err := b.join(u); err != nil {
		u.giveBack()
		return nil, secret.Unavailable(fmt.Errorf("backend %s: %w", b.o.Config.Name, err))
	}
	return u, nil
}

// join finds or makes the generation of the versions that u has leased.
func (b *Backend) join(u *use) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return errors.New("it was closed")
	}
	if b.now != nil && b.now.versions != nil && newer(u.leases, b.now.versions) {
		b.retire(b.now)
	}
	if b.now == nil {
		g, err := b.fresh()
		if err != nil {
			return err
		}
		b.now = g
	}
	g := b.now
	if g.versions == nil {
		c, err := b.open(u.leases)
		if err != nil {
			return err
		}
		for _, l := range u.leases {
			g.versions = append(g.versions, l.Version())
		}
		g.contents.Store(c)
	}
	g.calls++
	u.generation, u.shown = g, g.contents.Load().metadata
	return nil
}

// newer tells whether a lease is of a later version than what is connected. One of
// an earlier version goes over what there is: the newest holds.
func newer(leases []*secret.Lease, than []int64) bool {
	for i, l := range leases {
		if l.Version() > than[i] {
			return true
		}
	}
	return false
}

// open makes of leased secrets what the configuration says is shown.
func (b *Backend) open(leases []*secret.Lease) (*contents, error) {
	byName := make(map[string]*secret.Value, len(leases))
	for i, l := range leases {
		byName[b.names[i]] = l.Value()
	}
	config := b.o.Config.Credential
	shown, err := config.MetadataWith(func(name string) (string, error) {
		v := byName[name]
		if v == nil || v.Kind != secret.Text && v.Kind != secret.Bearer {
			return "", fmt.Errorf("secret %s is no text that a header could carry; write credential: %s", name, name)
		}
		return v.Text().Text(), nil
	})
	if err != nil || config.Stored == "" {
		return &contents{metadata: shown}, err
	}
	c := &contents{}
	switch v := byName[config.Stored]; v.Kind {
	case secret.Text:
		return nil, fmt.Errorf("secret %s does not say how it is shown; write credential: { bearer: secret:%s }", config.Stored, config.Stored)
	case secret.Pair:
		if b.o.Config.TLS == nil {
			return nil, fmt.Errorf("secret %s is a key pair, and the backend is not reached over TLS; write tls: {}", config.Stored)
		}
		v.Text().Open(func(pem []byte) {
			var pair tls.Certificate
			if pair, err = tls.X509KeyPair(pem, pem); err == nil {
				c.pair = &pair
			}
		})
		if err != nil {
			return nil, fmt.Errorf("secret %s is no key pair that can be used", config.Stored) // the cause may quote it
		}
	default:
		c.metadata = maps.Clone(v.Metadata())
	}
	return c, nil
}

// show is the call's context with the credential, over whatever is there under
// its names.
func (u *use) show(ctx context.Context) context.Context {
	if len(u.shown) == 0 {
		return ctx
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	if md == nil {
		md = make(metadata.MD, len(u.shown))
	}
	for name, value := range u.shown {
		md[name] = []string{value}
	}
	return metadata.NewOutgoingContext(ctx, md)
}

// end gives everything back, once.
func (u *use) end() {
	u.once.Do(func() {
		b := u.of
		b.mu.Lock()
		u.calls--
		b.finish(u.generation)
		b.mu.Unlock()
		u.giveBack()
	})
}

func (u *use) giveBack() {
	now := time.Now()
	for _, l := range u.leases {
		l.End(now)
	}
}

// retire has no new call go over a generation. Its caller holds mu.
func (b *Backend) retire(g *generation) {
	g.retired = true
	b.old[g] = true
	if b.now == g {
		b.now = nil
	}
	b.finish(g)
}

// finish closes a retired generation that nobody uses any more. Its caller holds mu.
func (b *Backend) finish(g *generation) {
	if g.retired && g.calls == 0 && b.old[g] {
		delete(b.old, g)
		b.closing.Go(func() { b.shut(g) })
	}
}

func (b *Backend) shut(g *generation) {
	if err := g.shut(); err != nil {
		b.o.Log.LogAttrs(context.Background(), slog.LevelWarn, "closing a connection whose credential is over", slog.String("backend", b.o.Config.Name), slog.Any("error", err))
	}
}

// heard closes what shows a credential that is over.
func (b *Backend) heard(e secret.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return
	}
	if g := b.now; g != nil && g.versions != nil {
		b.retire(g)
	}
	if e == secret.Revoked {
		for g := range b.old {
			delete(b.old, g)
			b.closing.Go(func() { b.shut(g) })
		}
	}
}

// notOpen is the answer to a question that may not open the credential.
var notOpen = &access.Error{
	Kind: access.Unavailable, Reason: access.ReasonCredentialAway,
	Message: "the credential for the model's server is not open, and this question may not open it",
}

// parked answers what the gateway asks itself while nobody has the credential:
// nothing speaks against the server.
func parked(resp any) error {
	switch r := resp.(type) {
	case *inference.ServerReadyResponse:
		r.Ready = true
	case *inference.ServerLiveResponse:
		r.Live = true
	default:
		return notOpen
	}
	return nil
}
