package audit_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-gateway/sluice/audit"
)

var update = flag.Bool("update", false, "write testdata anew")

var began = time.Date(2026, 11, 22, 20, 53, 45, 123456000, time.UTC)

// records are of each kind, one with every field.
func records() map[string]*audit.Record {
	return map[string]*audit.Record{
		"full": {
			Replica: "sluice/abc", Seq: 1 << 40, Kind: audit.KindCall, Time: began, Duration: 12345 * time.Microsecond,
			Subject: "b0b", Issuer: "https://issuer.example", Name: "bob", UserKind: "user", Groups: []string{"a", "b"}, Means: []string{"mfa", "pwd"},
			Peer: netip.MustParseAddr("10.0.0.1"), Door: "rest", RPC: "ModelInfer", Session: "s1", Call: "cafe", Request: "r1",
			Verb: "infer", Model: "llama", AskedVersion: "2", Version: "3", Verdict: audit.Held, Rule: "role viewer", Guard: "g", WouldHave: []string{"x", "y"},
			Approval: &audit.Approval{Request: "q", Grant: "g", Approvers: []string{"i#carol"}, BreakGlass: true, Waited: time.Second},
			Backend:  "gpu", Server: "triton-0:8001", Status: 9, Reason: "APPROVAL_NEEDED", Cause: "why", BytesIn: 1, BytesOut: 300,
			Inputs: []audit.Tensor{{Name: "IN", Datatype: "INT32", Shape: []int64{1, 16}}, {Name: strings.Repeat("n", 200)}}, Outputs: []audit.Tensor{{Name: "OUT", Datatype: "FP32", Shape: []int64{-1}}},
			Cut: true, Answers: 40, TokensIn: 7, TokensOut: 9, Masked: map[string]int64{"EMAIL": 2, "CARD": 1}, Observed: map[string]int64{"SSN": 3},
			Timing: []int64{900, 40, 0, 41}, Overhead: 55 * time.Microsecond,
			Payload: &audit.PayloadRef{ID: "p", Digest: [32]byte{1, 2, 3}, Complete: true}, Object: "o", Detail: "d", Count: 8,
		},
		"infer": {
			Replica: "sluice/abc", Seq: 7, Kind: audit.KindCall, Time: began, Duration: 812 * time.Microsecond, Subject: "b0b", Issuer: "https://issuer.example", Name: "bob",
			UserKind: "user", Groups: []string{"model-viewer"}, Peer: netip.MustParseAddr("2001:db8::1"), Door: "grpc", RPC: "ModelInfer", Call: "0123456789abcdef",
			Verb: "infer", Model: "simple", Version: "1", Verdict: audit.Allowed, Rule: "role model-viewer", Backend: "gpu", BytesIn: 200, BytesOut: 180, Answers: 1,
		},
		"gap":   {Replica: "sluice/abc", Seq: 8, Kind: audit.KindGap, Time: began, Duration: time.Minute, Count: 1234},
		"empty": {},
	}
}

func TestAnEncodingNeverChanges(t *testing.T) {
	for name, r := range records() {
		path := filepath.Join("testdata", name+".hex")
		got := hex.EncodeToString(r.Append(nil)) + "\n"
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s is encoded in another way than those that are on disks:\n%s\n%s", name, got, want)
		}
	}
}

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	for name, r := range records() {
		got, err := audit.Decode(r.Append(nil))
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, r)
		}
		if again := got.Append([]byte("x")); !bytes.Equal(again[1:], r.Append(nil)) {
			t.Errorf("%s: encoded again it is another", name)
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back audit.Record
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if r.Payload != nil {
			back.Payload.Digest = r.Payload.Digest // not in JSON
		}
		if !reflect.DeepEqual(&back, r) {
			t.Errorf("%s as JSON: got %+v, want %+v", name, back, r)
		}
	}
}

func TestEveryFieldIsInTheFullRecord(t *testing.T) {
	v := reflect.ValueOf(*records()["full"])
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s is not: neither its encoding nor its JSON is tested", v.Type().Field(i).Name)
		}
	}
}

// TestKeysAreThoseOfTheConventions: of OpenTelemetry (gen_ai.*, rpc.*, user.*, client.*,
// server.*, session.*, error.*) and KServe where they have a word; all others are
// sluice.*, and docs/AUDIT.md tells of each.
func TestKeysAreThoseOfTheConventions(t *testing.T) {
	conventions := []string{
		"client.address", "error.type", "gen_ai.request.model", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens",
		"id", "inputs", "model_version", "outputs", "rpc.grpc.status_code", "rpc.method", "server.address", "session.id", "user.id", "user.name",
	}
	own := []string{"duration_ns", "time", "user.groups", "user.issuer", "user.kind", "user.means"}
	doc, err := os.ReadFile("../docs/AUDIT.md")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(records()["full"])
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]any
	if err := json.Unmarshal(text, &keys); err != nil {
		t.Fatal(err)
	}
	for _, key := range conventions {
		if keys[key] == nil {
			t.Errorf("%s is missing", key)
		}
	}
	for key := range keys {
		if !strings.HasPrefix(key, "sluice.") && !slices.Contains(conventions, key) && !slices.Contains(own, key) {
			t.Errorf("%s is of no convention", key)
		}
		if !bytes.Contains(doc, []byte("`"+key+"`")) {
			t.Errorf("docs/AUDIT.md does not tell of %s", key)
		}
	}
}

func TestALaterVersionsFieldsArePassedOver(t *testing.T) {
	b := records()["infer"].Append(nil)
	b = protowire.AppendString(protowire.AppendTag(b, 999, protowire.BytesType), "later")
	b = protowire.AppendFixed64(protowire.AppendTag(b, 998, protowire.Fixed64Type), 1)
	b = protowire.AppendVarint(protowire.AppendTag(b, 3, protowire.VarintType), 200) // a kind of a later version
	got, err := audit.Decode(b)
	if err != nil || got.Model != "simple" || got.Kind.String() != "200" {
		t.Errorf("got %+v, %v", got, err)
	}
	var k audit.Kind
	if err := k.UnmarshalText([]byte("200")); err != nil || k != 200 {
		t.Errorf("got %v, %v", k, err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, r := range records() {
		f.Add(r.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := audit.Decode(b)
		if err != nil {
			return
		}
		again := r.Append(nil)
		if back, err := audit.Decode(again); err != nil || !bytes.Equal(back.Append(nil), again) {
			t.Errorf("%x is read in two ways: %v", b, err)
		}
	})
}
