package backends

import (
	"cmp"
	"maps"
	"slices"

	"github.com/sluice-gateway/sluice/access"
)

// types has the kinds of servers that a backend can be, and whether they are
// reached over HTTP and not over gRPC.
var types = map[string]struct{ http bool }{
	"kserve":   {},
	"mlserver": {},
	"openai":   {http: true},
	"tgi":      {http: true},
	"triton":   {},
	"vllm":     {http: true},
}

// Types lists the kinds of servers that a backend can be.
func Types() []string { return slices.Sorted(maps.Keys(types)) }

// HTTP tells whether servers of the backend's type are reached over HTTP: their
// addresses are URLs then.
func (c *Config) HTTP() bool { return types[c.Type].http }

// Config is one entry of backends.
type Config struct {
	// Name is how logs, metrics and errors call the backend.
	Name string `yaml:"name"`
	// Type is the kind of server: kserve, mlserver, openai, tgi, triton or vllm.
	Type string `yaml:"type"`
	// Addresses are the replicas of the server. Those of kserve, mlserver and
	// triton are host:port of the gRPC port, or "dns:///host:port" for every
	// address that the name has at a time (a headless service), or
	// "unix:///path"; those of openai, tgi and vllm are URLs such as
	// "http://host:8000", or "dns+http://host:8000" for every address of the name.
	Addresses []string `yaml:"addresses"`
	// Models are patterns of the models that the backend has; "*" is any run of
	// bytes. An exact name comes before a pattern, and a pattern with more
	// literal bytes before one with fewer. Two backends can have the same only
	// if both have a Weight.
	Models []string `yaml:"models"`
	// Rename has the server's names of models by the names that callers use. The
	// server's name of such a model is then not a name that callers can use. Texts
	// of errors still hold it.
	Rename map[string]string `yaml:"rename"`
	// Versions has the versions that models are asked for where a caller asks for
	// none, by the names that callers use.
	Versions map[string]string `yaml:"versions"`
	// Weight is this backend's share of the callers of patterns that another
	// backend has too. One caller of a model stays at one backend.
	Weight int `yaml:"weight"`
	// TLS is how the backend is reached over TLS; without it, it is reached in
	// plaintext.
	TLS *TLSConfig `yaml:"tls"`
	// Plaintext allows an address off loopback without TLS.
	Plaintext bool `yaml:"plaintext"`
	// Metadata narrows which of a caller's metadata go on to the backend, as
	// patterns of names in lower case. Without it, all go on that may ever go.
	Metadata []string `yaml:"metadata"`
	// Credential is what Sluice shows to the backend. The caller's own token
	// never goes on.
	Credential *CredentialConfig `yaml:"credential"`
	// Limits bounds what is at the backend at once.
	Limits LimitsConfig `yaml:"limits"`
	// Replicas is how several replicas are used.
	Replicas ReplicasConfig `yaml:"replicas"`
	// Sequences bounds stateful sequences.
	Sequences SequencesConfig `yaml:"sequences"`
	// OldTriton says which requests that kill an old Triton go on to this one.
	OldTriton OldTritonConfig `yaml:"old_triton"`
	// OpenAI is the options of type openai.
	OpenAI *OpenAIConfig `yaml:"openai"`
	// VLLM is the options of type vllm.
	VLLM *VLLMConfig `yaml:"vllm"`
	// TGI is the options of type tgi.
	TGI *TGIConfig `yaml:"tgi"`
}

// ServerNames are the patterns of Models with the server's names in the place of
// those that callers use.
func (c *Config) ServerNames() []string {
	all := make([]string, len(c.Models))
	for i, name := range c.Models {
		all[i] = cmp.Or(c.Rename[name], name)
	}
	return all
}

// TLSConfig is how a backend is verified and what is shown to it. The files are
// read again when they change.
type TLSConfig struct {
	// CA is a PEM file of the authorities that may have signed the backend's
	// certificate; without it, the system's.
	CA access.File `yaml:"ca"`
	// Cert is a PEM file of the certificate that Sluice shows to the backend
	// (mTLS); it needs Key.
	Cert access.File `yaml:"cert"`
	// Key is a PEM file of Cert's private key.
	Key access.File `yaml:"key"`
	// ServerName is what the backend's certificate has to be for; without it,
	// the address's host.
	ServerName string `yaml:"server_name"`
}

// CredentialConfig is what Sluice shows to a backend with each call, secrets by
// reference only (${NAME}, file:PATH or secret:NAME). bearer and basic exclude
// each other. Written as one word, it is the name of a stored credential.
type CredentialConfig struct {
	// Bearer is a token, sent as "authorization: Bearer …".
	Bearer access.Secret `yaml:"bearer"`
	// Basic is a user name and a password, sent as "authorization: Basic …".
	Basic *BasicConfig `yaml:"basic"`
	// Headers are metadata by name, in lower case.
	Headers map[string]access.Secret `yaml:"headers"`
	// Stored is the name of a stored credential, which says itself how it is
	// shown; it stands alone.
	Stored string `yaml:"stored"`
	// Lease says for which calls stored secrets are opened: call (each; the
	// default), or approved (only those that people have approved).
	Lease Leasing `yaml:"lease"`
}

// Leasing says for which calls a stored credential is opened.
type Leasing string

// What a stored credential is opened for.
const (
	LeaseCall     Leasing = "call"
	LeaseApproved Leasing = "approved"
)

// BasicConfig is a user name and a password.
type BasicConfig struct {
	// Username is sent as it is.
	Username string `yaml:"username"`
	// Password is a reference to the password.
	Password access.Secret `yaml:"password"`
}

// OldTritonConfig opens, one by one, what is kept from a backend because it
// killed Triton 2.51. Each is for a server that is known to be new enough.
type OldTritonConfig struct {
	// ForwardLongFileNames lets a load through that has a "file:" path component
	// of more than 255 bytes.
	ForwardLongFileNames bool `yaml:"forward_long_file_names"`
	// ForwardBytesClassification lets a classification of a BYTES output through.
	ForwardBytesClassification bool `yaml:"forward_bytes_classification"`
	// ForwardGRPCError lets the metadata triton_grpc_error through, which asks for
	// a stream that ends with the status of a model's error.
	ForwardGRPCError bool `yaml:"forward_grpc_error"`
}

// Guard is what is kept from the backend.
func (c OldTritonConfig) Guard() Guard {
	return Guard{
		LongFileNames:       !c.ForwardLongFileNames,
		BytesClassification: !c.ForwardBytesClassification,
		GRPCError:           !c.ForwardGRPCError,
	}
}
