package config_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/config"
)

// The sections of a configuration that is right, one a line; tests put others
// in their place.
var rightSections = map[string]string{
	"server":   `server: { grpc: "127.0.0.1:0" }`,
	"identity": `identity: { oidc: [ { name: corp, issuer: "https://issuer.example", audiences: [sluice] } ] }`,
	"backends": `backends: [ { name: gpu, type: triton, addresses: ["127.0.0.1:8001"], models: ["*"] } ]`,
	"policy":   `policy: [policy.yaml]`,
}

const rightPolicy = `roles: { reader: [ { models: ["*"], verbs: [infer] } ] }
bindings: [ { role: reader, groups: [users] } ]
`

// lay writes files into a new folder and returns the path of its sluice.yaml.
func lay(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		put(t, filepath.Join(dir, name), content)
	}
	return filepath.Join(dir, "sluice.yaml")
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// document joins the right sections, with others in their place; the order is
// server, identity, backends, policy, then the rest.
func document(replaced map[string]string) string {
	var lines []string
	for _, name := range []string{"server", "identity", "backends", "policy"} {
		section, ok := replaced[name]
		if !ok {
			section = rightSections[name]
		}
		lines = append(lines, section)
	}
	return strings.Join(append(lines, replaced["more"]), "\n") + "\n"
}

