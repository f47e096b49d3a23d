package target

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/sluice-gateway/sluice/bench/load"
	"github.com/sluice-gateway/sluice/secret"
)

// launcher is a target being started.
type launcher struct {
	Config
	Setting
	procs   []*process
	heapURL string
}

// newLauncher gives the target a folder and ports.
func newLauncher(t Target, s Setting) (*launcher, error) {
	if s.CPUs < 1 {
		return nil, errNoCPUs
	}
	host, port, err := net.SplitHostPort(s.Backend)
	if err != nil {
		return nil, err
	}
	backendPort, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(s.Dir, t.Name+"-")
	if err != nil {
		return nil, err
	}
	c := Config{
		About: "Written by the benchmark for the target " + t.Name + ".",
		Host:  "127.0.0.1", Dir: dir, Root: os.Geteuid() == 0, CPUs: s.CPUs,
		BackendHost: host, BackendPort: backendPort,
		Issuer: s.Identity.Issuer, Audience: s.Identity.Audience,
		JWKS: s.Identity.JWKS, Group: s.Identity.Group, Approvers: s.Identity.Approvers, LLM: s.LLM,
	}
	for _, port := range []*int{&c.Port, &c.MetricsPort, &c.RESTPort, &c.ConsolePort, &c.ExtProcPort} {
		if *port, err = freePort(); err != nil {
			return nil, err
		}
	}
	return &launcher{Config: c, Setting: s}, nil
}

// run starts a program of the bin folder.
func (l *launcher) run(program string, args ...string) error {
	argv := append([]string{filepath.Join(l.Bin, program)}, args...)
	p, err := start(l.Config.Dir, l.Cores, argv...)
	if err != nil {
		return err
	}
	l.procs = append(l.procs, p)
	return nil
}

// door is where the load generator goes.
func (l *launcher) door(t Target) string {
	switch {
	case t.Name == Direct:
		return l.backend()
	case t.Name == VLLM:
		return l.Config.LLM
	case t.Door == load.REST:
		return net.JoinHostPort(l.Host, strconv.Itoa(l.RESTPort))
	}
	return l.Address()
}

func pipe(l *launcher) error {
	debug := fmt.Sprintf("127.0.0.1:%d", l.MetricsPort)
	l.heapURL = "http://" + debug + "/debug/vars"
	return l.run("pipe", "-listen", l.Address(), "-backend", l.backend(), "-debug", debug)
}

// sluice gives a launch of Sluice with what is on in with.
func sluice(with Config) func(*launcher) error {
	return func(l *launcher) error {
		l.Kind, l.HTTP, l.REST = with.Kind, with.HTTP, with.REST
		l.Audit, l.Payloads, l.Guarded, l.Hold = with.Audit, with.Payloads, with.Guarded, with.Hold
		if _, err := l.render("policy.yaml"); err != nil {
			return err
		}
		if l.Payloads {
			path := filepath.Join(l.Config.Dir, "sluice.key")
			if err := os.WriteFile(path, []byte(secret.NewKey()), 0o600); err != nil {
				return err
			}
		}
		path, err := l.render("sluice.yaml")
		if err != nil {
			return err
		}
		l.heapURL = fmt.Sprintf("http://127.0.0.1:%d/metrics", l.MetricsPort)
		return l.run("sluice", "serve", "--config", path)
	}
}

// envoy gives a launch of Envoy with what is on in with.
func envoy(with Config) func(*launcher) error {
	return func(l *launcher) error {
		l.JWT, l.RBAC, l.ExtProc, l.ExtProcAnswers = with.JWT, with.RBAC, with.ExtProc, with.ExtProcAnswers
		path, err := l.render("envoy.yaml")
		if err != nil {
			return err
		}
		if l.ExtProc {
			listen := fmt.Sprintf("127.0.0.1:%d", l.ExtProcPort)
			if err := l.run("extproc", "-listen", listen, "-group", l.Group); err != nil {
				return err
			}
		}
		return l.run("envoy", "--config-path", path, "--concurrency", strconv.Itoa(l.Config.CPUs),
			"--use-dynamic-base-id", "--log-level", "error", "--disable-hot-restart")
	}
}

func nginx(l *launcher) error {
	path, err := l.render("nginx.conf")
	if err != nil {
		return err
	}
	return l.run("nginx", "-p", l.Config.Dir, "-e", "error.log", "-c", path)
}

func haproxy(l *launcher) error {
	path, err := l.render("haproxy.cfg")
	if err != nil {
		return err
	}
	return l.run("haproxy", "-db", "-f", path)
}
