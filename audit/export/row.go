package export

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/audit"
)

// row is a record as a flat row, in the columns of CSV and Parquet. Durations are
// in microseconds, sizes in bytes; lists are joined by blanks, counts are written
// as "CARD=1 EMAIL=2".
type row struct {
	Replica      string `parquet:"replica,dict"`
	Seq          int64  `parquet:"seq"`
	Kind         string `parquet:"kind,dict"`
	Time         int64  `parquet:"time,timestamp(microsecond)"`
	Duration     int64  `parquet:"duration_us"`
	Subject      string `parquet:"subject,dict"`
	Issuer       string `parquet:"issuer,dict"`
	Name         string `parquet:"name,dict"`
	UserKind     string `parquet:"user_kind,dict"`
	Groups       string `parquet:"groups,dict"`
	Means        string `parquet:"means,dict"`
	Peer         string `parquet:"peer,dict"`
	Door         string `parquet:"door,dict"`
	RPC          string `parquet:"rpc,dict"`
	Session      string `parquet:"session"`
	Call         string `parquet:"call"`
	Request      string `parquet:"request"`
	Verb         string `parquet:"verb,dict"`
	Model        string `parquet:"model,dict"`
	AskedVersion string `parquet:"asked_version,dict"`
	Version      string `parquet:"version,dict"`
	Verdict      string `parquet:"verdict,dict"`
	Rule         string `parquet:"rule,dict"`
	Guard        string `parquet:"guard,dict"`
	WouldHave    string `parquet:"would_have,dict"`
	Approval     string `parquet:"approval"`
	Grant        string `parquet:"grant"`
	Approvers    string `parquet:"approvers,dict"`
	BreakGlass   bool   `parquet:"break_glass"`
	Backend      string `parquet:"backend,dict"`
	Server       string `parquet:"server,dict"`
	Status       int64  `parquet:"status"`
	Reason       string `parquet:"reason,dict"`
	Cause        string `parquet:"cause"`
	BytesIn      int64  `parquet:"bytes_in"`
	BytesOut     int64  `parquet:"bytes_out"`
	Inputs       string `parquet:"inputs,dict"`
	Outputs      string `parquet:"outputs,dict"`
	Answers      int64  `parquet:"answers"`
	TokensIn     int64  `parquet:"tokens_in"`
	TokensOut    int64  `parquet:"tokens_out"`
	Masked       string `parquet:"masked,dict"`
	Observed     string `parquet:"observed,dict"`
	Overhead     int64  `parquet:"overhead_us"`
	Payload      string `parquet:"payload"`
	Complete     bool   `parquet:"payload_complete"`
	Object       string `parquet:"object"`
	Detail       string `parquet:"detail"`
	Count        int64  `parquet:"count"`
}

func newRow(r *audit.Record) row {
	out := row{
		Replica: r.Replica, Seq: int64(r.Seq), Kind: r.Kind.String(), Time: r.Time.UnixMicro(), Duration: micros(r.Duration),
		Subject: r.Subject, Issuer: r.Issuer, Name: r.Name, UserKind: r.UserKind, Groups: join(r.Groups), Means: join(r.Means),
		Door: r.Door, RPC: r.RPC, Session: r.Session, Call: r.Call, Request: r.Request,
		Verb: r.Verb, Model: r.Model, AskedVersion: r.AskedVersion, Version: r.Version, Verdict: r.Verdict.String(),
		Rule: r.Rule, Guard: r.Guard, WouldHave: join(r.WouldHave), Backend: r.Backend, Server: r.Server,
		Status: int64(r.Status), Reason: r.Reason, Cause: r.Cause, BytesIn: r.BytesIn, BytesOut: r.BytesOut,
		Inputs: tensors(r.Inputs), Outputs: tensors(r.Outputs), Answers: r.Answers, TokensIn: r.TokensIn, TokensOut: r.TokensOut,
		Masked: counts(r.Masked), Observed: counts(r.Observed), Overhead: micros(r.Overhead),
		Object: r.Object, Detail: r.Detail, Count: int64(r.Count),
	}
	if r.Peer.IsValid() {
		out.Peer = r.Peer.String()
	}
	if a := r.Approval; a != nil {
		out.Approval, out.Grant, out.Approvers, out.BreakGlass = a.Request, a.Grant, join(a.Approvers), a.BreakGlass
	}
	if p := r.Payload; p != nil {
		out.Payload, out.Complete = p.ID, p.Complete
	}
	return out
}

func micros(d time.Duration) int64 { return d.Microseconds() }

func join(list []string) string { return strings.Join(list, " ") }

func tensors(list []audit.Tensor) string {
	all := make([]string, len(list))
	for i, t := range list {
		all[i] = strings.ReplaceAll(fmt.Sprint(t.Name, ":", t.Datatype, t.Shape), " ", ",")
	}
	return join(all)
}

func counts(of map[string]int64) string {
	all := make([]string, 0, len(of))
	for _, name := range slices.Sorted(maps.Keys(of)) {
		all = append(all, fmt.Sprintf("%s=%d", name, of[name]))
	}
	return join(all)
}
