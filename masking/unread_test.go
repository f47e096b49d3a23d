package masking_test

import (
	"testing"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/masking"
)

// TestKeysStayUnreadOfRulesThatAreOnlyLookedAt: who sends rules to be looked at
// learns nothing of what this machine has.
func TestKeysStayUnreadOfRulesThatAreOnlyLookedAt(t *testing.T) {
	var key access.Secret
	if err := key.UnmarshalText([]byte("file:/not/there")); err != nil {
		t.Fatal(err)
	}
	rule := masking.Rule{Name: "r", Models: []string{"*"}, Tensors: []string{"*"}, Entities: []masking.Entity{{Name: "EMAIL"}}, Action: masking.Action{Hash: &masking.Hash{Key: key}}}
	for unread, want := range map[bool]int{true: 0, false: 1} {
		_, problems := masking.Compile([]masking.File{{Document: masking.Document{Masking: []masking.Rule{rule}}}}, masking.Options{Unread: unread})
		if len(problems) != want {
			t.Errorf("unread %t: %v", unread, problems)
		}
	}
}
