// Package audittest holds what every log is tested with: records as a gateway
// makes them, a suite of the contract ([Run]), and a log in memory ([Memory]).
package audittest

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/merkle"
)

// Began is the time of the first record.
var Began = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// Infer makes the i-th record of small inference calls, one each millisecond, as
// many people make them on some models and sessions.
func Infer(i int) *audit.Record {
	person, model := i*7919%1000, i*104729%20
	r := &audit.Record{
		Kind: audit.KindCall, Time: Began.Add(time.Duration(i) * time.Millisecond), Duration: time.Duration(700+i%1000) * time.Microsecond,
		Subject: fmt.Sprintf("00u%016x", person*0x9e3779b97f4a7), Issuer: "https://login.example.com/realms/corp", Name: fmt.Sprintf("user%d@example.com", person),
		UserKind: "user", Groups: []string{"ml-users", fmt.Sprintf("team-%d", person%30)}, Means: []string{"pwd", "mfa"},
		Peer: netip.AddrFrom4([4]byte{10, 1, byte(person >> 8), byte(person)}), Door: "grpc", RPC: "ModelInfer", Session: fmt.Sprintf("%026x", uint64(i/25+1)*0x9e3779b97f4a7c15),
		Call: fmt.Sprintf("%016x", uint64(i+1)*0x9e3779b97f4a7c15), Request: fmt.Sprint(i % 100),
		Verb: "infer", Model: fmt.Sprintf("model-%d", model), Version: "1", Verdict: audit.Allowed, Rule: "role model-viewer",
		Backend: "gpu", Server: fmt.Sprintf("triton-%d:8001", i%3), BytesIn: int64(200 + i%64), BytesOut: int64(180 + i%32),
		Inputs:  []audit.Tensor{{Name: "INPUT0", Datatype: "INT32", Shape: []int64{1, 16}}, {Name: "INPUT1", Datatype: "INT32", Shape: []int64{1, 16}}},
		Outputs: []audit.Tensor{{Name: "OUTPUT0", Datatype: "INT32", Shape: []int64{1, 16}}, {Name: "OUTPUT1", Datatype: "INT32", Shape: []int64{1, 16}}},
		Answers: 1, Timing: []int64{int64(650 + i%1000)}, Overhead: time.Duration(40+i%30) * time.Microsecond,
	}
	if i%50 == 0 {
		r.Verdict, r.Status, r.Reason, r.Rule = audit.Denied, 7, "NO_ROLE_ALLOWS", "no role allows it"
	}
	if i%97 == 0 {
		r.Masked = map[string]int64{"EMAIL": 1}
	}
	if i%1000 == 0 {
		r.Verb, r.RPC, r.Approval = "load", "RepositoryModelLoad", &audit.Approval{Request: fmt.Sprintf("apr-%d", i), Approvers: []string{"https://login.example.com#carol"}}
	}
	return r
}

// Entries encodes records as those from a sequence number on.
func Entries(replica string, from uint64, records ...*audit.Record) []audit.Entry {
	entries := make([]audit.Entry, len(records))
	for i, r := range records {
		r.Replica, r.Seq = replica, from+uint64(i)
		b := r.Append(nil)
		entries[i] = audit.Entry{Record: r, Bytes: b, Leaf: merkle.Leaf(b)}
	}
	return entries
}

// Infers are the entries of the records from one to another.
func Infers(replica string, from, to int) []audit.Entry {
	records := make([]*audit.Record, 0, to-from)
	for i := from; i < to; i++ {
		records = append(records, Infer(i))
	}
	return Entries(replica, uint64(from), records...)
}
