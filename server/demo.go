package server

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/demo/issuer"
	"github.com/sluice-gateway/sluice/demo/models"
	"github.com/sluice-gateway/sluice/secret"
)

// DemoOptions are what [RunDemo] can be told.
type DemoOptions struct {
	// GRPC, REST, Metrics, Console and Issuer are listeners, on loopback only:
	// whoever reaches the issuer is alice.
	GRPC, REST, Metrics, Console, Issuer string
	// Backend is the address of a real Triton in the embedded one's place.
	Backend string
	// Data keeps what the demo writes; empty is a temporary folder.
	Data   string
	Logger *slog.Logger
	// Ready hears once where everything is.
	Ready func(Demo)
}

// Demo says where a running demo is.
type Demo struct {
	Addresses
	Issuer string // URL
	Config string // the configuration it wrote for itself
}

//go:embed demo_sluice.yaml
var demoConfig string

//go:embed demo_policy.yaml
var demoPolicy string

//go:embed demo_policy_test.yaml
var demoSuite string

// RunDemo starts an OIDC issuer, a model server and a gateway in front of it,
// all on loopback, and serves until ctx ends.
func RunDemo(ctx context.Context, o DemoOptions) error {
	for _, door := range [][2]string{{"--grpc", o.GRPC}, {"--rest", o.REST}, {"--metrics", o.Metrics}, {"--console", o.Console}, {"--issuer", o.Issuer}} {
		if err := checkLoopback(door[0], door[1]); err != nil {
			return err
		}
	}
	dir, cleanUp, err := dataFolder(o.Data)
	if err != nil {
		return err
	}
	defer cleanUp()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	defer func() { cancel(); _ = group.Wait() }()

	url, err := startIssuer(ctx, group, o.Issuer)
	if err != nil {
		return err
	}
	backend := o.Backend
	if backend == "" {
		if backend, err = startModels(ctx, group, o.Logger); err != nil {
			return err
		}
	}
	path, err := writeDemo(dir, o, url, backend)
	if err != nil {
		return err
	}
	group.Go(func() error {
		return Run(ctx, Options{ConfigPath: path, Logger: o.Logger, Ready: func(at Addresses) {
			if o.Ready != nil {
				o.Ready(Demo{Addresses: at, Issuer: url, Config: path})
			}
		}})
	})
	return group.Wait()
}

func checkLoopback(flag, address string) error {
	if address == "off" && flag != "--issuer" {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%s %q: %w", flag, address, err)
	}
	if ip, err := netip.ParseAddr(host); host == "localhost" || err == nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s %q is not on loopback: whoever reaches the demo's issuer is alice; use 127.0.0.1, or `sluice serve` for more", flag, address)
}

func dataFolder(data string) (dir string, cleanUp func(), err error) {
	if data == "" {
		dir, err = os.MkdirTemp("", "sluice-demo-")
		return dir, func() { _ = os.RemoveAll(dir) }, err
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return "", nil, fmt.Errorf("--data: %w", err)
	}
	dir, err = filepath.Abs(data)
	return dir, func() {}, err
}

// startIssuer serves the demo's OIDC issuer and returns its URL.
func startIssuer(ctx context.Context, group *errgroup.Group, address string) (string, error) {
	l, err := listen(ctx, "issuer", address)
	if err != nil {
		return "", err
	}
	url := "http://" + l.Addr().String()
	iss, err := issuer.New(url, nil)
	if err != nil {
		return "", errors.Join(err, l.Close())
	}
	h := &http.Server{Handler: iss.Handler(), ReadHeaderTimeout: scrapeTimeout, ReadTimeout: scrapeTimeout, WriteTimeout: scrapeTimeout, IdleTimeout: time.Minute}
	group.Go(func() error {
		if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error { <-ctx.Done(); return h.Close() })
	return url, nil
}

// startModels serves the embedded model server and returns its address.
func startModels(ctx context.Context, group *errgroup.Group, log *slog.Logger) (string, error) {
	l, err := listen(ctx, "models", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	m := models.New(models.Options{Logger: log})
	g := grpc.NewServer(m.ServerOptions()...)
	m.Register(g)
	group.Go(func() error { return serveGRPC(g, l) })
	group.Go(func() error {
		<-ctx.Done()
		g.Stop()
		return m.Close()
	})
	return l.Addr().String(), nil
}

// writeDemo writes the demo's configuration, anew each time; the database that
// --data keeps is beside it.
func writeDemo(dir string, o DemoOptions, url, backend string) (string, error) {
	path := filepath.Join(dir, "sluice.yaml")
	err := errors.Join(
		render(path, demoConfig, map[string]string{
			"GRPC": o.GRPC, "REST": o.REST, "Metrics": o.Metrics, "Console": o.Console, "Issuer": url, "Backend": backend,
			"Store": filepath.Join(dir, "sluice.db"),
		}),
		render(filepath.Join(dir, "policy.yaml"), demoPolicy, map[string]string{"Issuer": url}),
		render(filepath.Join(dir, "policy_test.yaml"), demoSuite, map[string]string{"Issuer": url}),
		freshKey(filepath.Join(dir, "sluice.key")), freshKey(filepath.Join(dir, "tokens.key")),
		freshKey(filepath.Join(dir, "lookup.key")),
	)
	return path, err
}

const private fs.FileMode = 0o600

// freshKey writes a key where there is none.
func freshKey(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, private)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, secret.NewKey()+"\n")
	return errors.Join(err, f.Close())
}

func render(path, text string, values map[string]string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, private)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	t, err := template.New(filepath.Base(path)).Option("missingkey=error").Parse(text)
	if err != nil {
		return err
	}
	return t.Execute(f, values)
}
