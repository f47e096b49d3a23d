package access_test

import (
	"slices"
	"testing"
)

// TestImportRulesCanFail tries the rules on edges made up for it. rule is what
// must forbid the edge, "" where nothing may. A rule or exception that no edge
// here is about fails the test too.
func TestImportRulesCanFail(t *testing.T) {
	const up, rooms, parts = "down only", "no sibling rooms", "no sibling packages"
	edges := []struct{ from, to, rule string }{
		{"cmd/sluice", "server", ""},
		{"server", "interceptors", ""},
		{"server", "identity/oidc", ""},
		{"interceptors/identity", "identity", ""},
		{"services/inference", "wire", ""},
		{"identity/oidc", "identity", ""},
		{"identity", "access", ""},
		{"interceptors", "interceptors/record", ""},
		{"interceptors/record", "interceptors", ""},
		{"masking", "masking/detect", ""},
		{"demo/issuer/keys", "demo/issuer", ""},

		{"access", "policy", up},
		{"wire", "backends", up},
		{"policy", "interceptors", up},
		{"policy", "config", up},
		{"identity", "identity/oidc", up},
		{"interceptors", "server", up},
		{"backends/triton", "server", up},
		{"server", "cmd/sluice", up},
		{"services/inference", "bench/pipe", up},

		{"access", "wire", rooms},
		{"gen/inference", "access", rooms},
		{"wire/wiretest", "gen/inference", rooms},
		{"policy", "identity", rooms},
		{"audit", "masking", rooms},
		{"services/inference", "interceptors", rooms},
		{"rest", "services/inference", rooms},
		{"interceptors/policy", "backends/triton", rooms},
		{"identity/oidc", "config", rooms},
		{"identity/oidc", "backends/triton", rooms},
		{"cmd/sluice", "bench/pipe", rooms},

		{"identity/oidc", "identity/saml", parts},
		{"interceptors/record", "interceptors/identity", parts},
		{"demo/issuer", "demo/models", parts},
		{"demo/issuer", "demo/issuers", parts},

		{"identity/oidc", "store", "own family only"},

		{"server", "identity/identitytest", "test helpers in tests only"},
		{"config", "identity/identitytest", rooms},
		{"wire", "wire/wiretest", "test helpers in tests only"},
		{"identity/identitytest", "identity", ""},

		// The exceptions, one each.
		{"wire", "access", ""},
		{"wire", "gen/inference", ""},
		{"config", "backends/triton", ""},
		{"bench/pipe", "bench/hist", ""},
		{"approval", "store", ""},
		{"notify", "store", ""},
		{"config", "notify", ""},
		{"notify/slack", "notify", ""},
		{"approval", "store/sqlite", up},
		{"audit/sqlite", "audit", ""},
		{"audit", "audit/merkle", ""},
		{"backends/tgi", "backends/generate", ""},
		{"backends/vllm", "backends/openai", ""},
		{"audit/export", "audit/merkle", ""},
		{"backends/tgi", "backends/openai", parts},
		{"audit/payload", "audit/merkle", parts},
	}
	outside := []struct{ from, to, rule string }{
		{"access", "log/slog", ""},
		{"policy", "net/netip", ""},
		{"policy", "go.yaml.in/yaml/v3", ""},
		{"interceptors", "google.golang.org/grpc/codes", ""},
		{"wire/wiretest", "testing", ""},

		{"access", "google.golang.org/grpc", "standard library in access"},
		{"policy", "google.golang.org/grpc/codes", "plain decisions"},
		{"masking/detect", "net/http", "plain decisions"},
		{"audit", "database/sql", "plain decisions"},
		{"approval", "net", "plain decisions"},
		{"server", "testing", "no test libraries"},
		{"demo/issuer", "net/http/httptest", "no test libraries"},
	}
	hit := map[string]bool{}
	try := func(from, imported, rule string) {
		b, err := judge(from, imported)
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			b = &breach{}
		}
		if hit[b.rule] = true; b.rule != rule {
			t.Errorf("%s imports %s: rule %q, want %q", from, imported, b.rule, rule)
		}
		if b.rule != "" && b.why == "" {
			t.Errorf("%s imports %s: forbidden by %q without a reason", from, imported, b.rule)
		}
	}
	for _, e := range edges {
		try(e.from, module+"/"+e.to, e.rule)
	}
	for _, e := range outside {
		try(e.from, e.to, e.rule)
	}
	for _, r := range innerRules {
		if !hit[r.name] {
			t.Errorf("rule %q: no edge shows that it can fail", r.name)
		}
	}
	for _, r := range outerRules {
		if !hit[r.name] {
			t.Errorf("rule %q: no edge shows that it can fail", r.name)
		}
	}
}

// TestImportsKnowEveryRoom: a room nobody placed is an error, not a free one.
func TestImportsKnowEveryRoom(t *testing.T) {
	for _, pair := range [][2]string{{"util", module + "/access"}, {"server", module + "/common/strings"}} {
		if _, err := judge(pair[0], pair[1]); err == nil {
			t.Errorf("%s imports %s: judged, want an error about the room", pair[0], pair[1])
		}
	}
}

// TestImportExceptionsAreNeeded: an exception without a reason, or for what the
// rules allow anyway, is noise.
func TestImportExceptionsAreNeeded(t *testing.T) {
	examples := [][2]string{{"wire", "access"}, {"wire", "gen/inference"}, {"approval", "store"}, {"config", "identity/oidc"}, {"bench/pipe", "bench/hist"}, {"backends/triton", "backends/connection"}, {"backends/tgi", "backends/generate"}, {"backends/vllm", "backends/openai"}, {"audit/export", "audit/merkle"}}
	if len(examples) != len(exceptions) {
		t.Fatalf("%d examples for %d exceptions", len(examples), len(exceptions))
	}
	for i, e := range exceptions {
		from, errFrom := locate(examples[i][0])
		to, errTo := locate(examples[i][1])
		if errFrom != nil || errTo != nil {
			t.Fatal(errFrom, errTo)
		}
		if !e.covers(from, to) || e.why == "" {
			t.Errorf("exception %d does not cover %v, or has no reason", i, examples[i])
		}
		if !slices.ContainsFunc(innerRules, func(r inner) bool { return r.broken(from, to) }) {
			t.Errorf("exception %d: no rule forbids %v", i, examples[i])
		}
	}
}
