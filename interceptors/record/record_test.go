package record_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/interceptors/record"
)

// write makes one call and returns its lines.
func write(t *testing.T, level slog.Level, fill func(*access.Call) error) []map[string]any {
	t.Helper()
	var out bytes.Buffer
	began := time.Unix(1000, 0)
	step := (&record.Recorder{
		Log: slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: level})),
		Now: func() time.Time { return began.Add(5 * time.Millisecond) },
	}).Step()
	call := &access.Call{ID: "cafe", RPC: "ModelStreamInfer", Door: "grpc", Peer: netip.MustParseAddr("10.0.0.1"), Opened: began}
	func() {
		defer func() { _ = recover() }()
		_ = step.Stream(nil, &stream{ctx: access.WithCall(t.Context(), call)}, nil, func(any, grpc.ServerStream) error { return fill(call) })
	}()
	var lines []map[string]any
	for line := range strings.Lines(out.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, m)
	}
	return lines
}

type stream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *stream) Context() context.Context { return s.ctx }

var alice = &access.Principal{Issuer: "https://iss", Subject: "a1", Name: "alice", Kind: access.User}

func TestALineSaysWhoDidWhatAndWhy(t *testing.T) {
	lines := write(t, slog.LevelInfo, func(c *access.Call) error {
		c.Principal, c.Verb, c.Model, c.Backend = alice, access.Unload, "prod", "gpu"
		c.Decision = access.Decision{Rule: "role viewer denies it"}
		return &access.Error{Kind: access.PermissionDenied, Reason: access.ReasonDeniedByRole, Message: "no", Cause: errors.New("the cause")}
	})
	want := map[string]any{
		"level": "WARN", "msg": "call", "id": "cafe", "rpc": "ModelStreamInfer", "door": "grpc", "peer": "10.0.0.1",
		"principal": "https://iss#a1", "name": "alice", "kind": "user", "verb": "unload", "model": "prod", "backend": "gpu",
		"verdict": "refused", "rule": "role viewer denies it", "reason": "ROLE_DENIES", "cause": "the cause", "code": "PermissionDenied", "took": 5e6,
	}
	if len(lines) != 1 {
		t.Fatalf("got %d lines", len(lines))
	}
	delete(lines[0], "time")
	for key, value := range want {
		if lines[0][key] != value {
			t.Errorf("%s is %v, want %v", key, lines[0][key], value)
		}
		delete(lines[0], key)
	}
	if len(lines[0]) > 0 {
		t.Errorf("the line says %v too", lines[0])
	}
}

func TestEachMessageOfAStreamIsALine(t *testing.T) {
	lines := write(t, slog.LevelInfo, func(c *access.Call) error {
		c.Principal = alice
		c.OnMessage(access.Message{ID: "1", Verb: access.Infer, Model: "m", Decision: access.Decision{Allowed: true, Rule: "role viewer"}})
		c.OnMessage(access.Message{ID: "2", Verb: access.Infer, Model: "n", Refused: &access.Error{Kind: access.PermissionDenied, Reason: access.ReasonNoRole}})
		return nil
	})
	if len(lines) != 3 || lines[0]["verdict"] != "allowed" || lines[0]["request"] != "1" || lines[1]["verdict"] != "refused" || lines[1]["reason"] != access.ReasonNoRole || lines[2]["msg"] != "call" {
		t.Errorf("got %v", lines)
	}
}

func TestWhatNeverGetsIntoALine(t *testing.T) {
	const secret = "jane.doe@example.com"
	for name, fill := range map[string]func(*access.Call) error{
		"metadata": func(c *access.Call) error {
			c.Metadata = map[string][]string{"authorization": {secret}, "x": {secret}}
			return nil
		},
		"a backend's error text": func(*access.Call) error { return status.Error(codes.Internal, "can't parse "+secret) },
		"a panic's value":        func(*access.Call) error { panic(secret) },
	} {
		t.Run(name, func(t *testing.T) {
			lines := write(t, slog.LevelDebug, fill)
			text, err := json.Marshal(lines)
			if err != nil || len(lines) != 1 || strings.Contains(string(text), secret) {
				t.Errorf("got %s, %v", text, err)
			}
		})
	}
}

func TestNamesFromCallersAreCut(t *testing.T) {
	lines := write(t, slog.LevelInfo, func(c *access.Call) error {
		c.OnMessage(access.Message{ID: strings.Repeat("x", 1<<20)})
		c.Model = strings.Repeat("y", 1<<20)
		return nil
	})
	for _, line := range lines {
		text, err := json.Marshal(line)
		if err != nil || len(text) > 2000 {
			t.Errorf("a line has %d bytes, %v", len(text), err)
		}
	}
}

func TestALevelSwitchesCallsOffAndLeavesRefusals(t *testing.T) {
	if lines := write(t, slog.LevelWarn, func(*access.Call) error { return nil }); len(lines) != 0 {
		t.Errorf("an allowed call is written at warn: %v", lines)
	}
	if lines := write(t, slog.LevelWarn, func(*access.Call) error { return &access.Error{Kind: access.Unauthenticated} }); len(lines) != 1 {
		t.Errorf("a refusal has %d lines at warn", len(lines))
	}
}

func TestAnInternalCauseIsForTheLog(t *testing.T) {
	lines := write(t, slog.LevelInfo, func(*access.Call) error { return errors.New("disk full") })
	if len(lines) != 1 || lines[0]["cause"] != "disk full" || lines[0]["verdict"] != "failed" || lines[0]["code"] != "Internal" {
		t.Errorf("got %v", lines)
	}
}
