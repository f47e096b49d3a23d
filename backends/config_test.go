package backends_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/backends"
)

// right is an entry that is right.
func right() backends.Config {
	c := backends.Config{Name: "gpu", Type: "triton", Addresses: []string{"127.0.0.1:8001"}, Models: []string{"*"}}
	c.Limits.SetDefaults()
	c.Replicas.SetDefaults()
	c.Sequences.SetDefaults()
	return c
}

func ref(t *testing.T, text string) access.Secret {
	t.Helper()
	var s access.Secret
	if err := s.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConfigValidate(t *testing.T) {
	secret := ref(t, "${SLUICE_TEST}")
	credential := func(c backends.CredentialConfig) func(*backends.Config) {
		return func(b *backends.Config) { b.Credential = &c }
	}
	address := func(a ...string) func(*backends.Config) {
		return func(b *backends.Config) { b.Addresses = a }
	}
	url := func(a ...string) func(*backends.Config) {
		return func(b *backends.Config) { b.Type, b.Addresses = "vllm", a }
	}
	tests := map[string]struct {
		change func(*backends.Config)
		want   string // path: beginning of the message
	}{
		"right":               {func(*backends.Config) {}, ""},
		"no name":             {func(b *backends.Config) { b.Name = "" }, "name: is missing"},
		"name with blanks":    {func(b *backends.Config) { b.Name = "a b" }, "name: must be at most 63 letters"},
		"long name":           {func(b *backends.Config) { b.Name = strings.Repeat("a", 64) }, "name: must be at most 63 letters"},
		"no type":             {func(b *backends.Config) { b.Type = "" }, "type: is missing; write one of kserve, mlserver, openai, tgi, triton, vllm"},
		"unknown type":        {func(b *backends.Config) { b.Type = "tritn" }, `type: unknown backend type "tritn" (did you mean "triton"?)`},
		"no address":          {address(), "addresses: is missing"},
		"two addresses":       {address("127.0.0.1:1", "127.0.0.1:2"), ""},
		"address twice":       {address("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:1"), "addresses[2]: is there twice"},
		"headless service":    {func(b *backends.Config) { b.Addresses = []string{"dns:///triton:8001"}; b.Plaintext = true }, ""},
		"DNS server":          {func(b *backends.Config) { b.Addresses = []string{"dns://10.0.0.10/triton:8001"}; b.Plaintext = true }, ""},
		"DNS in plaintext":    {address("dns:///triton:8001"), "addresses[0]: is not on loopback"},
		"DNS of localhost":    {address("dns://10.0.0.10/localhost:8001"), "addresses[0]: is not on loopback"},
		"DNS of HTTP":         {url("dns+http://localhost:8000"), "addresses[0]: is not on loopback"},
		"DNS without a port":  {address("dns:///triton"), "addresses[0]: must be host:port"},
		"unix":                {address("unix:///run/triton.sock"), ""},
		"unix, relative":      {address("unix:triton.sock"), "addresses[0]: must be unix:///path"},
		"HTTP":                {url("http://127.0.0.1:8000"), ""},
		"HTTPS":               {url("https://vllm/base"), ""},
		"HTTP in plaintext":   {url("http://vllm:8000"), "addresses[0]: is not on loopback: write https://"},
		"HTTP and tls":        {func(b *backends.Config) { url("http://vllm:8000")(b); b.TLS = &backends.TLSConfig{} }, "addresses[0]: is plaintext, but the backend has tls"},
		"all of a name":       {func(b *backends.Config) { url("dns+http://vllm:8000")(b); b.Plaintext = true }, ""},
		"gRPC for HTTP":       {url("127.0.0.1:8000"), "addresses[0]: must be a URL of the server"},
		"URL of no host":      {url("http:///v1"), "addresses[0]: must be a URL of the server"},
		"password in a URL":   {url("https://me:hunter2@vllm"), "addresses[0]: must be a URL of scheme, host, port and path alone"},
		"query in a URL":      {url("https://vllm/?key=1"), "addresses[0]: must be a URL of scheme, host, port and path alone"},
		"port 0 in a URL":     {url("https://vllm:0"), "addresses[0]: must have a port"},
		"URL":                 {address("grpc://127.0.0.1:1"), "addresses[0]: must be host:port of the server's gRPC port"},
		"no port":             {address("127.0.0.1"), "addresses[0]: must be host:port"},
		"no host":             {address(":8001"), "addresses[0]: must be host:port"},
		"port 0":              {address("127.0.0.1:0"), "addresses[0]: must have a port from 1 to 65535"},
		"named port":          {address("127.0.0.1:http"), "addresses[0]: must have a port from 1 to 65535"},
		"plaintext":           {address("triton:8001"), "addresses[0]: is not on loopback: give the backend tls, or plaintext: true"},
		"plaintext by IP":     {address("10.0.0.1:8001"), "addresses[0]: is not on loopback"},
		"loopback by name":    {address("localhost:8001"), ""},
		"loopback in IPv6":    {address("[::1]:8001"), ""},
		"plaintext wanted":    {func(b *backends.Config) { b.Addresses[0] = "triton:8001"; b.Plaintext = true }, ""},
		"TLS":                 {func(b *backends.Config) { b.Addresses[0] = "triton:8001"; b.TLS = &backends.TLSConfig{} }, ""},
		"cert without key":    {func(b *backends.Config) { b.TLS = &backends.TLSConfig{Cert: "a"} }, "tls: cert and key go together"},
		"no models":           {func(b *backends.Config) { b.Models = nil }, "models: is missing"},
		"empty pattern":       {func(b *backends.Config) { b.Models = []string{"a", ""} }, "models[1]: is an empty pattern"},
		"pattern twice":       {func(b *backends.Config) { b.Models = []string{"a", "a"} }, `models[1]: "a" is there twice`},
		"rename":              {func(b *backends.Config) { b.Rename = map[string]string{"chat": "meta-llama/Llama-3"} }, ""},
		"rename a pattern":    {func(b *backends.Config) { b.Rename = map[string]string{"chat-*": "llama"} }, "rename.chat-*: must be the name of one model"},
		"rename to nothing":   {func(b *backends.Config) { b.Rename = map[string]string{"chat": ""} }, "rename.chat: is empty"},
		"rename of another's": {func(b *backends.Config) { b.Models = []string{"a-*"}; b.Rename = map[string]string{"chat": "llama"} }, "rename.chat: is not among the backend's models"},
		"two names":           {func(b *backends.Config) { b.Rename = map[string]string{"a": "llama", "b": "llama"} }, `rename.b: is "llama" at the server, as "a" is`},
		"version":             {func(b *backends.Config) { b.Versions = map[string]string{"resnet": "3"} }, ""},
		"version of nothing":  {func(b *backends.Config) { b.Versions = map[string]string{"": "3"} }, "versions.: must be the name of one model"},
		"weight":              {func(b *backends.Config) { b.Weight = 90 }, ""},
		"negative weight":     {func(b *backends.Config) { b.Weight = -1 }, "weight: must be from 1 to"},
		"huge weight":         {func(b *backends.Config) { b.Weight = 1 << 40 }, "weight: must be from 1 to"},
		"negative limit":      {func(b *backends.Config) { b.Limits.Concurrency = -1 }, "limits.concurrency: must be at least 0"},
		"negative wait":       {func(b *backends.Config) { b.Limits.Wait = -1 }, "limits.wait: must be at least 0s"},
		"busy checks":         {func(b *backends.Config) { b.Replicas.Check = 1 }, "replicas.check: must be at least 100ms"},
		"no sequences":        {func(b *backends.Config) { b.Sequences.Max = 0 }, "sequences.max: must be at least 1"},
		"metadata":            {func(b *backends.Config) { b.Metadata = []string{"x-*", "*", "traceparent"} }, ""},
		"metadata in capital": {func(b *backends.Config) { b.Metadata = []string{"X-*"} }, `metadata[0]: "X-*" is not a pattern of metadata names`},
		"empty metadata":      {func(b *backends.Config) { b.Metadata = []string{""} }, `metadata[0]: "" is not a pattern`},
		"empty credential":    {credential(backends.CredentialConfig{}), "credential: is empty; write bearer, basic or headers"},
		"two credentials":     {credential(backends.CredentialConfig{Bearer: secret, Basic: &backends.BasicConfig{Username: "a", Password: secret}}), "credential: bearer and basic exclude each other"},
		"colon in user name":  {credential(backends.CredentialConfig{Basic: &backends.BasicConfig{Username: "a:b", Password: secret}}), "credential.basic.username: must be there, without a colon"},
		"no password":         {credential(backends.CredentialConfig{Basic: &backends.BasicConfig{Username: "a"}}), "credential.basic.password: is missing"},
		"headers":             {credential(backends.CredentialConfig{Bearer: secret, Headers: map[string]access.Secret{"x-key": secret}}), ""},
		"header in capitals":  {credential(backends.CredentialConfig{Headers: map[string]access.Secret{"X-Key": secret}}), "credential.headers.X-Key: is not a name that a credential can have"},
		"header of gRPC":      {credential(backends.CredentialConfig{Headers: map[string]access.Secret{"grpc-timeout": secret}}), "credential.headers.grpc-timeout: is not a name"},
		"header of HTTP":      {credential(backends.CredentialConfig{Headers: map[string]access.Secret{"te": secret}}), "credential.headers.te: is not a name"},
		"binary header":       {credential(backends.CredentialConfig{Headers: map[string]access.Secret{"a-bin": secret}}), "credential.headers.a-bin: is not a name"},
		"authorization":       {credential(backends.CredentialConfig{Headers: map[string]access.Secret{"authorization": secret}}), ""},
		"two authorizations":  {credential(backends.CredentialConfig{Bearer: secret, Headers: map[string]access.Secret{"authorization": secret}}), "credential.headers.authorization: bearer or basic sets it already"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := right()
			tt.change(&b)
			var got []string
			for _, p := range b.Validate() {
				got = append(got, p.Path+": "+p.Message)
			}
			text := strings.Join(got, "\n")
			if len(got) > 1 || !strings.HasPrefix(text, tt.want) || (tt.want == "") != (text == "") {
				t.Errorf("got %q, want %q", text, tt.want)
			}
		})
	}
}

