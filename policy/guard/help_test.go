package guard_test

import (
	"encoding/binary"
	"os"
	"testing"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/policy/guard"
)

// document reads guards as a policy file has them.
func document(t testing.TB, text string) guard.Document {
	t.Helper()
	var d guard.Document
	if _, problems := config.Decode("policy.yaml", []byte(text), &d); len(problems) > 0 {
		t.Fatal(problems)
	}
	return d
}

// compile compiles guards that have nothing wrong with them.
func compile(t testing.TB, text string) *guard.Policy {
	t.Helper()
	p, problems := guard.Compile([]guard.File{{Name: "policy.yaml", Document: document(t, text)}}, guard.Options{ReadFile: os.ReadFile})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return p
}

// element is one element of a BYTES tensor's raw data.
func element(text string) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(text))), text...)
}
