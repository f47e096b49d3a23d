package config

import (
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/approval"
	"github.com/sluice-gateway/sluice/backends"
	"github.com/sluice-gateway/sluice/notify"
	"github.com/sluice-gateway/sluice/secret"
)

// Config is what a deployment is told.
type Config struct {
	// Server is what Sluice listens on, and its limits.
	Server Server `yaml:"server"`
	// Identity is who vouches for callers. At least one source is needed.
	Identity Identity `yaml:"identity"`
	// Store is where state is kept.
	Store Store `yaml:"store" reload:"restart"`
	// Backends are the model servers.
	Backends []backends.Config `yaml:"backends"`
	// Policy lists policy files, relative to this file's folder; together they
	// are one policy. At least one is needed.
	Policy []string `yaml:"policy"`
	// Audit is how calls are recorded.
	Audit Audit `yaml:"audit" reload:"restart"`
	// Secrets is how what is secret in the store is sealed; without a key, nothing
	// secret is kept there.
	Secrets secret.Config `yaml:"secrets" reload:"restart"`

	// Approvals bounds what waits for people, and what people give themselves.
	Approvals approval.Config `yaml:"approvals" reload:"restart"`
	// Notify are channels that tell people who asks for approval and what became
	// of it.
	Notify []notify.Config `yaml:"notify"`

	// Rules are what the policy files are together; [Load] makes them.
	Rules *Rules `yaml:"-"`
}

// Store is where state is kept: one of the two, or neither while nothing that
// needs it is configured.
type Store struct {
	// SQLite is the path of a database file, made if missing.
	SQLite string `yaml:"sqlite"`
	// Postgres refers to a connection string, as ${NAME} or file:PATH.
	Postgres access.Secret `yaml:"postgres"`
}

// unbuilt are the keys that belong to parts which this version does not have.
// They are refused, not ignored: who wrote one relies on it.
var unbuilt = map[string]string{
	"identity.saml": notYet,
}

// misplaced are keys of policy files, by what is said of them elsewhere.
var misplaced = map[string]string{
	"roles":     inPolicyFile,
	"bindings":  inPolicyFile,
	"masking":   inPolicyFile,
	"guards":    inPolicyFile,
	"access":    inPolicyFile,
	"detectors": inPolicyFile,
}

const (
	inPolicyFile = "is a key of policy files; write it in one of those that policy lists"

	notYet = "is not supported by this version yet; take the key out"
)

// The defaults of the server's settings.
const (
	defaultGRPC          = "127.0.0.1:8001"
	defaultREST          = "127.0.0.1:8000"
	defaultMetrics       = "127.0.0.1:8002"
	defaultConsole       = "127.0.0.1:8003"
	defaultInFlight      = 8 << 30
	defaultInFlightEach  = 4 << 30
	defaultMessage       = 1<<31 - 1 // tritonclient's own limit
	defaultStreams       = 1000
	defaultCallsEach     = 4096
	defaultShutdownGrace = 30 * time.Second
	defaultGCPercent     = 200
)

// Unbuilt lists the keys that are refused because their part is not there yet,
// those of policy files included.
func Unbuilt() []string { return sortedKeys(unbuilt) }