func TestCredentialMetadata(t *testing.T) {
	t.Setenv("SLUICE_TEST_TOKEN", "hunter2")
	t.Setenv("SLUICE_TEST_LINES", "hunter2\nx-more: 1")
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("hunter3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env, unset, lines := ref(t, "${SLUICE_TEST_TOKEN}"), ref(t, "${SLUICE_TEST_UNSET}"), ref(t, "${SLUICE_TEST_LINES}")
	tests := map[string]struct {
		credential *backends.CredentialConfig
		want       map[string]string
		err        string
	}{
		"none":             {nil, nil, ""},
		"bearer":           {&backends.CredentialConfig{Bearer: env}, map[string]string{"authorization": "Bearer hunter2"}, ""},
		"basic":            {&backends.CredentialConfig{Basic: &backends.BasicConfig{Username: "me", Password: env}}, map[string]string{"authorization": "Basic bWU6aHVudGVyMg=="}, ""},
		"headers":          {&backends.CredentialConfig{Headers: map[string]access.Secret{"a": env, "b": ref(t, "file:"+file)}}, map[string]string{"a": "hunter2", "b": "hunter3"}, ""},
		"unset":            {&backends.CredentialConfig{Bearer: unset}, nil, "credential: environment variable SLUICE_TEST_UNSET is not set"},
		"unset password":   {&backends.CredentialConfig{Basic: &backends.BasicConfig{Username: "me", Password: unset}}, nil, "credential: environment variable SLUICE_TEST_UNSET is not set"},
		"unset header":     {&backends.CredentialConfig{Headers: map[string]access.Secret{"a": unset}}, nil, "credential header a: environment variable"},
		"more than a line": {&backends.CredentialConfig{Bearer: lines}, nil, "the secret has bytes that a header cannot carry"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tt.credential.Metadata()
			if !maps.Equal(got, tt.want) || (err == nil) != (tt.err == "") {
				t.Fatalf("got %v, %v", got, err)
			}
			if err != nil && (!strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "hunter")) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestOldTritonGuards(t *testing.T) {
	if got, want := (backends.OldTritonConfig{}).Guard(), (backends.Guard{LongFileNames: true, BytesClassification: true, GRPCError: true}); got != want {
		t.Errorf("by default %+v", got)
	}
	open := backends.OldTritonConfig{ForwardLongFileNames: true, ForwardBytesClassification: true, ForwardGRPCError: true}
	if got := open.Guard(); got != (backends.Guard{}) {
		t.Errorf("opened %+v", got)
	}
}

// TestStoredCredential is the name alone, or stands in the places of secrets.
func TestStoredCredential(t *testing.T) {
	var c backends.CredentialConfig
	if err := c.UnmarshalText([]byte("gpu-token")); err != nil || !slices.Equal(c.StoredSecrets(), []string{"gpu-token"}) {
		t.Errorf("got %v, %v", c.StoredSecrets(), err)
	}
	c = backends.CredentialConfig{Bearer: ref(t, "secret:b"), Headers: map[string]access.Secret{"x": ref(t, "secret:a"), "y": ref(t, "secret:b"), "z": ref(t, "${HOME}")}}
	if got := c.StoredSecrets(); !slices.Equal(got, []string{"b", "a"}) {
		t.Errorf("needs %v", got)
	}
	t.Setenv("HOME", "/root")
	got, err := c.MetadataWith(func(name string) (string, error) { return "value of " + name, nil })
	if err != nil || got["authorization"] != "Bearer value of b" || got["x"] != "value of a" || got["z"] != "/root" {
		t.Errorf("shows %v, %v", got, err)
	}
	if _, err := c.Metadata(); err == nil {
		t.Error("shown without a store")
	}
	if names := (*backends.CredentialConfig)(nil).StoredSecrets(); names != nil {
		t.Errorf("no credential needs %v", names)
	}
}

// TestStoredCredentialProblems: what is no name may be the secret itself.
func TestStoredCredentialProblems(t *testing.T) {
	for name, c := range map[string]struct {
		credential backends.CredentialConfig
		want       string
	}{
		"a name":                {backends.CredentialConfig{Stored: "gpu"}, ""},
		"for approved calls":    {backends.CredentialConfig{Stored: "gpu", Lease: "approved"}, ""},
		"a secret in its place": {backends.CredentialConfig{Stored: "Bearer hunter2"}, "must be the name of a stored credential"},
		"and another":           {backends.CredentialConfig{Stored: "gpu", Bearer: ref(t, "secret:b")}, "it excludes bearer"},
		"another lease":         {backends.CredentialConfig{Stored: "gpu", Lease: "aproved"}, `did you mean "approved"?`},
		"a lease of none":       {backends.CredentialConfig{Bearer: ref(t, "${A}"), Lease: "call"}, "is for stored secrets"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := backends.Config{Name: "a", Type: "triton", Addresses: []string{"localhost:1"}, Models: []string{"m"}, Credential: &c.credential}
			cfg.Limits.SetDefaults()
			cfg.Replicas.SetDefaults()
			cfg.Sequences.SetDefaults()
			text := ""
			for _, p := range cfg.Validate() {
				text += p.Path + ": " + p.Message + "\n"
			}
			if c.want == "" && text != "" || !strings.Contains(text, c.want) || strings.Contains(text, "hunter2") {
				t.Errorf("problems %q", text)
			}
		})
	}
}
