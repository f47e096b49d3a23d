package main

import (
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/config"
)

func TestComments(t *testing.T) {
	const text = `package p

// Server listens.
//
// On ports.
type Server struct {
	// GRPC is a listener,
	// one of two.
	GRPC string
	REST string // REST is the other.
	Bare string
}

// Other types are
// taken too.
type Other int

// Functions are not.
func F() {}

var x = 1
`
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	got := make(comments)
	got.add(file)
	want := comments{
		"Server": "Server listens. On ports.", "Server.GRPC": "GRPC is a listener, one of two.",
		"Server.REST": "REST is the other.", "Server.Bare": "", "Other": "Other types are taken too.",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestSourceRefusesOtherModules(t *testing.T) {
	if _, err := newSource(root).of(reflect.TypeFor[testing.T](), ""); err == nil || !strings.Contains(err.Error(), "package testing is not of this module") {
		t.Errorf("error %v", err)
	}
}

func TestInKeys(t *testing.T) {
	server := reflect.TypeFor[config.Server]()
	tests := map[string]struct{ text, want string }{
		"first word":       {"GRPC is a listener.", "`grpc` is a listener."},
		"capitals inside":  {"Plaintext is without TLS.", "`plaintext` is without TLS."},
		"another key":      {"See Limits.", "See `limits`."},
		"possessive":       {"Memory's own.", "`memory`'s own."},
		"quoted":           {`Probes is "Limits".`, "`probes` is \"Limits\"."},
		"part of a word":   {"Limitless Proberies.", "Limitless Proberies."},
		"longer name":      {"TrustedProxies are.", "`trusted_proxies` are."},
		"no name":          {"nothing here", "nothing here"},
		"nothing":          {"", ""},
		"not at the start": {"The REST of it", "The REST of it"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := inKeys(server, tt.text); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
