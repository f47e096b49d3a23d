package config

import (
	"net/netip"
	"time"

	"github.com/sluice-gateway/sluice/access"
)

// Server is what Sluice listens on, and its limits. Listeners are written
// "host:port", ":port" for every address of the machine, or "off".
type Server struct {
	// GRPC is the listener of the KServe v2 gRPC protocol.
	GRPC string `yaml:"grpc" reload:"restart"`
	// REST is the listener of the KServe v2 REST protocol.
	REST string `yaml:"rest" reload:"restart"`
	// Metrics is the listener of Prometheus metrics. It is always plaintext.
	Metrics string `yaml:"metrics" reload:"restart"`
	// Console is the listener of the console, the admin API and the login.
	Console string `yaml:"console" reload:"restart"`
	// TLS is the certificate of the grpc, rest and console listeners.
	TLS *ServerTLS `yaml:"tls" reload:"restart"`
	// Plaintext allows listeners off loopback without TLS.
	Plaintext bool `yaml:"plaintext" reload:"restart"`
	// Probes says whether health and server metadata are for everybody (open)
	// or need a token (authenticated).
	Probes string `yaml:"probes"`
	// Ready says whether ServerReady needs one backend to be ready (any) or every
	// one (all).
	Ready string `yaml:"ready"`
	// TrustedProxies are networks whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"`
	// CORS are the origins of web pages ("https://app.example") that may call the
	// rest listener from a browser, or "*"; none by default.
	CORS []string `yaml:"cors"`
	// OpenAI serves /v1/chat/completions, /v1/completions, /v1/embeddings and
	// /v1/models on the rest listener too, for clients of language models that
	// speak that API, under the same rules.
	OpenAI bool `yaml:"openai"`
	// Limits bound what callers can use up.
	Limits Limits `yaml:"limits" reload:"restart"`
	// ShutdownGrace is how long calls may go on after the signal to stop.
	ShutdownGrace time.Duration `yaml:"shutdown_grace"`
	// Memory tunes the garbage collector.
	Memory Memory `yaml:"memory" reload:"restart"`
}

// ServerTLS is the certificate that Sluice shows. The files are read again when
// they change.
type ServerTLS struct {
	// Cert is a PEM file with the certificate and its chain.
	Cert access.File `yaml:"cert"`
	// Key is a PEM file with the private key.
	Key access.File `yaml:"key"`
	// ClientCA is a PEM file of authorities; with it, every client needs a
	// certificate signed by one (mTLS). A certificate does not replace a token.
	ClientCA access.File `yaml:"client_ca"`
	// MinVersion is the oldest version of TLS to speak: "1.2" or "1.3".
	MinVersion string `yaml:"min_version"`
}

// Limits bound what callers can use up.
type Limits struct {
	// InFlight is how many bytes of messages, decompressed, are held at once.
	InFlight access.Size `yaml:"in_flight"`
	// InFlightPerPrincipal is the same for one principal.
	InFlightPerPrincipal access.Size `yaml:"in_flight_per_principal"`
	// MaxMessage is the largest message, decompressed.
	MaxMessage access.Size `yaml:"max_message"`
	// MaxStreams is how many calls one connection may have open.
	MaxStreams uint32 `yaml:"max_streams"`
	// CallsPerPrincipal is how many calls one principal may have open.
	CallsPerPrincipal int `yaml:"calls_per_principal"`
}

// Memory tunes the garbage collector.
type Memory struct {
	// GCPercent is how much garbage may grow before it is collected, in percent
	// of what is in use (GOGC). More costs memory and saves CPU.
	GCPercent int `yaml:"gc_percent"`
	// Limit is a soft limit of the process's memory (GOMEMLIMIT); 0 is none.
	Limit access.Size `yaml:"limit"`
}

// SetDefaults sets the listeners to Triton's ports on loopback, and the rest to
// what suits most machines.
func (s *Server) SetDefaults() {
	s.GRPC, s.REST, s.Metrics, s.Console = defaultGRPC, defaultREST, defaultMetrics, defaultConsole
	s.Probes, s.Ready = "open", "any"
	s.OpenAI = true
	s.ShutdownGrace = defaultShutdownGrace
}

// SetDefaults sets the oldest version to TLS 1.2.
func (t *ServerTLS) SetDefaults() { t.MinVersion = "1.2" }

// SetDefaults sets limits that let one message of tritonclient's largest size
// through.
func (l *Limits) SetDefaults() {
	*l = Limits{
		InFlight: defaultInFlight, InFlightPerPrincipal: defaultInFlightEach, MaxMessage: defaultMessage,
		MaxStreams: defaultStreams, CallsPerPrincipal: defaultCallsEach,
	}
}

// SetDefaults sets the collector's target, without a limit.
func (m *Memory) SetDefaults() { m.GCPercent = defaultGCPercent }