func TestLoad(t *testing.T) {
	t.Setenv("SLUICE_TEST_TOKEN", "hunter2")
	path := lay(t, map[string]string{
		"sluice.yaml": `
server:
  grpc: 127.0.0.1:9001
  console: off
  trusted_proxies: [10.0.0.0/8]
  limits: { in_flight: 1GiB }
  shutdown_grace: 1m
identity:
  oidc:
    - { name: corp, issuer: https://issuer.example, audiences: [sluice], jwks: "file:keys.json" }
    - { name: ci, issuer: https://ci.example, audiences: [sluice], skew: 0s }
store: { sqlite: data/sluice.db }
backends:
  - name: gpu
    type: triton
    addresses: [triton:8001]
    models: ["*"]
    plaintext: true
    metadata: [x-*]
    credential: { bearer: "${SLUICE_TEST_TOKEN}", headers: { x-api-key: "file:key" } }
  - { name: cpu, type: mlserver, addresses: ["[::1]:8081"], models: [iris], old_triton: { forward_grpc_error: true } }
policy: [policy.yaml, more.yaml]
`,
		"policy.yaml": `roles: { reader: [ { models: ["*"], verbs: [infer] } ] }`,
		"more.yaml":   `bindings: [ { role: reader, groups: ["corp:users"] } ]`,
		"keys.json":   `{"keys":[]}`,
		"key":         "abc\n",
	})
	c, problems := config.Load(path)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(path)
	check := func(what string, got, want any) {
		t.Helper()
		if got != want {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	check("grpc", c.Server.GRPC, "127.0.0.1:9001")
	check("rest, by default", c.Server.REST, "127.0.0.1:8000")
	check("console", c.Server.Console, config.Off)
	check("proxy", c.Server.TrustedProxies[0], netip.MustParsePrefix("10.0.0.0/8"))
	check("in_flight", c.Server.Limits.InFlight, access.Size(1<<30))
	check("max_message, by default", c.Server.Limits.MaxMessage, access.Size(1<<31-1))
	check("shutdown_grace", c.Server.ShutdownGrace, time.Minute)
	check("sources", strings.Join(c.Identity.Sources(), " "), "corp ci")
	check("skew, by default", c.Identity.OIDC[0].Skew, 30*time.Second)
	check("skew of none", c.Identity.OIDC[1].Skew, time.Duration(0))
	check("jwks", string(c.Identity.OIDC[0].JWKS), "file:"+filepath.Join(dir, "keys.json"))
	check("sqlite", c.Store.SQLite, filepath.Join(dir, "data/sluice.db"))
	check("policy", c.Policy[1], filepath.Join(dir, "more.yaml"))
	check("guard of gpu", c.Backends[0].OldTriton.Guard().GRPCError, true)
	check("guard of cpu", c.Backends[1].OldTriton.Guard().GRPCError, false)
	shown, err := c.Backends[0].Credential.Metadata()
	if err != nil {
		t.Fatal(err)
	}
	check("authorization", shown["authorization"], "Bearer hunter2")
	check("x-api-key", shown["x-api-key"], "abc")
	if c.Rules == nil || c.Rules.Policy == nil || c.Rules.Masking == nil {
		t.Error("the policy is not compiled")
	}
}

func TestLoadProblems(t *testing.T) {
	tests := map[string]struct {
		section, text string
		want          []string // ends of the problems after the file's name
	}{
		"right": {"", "", nil},
		"all missing": {"all", "server: {}", []string{
			":1:1: identity: has no source: nobody could prove who they are; write identity.oidc",
			":1:1: backends: is missing: there is nothing to forward to",
			":1:1: policy: is missing: without a policy nobody may do anything; write policy: [policy.yaml]",
		}},
		"unknown key":                {"more", "backend: []", []string{`:5:1: backend: unknown key (did you mean "backends"?)`}},
		"payloads without a log":     {"more", "audit: { payloads: masked }", []string{":5:10: audit.payloads: are kept in the audit log, and there is none"}},
		"payloads without a key":     {"more", "audit: { sqlite: a.db, payloads: masked }", []string{":5:24: audit.payloads: are kept sealed, which needs a key"}},
		"payloads of less than days": {"more", "audit: { sqlite: a.db, payloads: masked, retain: 2h }\nstore: { sqlite: a }\nsecrets: { key: \"file:policy.yaml\" }", []string{":5:42: audit.retain: must be 0 (for ever) or at least 24h", ":7:12: secrets.key: it is no key"}},
		"payloads of no word":        {"more", "audit: { payloads: clear }", []string{":5:10: audit.payloads: must be none, masked or"}},
		"payloads of no verb":        {"more", "audit: { payloads: [ { models: [a], verbs: [admin], payloads: none } ] }", []string{":5:45: audit.payloads[0].verbs[0]: must be one of infer, load, load_override, unload"}},
		"guards":                     {"more", "guards: []", []string{":5:1: guards: is a key of policy files; write it in one of those that policy lists"}},
		"masking":                    {"more", "masking: []", []string{":5:1: masking: is a key of policy files; write it in one of those that policy lists"}},
		"access":                     {"more", "access: []", []string{":5:1: access: is a key of policy files; write it in one of those that policy lists"}},
		"saml":                       {"identity", `identity: { saml: {}, oidc: [ { name: a, issuer: "https://a", audiences: [b] } ] }`, []string{":2:13: identity.saml: is not supported by this version yet"}},
		"both stores":                {"more", `store: { sqlite: a, postgres: "file:policy.yaml" }`, []string{":5:1: store: sqlite and postgres exclude each other"}},
		"plain postgres":             {"more", `store: { postgres: "postgres://u:p@h/d" }`, []string{":5:10: store.postgres: a secret is written by reference only"}},

		"plaintext":             {"server", `server: { grpc: ":8001" }`, []string{":1:11: server.grpc: is plaintext off loopback: configure server.tls, listen on 127.0.0.1, or write server.plaintext: true"}},
		"plaintext host":        {"server", `server: { rest: "sluice.example:8000" }`, []string{":1:11: server.rest: is plaintext off loopback"}},
		"plaintext wanted":      {"server", `server: { grpc: ":8001", metrics: ":8002", plaintext: true }`, nil},
		"metrics have no TLS":   {"server", `server: { metrics: "0.0.0.0:8002" }`, []string{":1:11: server.metrics: is plaintext off loopback: listen on 127.0.0.1, or write server.plaintext: true"}},
		"loopback":              {"server", `server: { grpc: "localhost:8001", rest: "[::1]:8000", console: "127.8.8.8:8003" }`, nil},
		"same listener":         {"server", `server: { grpc: "127.0.0.1:8000" }`, []string{":1:1: server.rest: is the same address as server.grpc"}},
		"same through a name":   {"server", `server: { grpc: "localhost:8000" }`, []string{":1:1: server.rest: is the same address as server.grpc"}},
		"same through all":      {"server", `server: { grpc: ":8000", plaintext: true }`, []string{":1:1: server.rest: is the same address as server.grpc"}},
		"any free port twice":   {"server", `server: { grpc: "127.0.0.1:0", rest: "127.0.0.1:0" }`, nil},
		"off":                   {"server", `server: { rest: off, metrics: off, console: off }`, nil},
		"listener without port": {"server", `server: { grpc: localhost }`, []string{`:1:11: server.grpc: must be host:port, :port or off, as in "127.0.0.1:8001"`}},
		"listener is a URL":     {"server", `server: { grpc: "http://localhost:80" }`, []string{":1:11: server.grpc: must be host:port, :port or off, not a URL"}},
		"listener's port":       {"server", `server: { grpc: "localhost:65536" }`, []string{":1:11: server.grpc: must have a port from 0 (any free one) to 65535"}},
		"probes":                {"server", `server: { probes: closed }`, []string{":1:11: server.probes: must be open or authenticated"}},
		"ready":                 {"server", `server: { ready: al }`, []string{`:1:11: server.ready: must be any or all (did you mean "all"?)`}},
		"limits":                {"server", `server: { limits: { in_flight: 0, max_streams: 0, max_message: 2GiB } }`, []string{":1:21: server.limits.in_flight: must be positive", ":1:35: server.limits.max_streams: must be positive", ":1:51: server.limits.max_message: must be below 2GiB"}},
		"gc":                    {"server", `server: { memory: { gc_percent: -1 } }`, []string{":1:21: server.memory.gc_percent: must be positive"}},
		"tls without key":       {"server", `server: { tls: { cert: policy.yaml } }`, []string{":1:11: server.tls: needs both cert and key"}},
		"tls version":           {"server", `server: { tls: { cert: nope.pem, key: nope.pem, min_version: "1.1" } }`, []string{":1:18: server.tls.cert: $DIR/nope.pem cannot be read: no such file or directory", ":1:34: server.tls.key: $DIR/nope.pem cannot be read", ":1:49: server.tls.min_version: must be 1.2 or 1.3"}},
		"tls, not PEM":          {"server", `server: { tls: { cert: policy.yaml, key: policy.yaml, client_ca: policy.yaml } }`, []string{":1:18: server.tls.cert: certificate $DIR/policy.yaml and its key: tls: failed to find any PEM data", ":1:55: server.tls.client_ca: $DIR/policy.yaml holds no certificate in PEM"}},
		"tls, inline PEM":       {"server", `server: { tls: { cert: policy.yaml, key: "-----BEGIN PRIVATE KEY----- hunter2" } }`, []string{":1:37: server.tls.key: must be the path of a PEM file, not its text"}},

		"no name or audience":   {"identity", `identity: { oidc: [ { issuer: "https://a" } ] }`, []string{":2:21: identity.oidc[0].name: ", ":2:21: identity.oidc[0].audiences: must name at least one audience"}},
		"same name and issuer":  {"identity", `identity: { oidc: [ { name: a, issuer: "https://a", audiences: [b] }, { name: a, issuer: "https://a", audiences: [b] } ] }`, []string{`:2:73: identity.oidc[1].name: "a" is the name of identity.oidc[0] too`, ":2:82: identity.oidc[1].issuer: is the issuer of identity.oidc[0] too", "policy.yaml:2:38: bindings[0].groups[0]: "}},
		"variable in an issuer": {"identity", `identity: { oidc: [ { name: a, issuer: "https://a/${REALM}", audiences: [b] } ] }`, []string{":2:32: identity.oidc[0].issuer: ${NAME} is not expanded here, only where a secret is referred to"}},
		"keys are away":         {"identity", `identity: { oidc: [ { name: a, issuer: "https://a", audiences: [b], jwks: "file:nope" } ] }`, []string{":2:69: identity.oidc[0].jwks: $DIR/nope cannot be read"}},
		"ca is away":            {"identity", `identity: { oidc: [ { name: a, issuer: "https://a", audiences: [b], ca: nope } ] }`, []string{":2:69: identity.oidc[0].ca: $DIR/nope cannot be read"}},

		"one weight of two":     {"backends", `backends: [ { name: a, type: triton, addresses: ["localhost:1"], models: [m], weight: 9 }, { name: b, type: triton, addresses: ["localhost:2"], models: [m] } ]`, []string{`:3:154: backends[1].models[0]: "m" is among the models of backends[0] too; a model has one backend, or several of which each has a weight`}},
		"same name and pattern": {"backends", `backends: [ { name: a, type: triton, addresses: ["localhost:1"], models: [m, "*"] }, { name: a, type: triton, addresses: ["localhost:1"], models: [n, "*"] } ]`, []string{`:3:88: backends[1].name: "a" is the name of backends[0] too`, `:3:151: backends[1].models[1]: "*" is among the models of backends[0] too; a model has one backend`}},
		"type":                  {"backends", `backends: [ { name: a, type: tritn, addresses: ["localhost:1"], models: [m] } ]`, []string{`:3:24: backends[0].type: unknown backend type "tritn" (did you mean "triton"?)`}},
		"secret in plain text":  {"backends", `backends: [ { name: a, type: triton, addresses: ["localhost:1"], models: [m], credential: { bearer: hunter2 } } ]`, []string{":3:93: backends[0].credential.bearer: a secret is written by reference only, as ${NAME} for an environment variable, file:PATH, or secret:NAME for a stored one; plain text is refused"}},
		"variable not set":      {"backends", `backends: [ { name: a, type: triton, addresses: ["localhost:1"], models: [m], credential: { bearer: "${SLUICE_TEST_UNSET}" } } ]`, []string{":3:93: backends[0].credential.bearer: environment variable SLUICE_TEST_UNSET is not set"}},
		"header is away":        {"backends", `backends: [ { name: a, type: triton, addresses: ["localhost:1"], models: [m], credential: { headers: { x-key: "file:nope" } } } ]`, []string{":3:104: backends[0].credential.headers.x-key: open $DIR/nope: no such file or directory"}},
		"stored credential":     {"backends", `backends: [ { name: a, type: triton, addresses: ["localhost:1"], models: [m], credential: gpu-token } ]`, []string{":3:79: backends[0].credential: is a stored secret, which needs a store and a key"}},
		"stored secret":         {"backends", `backends: [ { name: a, type: triton, addresses: ["localhost:1"], models: [m], credential: { bearer: "secret:gpu" } } ]`, []string{":3:79: backends[0].credential: is a stored secret, which needs a store and a key"}},
		"backend's authority":   {"backends", `backends: [ { name: a, type: triton, addresses: ["a:1"], models: [m], tls: { ca: policy.yaml } } ]`, []string{":3:78: backends[0].tls.ca: $DIR/policy.yaml holds no certificate in PEM"}},

		"policy is away":  {"policy", "policy: [nope.yaml]", []string{":4:10: policy[0]: $DIR/nope.yaml cannot be read: no such file or directory"}},
		"policy twice":    {"policy", "policy: [policy.yaml, ./policy.yaml]", []string{":4:23: policy[1]: is there twice"}},
		"policy is empty": {"policy", "policy: []", []string{":4:1: policy: is missing: without a policy nobody may do anything"}},
		"other policy":    {"policy", "policy: [policy.yaml, wrong.yaml]", []string{`wrong.yaml:1:1: rolls: unknown key (did you mean "roles"?)`, "wrong.yaml:3:5: bindings[0].role: unknown role \"readr\" (did you mean \"reader\"?)"}},
		"broken policy":   {"policy", "policy: [broken.yaml]", []string{"broken.yaml:1:1: is not YAML: "}},
		"folder":          {"policy", "policy: [.]", []string{":4:10: policy[0]: $DIR cannot be read: is a directory"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			text := document(map[string]string{tt.section: tt.text})
			if tt.section == "all" {
				text = tt.text
			}
			path := lay(t, map[string]string{
				"sluice.yaml": text, "policy.yaml": rightPolicy, "broken.yaml": "roles: [\n",
				"wrong.yaml": "rolls: {}\nbindings:\n  - role: readr\n    groups: [users]\n",
			})
			c, problems := config.Load(path)
			if (c == nil) != (len(tt.want) > 0) {
				t.Errorf("configuration is %v", c)
			}
			expectProblems(t, problems, filepath.Dir(path), tt.want)
			if strings.Contains(problems.String(), "hunter2") {
				t.Errorf("a secret shows in %s", problems)
			}
		})
	}
}

// expectProblems compares by beginning, so that cases need not repeat advice.
func expectProblems(t *testing.T, got config.Problems, dir string, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d problems, want %d:\n%s", len(got), len(want), got)
	}
	for i, p := range got {
		w := strings.ReplaceAll(want[i], "$DIR", dir)
		if strings.HasPrefix(w, ":") {
			w = "sluice.yaml" + w
		}
		if !strings.HasPrefix(p.String(), dir+"/"+w) {
			t.Errorf("problem %d is\n%s\nwant\n%s", i, p, w)
		}
	}
}

func TestLoadNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	_, problems := config.Load(path)
	if problems.String() != path+": cannot be read: no such file or directory" {
		t.Errorf("got %s", problems)
	}
}

// Everything that is wrong in all the files comes at once, in the order of the
// files and of their lines.
func TestLoadReportsAllFilesAtOnce(t *testing.T) {
	path := lay(t, map[string]string{
		"sluice.yaml": document(map[string]string{"server": "server: { grpc: x, ready: 5 }", "policy": "policy: [policy.yaml, none.yaml]", "more": "audit: { queue: 1 }"}),
		"policy.yaml": "bindings: 5\nroles: []\n",
	})
	_, problems := config.Load(path)
	expectProblems(t, problems, filepath.Dir(path), []string{
		":1:11: server.grpc: must be host:port",
		":1:20: server.ready: must be a string",
		":4:23: policy[1]: $DIR/none.yaml cannot be read",
		":5:10: audit.queue: must be between 100 and 10000000",
		"policy.yaml:1:1: bindings: must be a list",
		"policy.yaml:2:1: roles: must be a mapping",
	})
}
