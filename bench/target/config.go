package target

import (
	"bytes"
	"embed"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"text/template"

	"github.com/sluice-gateway/sluice/bench/scenario"
)

//go:embed templates
var templateFiles embed.FS

var templates = template.Must(template.New("").Option("missingkey=error").
	ParseFS(templateFiles, "templates/*.tmpl"))

const (
	// maxStreams is how many streams one connection may have, in each peer
	// that has such a limit; their defaults (100, 128) are too few for the
	// waiting streams.
	maxStreams = 1000
	// bufferBytes is what Envoy may hold of one body; without it, it refuses
	// one over a MiB.
	bufferBytes = 64 << 20
)

// Config is what the templates are filled with.
type Config struct {
	About string
	// Host and Port are where the target listens, Dir a folder of its own.
	Host string
	Port int
	Dir  string
	Root bool // started as root
	CPUs int  // cores that it may use

	BackendHost string
	BackendPort int
	MetricsPort int // Sluice's, as all up to LLM
	RESTPort    int
	ConsolePort int
	REST        bool   // the REST door is open
	Kind        string // the type of its backend
	HTTP        bool   // which speaks HTTP, at LLM
	Audit       bool   // calls are recorded
	Payloads    bool   // and what they say, masked
	Guarded     string // models with a guard on parameters, as a pattern
	Hold        bool   // calls with an input of HeldInput wait for an approver
	LLM         string
	ExtProcPort int

	// What of Envoy is on: the verified token, rules on paths and groups, an
	// external processor for requests, and for answers too.
	JWT, RBAC, ExtProc, ExtProcAnswers bool

	// The issuer of the token, what it is meant for, the file of its keys, and
	// the groups whose members may infer and approve.
	Issuer, Audience, JWKS, Group, Approvers string
}

// MaxStreams is for the templates.
func (Config) MaxStreams() int { return maxStreams }

// BufferBytes is for the templates.
func (Config) BufferBytes() int { return bufferBytes }

// Address is where the target listens.
func (c Config) Address() string { return net.JoinHostPort(c.Host, fmt.Sprint(c.Port)) }

// Upstream is Sluice's address of its backend.
func (c Config) Upstream() string {
	if c.HTTP {
		return "http://" + c.LLM
	}
	return c.backend()
}

// RESTAddress is where Sluice's REST door listens, if it is open.
func (c Config) RESTAddress() string {
	if !c.REST {
		return "off"
	}
	return net.JoinHostPort(c.Host, fmt.Sprint(c.RESTPort))
}

// ConsoleAddress is where Sluice's own API listens, if anybody asks it.
func (c Config) ConsoleAddress() string {
	if !c.Hold {
		return "off"
	}
	return net.JoinHostPort(c.Host, fmt.Sprint(c.ConsolePort))
}

// HeldInput is for the templates.
func (Config) HeldInput() int { return scenario.HeldInput }

// backend is where the backend listens.
func (c Config) backend() string { return net.JoinHostPort(c.BackendHost, fmt.Sprint(c.BackendPort)) }

// render writes the template of that name, filled in, to c.Dir and gives the
// file's path.
func (c Config) render(name string) (string, error) {
	var out bytes.Buffer
	if err := templates.ExecuteTemplate(&out, name+".tmpl", c); err != nil {
		return "", err
	}
	path := filepath.Join(c.Dir, name)
	return path, os.WriteFile(path, out.Bytes(), 0o644)
}

// freePort asks the kernel for a port that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}
