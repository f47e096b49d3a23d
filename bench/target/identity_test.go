package target_test

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/sluice-gateway/sluice/bench/target"
)

func TestIdentity(t *testing.T) {
	now := time.Now()
	id, err := target.NewIdentity(t.TempDir(), now)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(id.JWKS)
	if err != nil {
		t.Fatal(err)
	}
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(file, &keys); err != nil {
		t.Fatal(err)
	}
	if len(keys.Keys) != 1 || !keys.Keys[0].IsPublic() {
		t.Fatalf("the file holds %d keys, and not one that is public", len(keys.Keys))
	}
	token, err := jwt.ParseSigned(id.Token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	var claims jwt.Claims
	var more struct {
		Groups []string `json:"groups"`
	}
	if err := token.Claims(keys.Key(token.Headers[0].KeyID)[0].Key, &claims, &more); err != nil {
		t.Fatal(err)
	}
	expected := jwt.Expected{Issuer: id.Issuer, AnyAudience: jwt.Audience{id.Audience}, Time: now.Add(20 * time.Hour)}
	if err := claims.Validate(expected); err != nil {
		t.Errorf("not good for 20 hours: %v", err)
	}
	if len(more.Groups) != 2 || more.Groups[1] != id.Group {
		t.Errorf("groups %v lack %q", more.Groups, id.Group)
	}
}

func TestStrangerIsNotInTheGroup(t *testing.T) {
	id, err := target.NewIdentity(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if id.Approver == id.Token || id.Approver == "" {
		t.Error("the approver is the caller")
	}
	token, err := jwt.ParseSigned(id.Stranger, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Groups []string `json:"groups"`
	}
	if err := token.UnsafeClaimsWithoutVerification(&claims); err != nil {
		t.Fatal(err)
	}
	if len(claims.Groups) != 2 || slices.Contains(claims.Groups, id.Group) {
		t.Errorf("groups %v", claims.Groups)
	}
}

func TestIdentityNeedsItsFolder(t *testing.T) {
	if _, err := target.NewIdentity("/nonexistent", time.Now()); err == nil {
		t.Error("wrote keys to a folder that is not there")
	}
}
