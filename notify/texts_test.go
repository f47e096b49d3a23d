package notify_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/notify"
)

func TestTexts(t *testing.T) {
	full := access.Notification{
		Event: access.EventRequested, Request: "01a", Requester: "https://i#1", RequesterName: "alice", Verb: "unload", Model: "prod-simple",
		Reason: "it leaks", Ticket: "OPS-1", Guard: "unload-prod", By: []string{"approvers", "leads"}, Expires: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC),
	}
	of := func(change func(*access.Notification)) access.Notification {
		n := full
		change(&n)
		return n
	}
	tests := map[string]struct {
		n                 access.Notification
		title, text, link string
	}{
		"requested": {full, "alice asks to unload prod-simple", `Reason: it leaks
Ticket: OPS-1
Guard: unload-prod
Approvers: approvers, leads
Open until: 2026-05-04 03:02:01 UTC
Request: 01a
sluice approvals approve 01a --reason …`, "https://sluice.example/approvals/01a"},
		"approved": {
			of(func(n *access.Notification) { n.Event, n.ActorName, n.Grant = access.EventApproved, "carol", "01g" }),
			"alice may now unload prod-simple", `Reason: it leaks
Ticket: OPS-1
Guard: unload-prod
Decided by: carol
Until: 2026-05-04 03:02:01 UTC
Request: 01a
Grant: 01g`, "https://sluice.example/approvals/01a",
		},
		"denied":  {access.Notification{Event: access.EventDenied, Requester: "i#a", Verb: "load", Actor: "i#c"}, "i#a may not load", "Decided by: i#c", "https://sluice.example/"},
		"expired": {access.Notification{Event: access.EventExpired, Requester: "i#a", Verb: "load"}, "i#a was not answered, and may not load", "", "https://sluice.example/"},
		"break glass": {
			access.Notification{Event: access.EventBreakGlass, RequesterName: "alice", Verb: "load", Model: "m", Grant: "01g"},
			"alice broke the glass to load m", "Grant: 01g", "https://sluice.example/grants/01g",
		},
		"revoked": {access.Notification{Event: access.EventRevoked, RequesterName: "alice", Verb: "load", Model: "m"}, "alice may no longer load m", "", "https://sluice.example/"},
		"what looks like lines of ours": {
			access.Notification{Event: access.EventDenied, RequesterName: "bob\r\nBcc: all@example.com", Verb: "load", Reason: "fine\nDecided by: carol\u202e\u200b\x00"},
			"bob Bcc: all@example.com may not load", "Reason: fine Decided by: carol", "https://sluice.example/",
		},
		"an id that is a path": {access.Notification{Event: access.EventDenied, Request: "../x?y", Verb: "load"}, "may not load", "Request: ../x?y", "https://sluice.example/approvals/..%2Fx%3Fy"},
	}
	texts, bad := notify.NewTexts("", "")
	if bad != nil {
		t.Fatal(bad)
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m, err := texts.Write("id", tt.n, "https://sluice.example/")
			if err != nil || m.ID != "id" || m.Title != tt.title || m.Text != tt.text || m.Link != tt.link {
				t.Errorf("got %v\n%q\n%q\n%q", err, m.Title, m.Text, m.Link)
			}
		})
	}
	long := full
	long.Reason, long.Model = strings.Repeat("ü", 5000), strings.Repeat("m", 5000)
	m, err := texts.Write("id", long, "")
	if err != nil || len(m.Title) > 200 || len(m.Text) > 4000 || m.Link != "" || !strings.Contains(m.Text, "…") {
		t.Errorf("a long one: %d, %d bytes, %v", len(m.Title), len(m.Text), err)
	}
}

func TestOwnTexts(t *testing.T) {
	texts, bad := notify.NewTexts("[{{.Event}}] {{.Model}}", `{{.RequesterName}} {{.Link}}{{range .By}} {{.}}{{end}}`)
	if bad != nil {
		t.Fatal(bad)
	}
	m, err := texts.Write("id", asked, "https://p")
	if err != nil || m.Title != "[requested] prod-simple" || m.Text != "alice https://p/approvals/r1 approvers" {
		t.Errorf("got %+v, %v", m, err)
	}
	for name, c := range map[string]struct{ title, text, field, says string }{
		"no template":        {"{{", "", "title", "unclosed"},
		"no such field":      {"", "{{.Prompt}}", "text", "Prompt"},
		"no such function":   {"", "{{env \"HOME\"}}", "text", "env"},
		"writes for ever":    {"", `{{define "a"}}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{{template "a"}}{{end}}{{template "a"}}`, "text", "more than"},
		"fails when it runs": {"{{index .By 9}}", "", "title", "index"},
	} {
		if _, bad := notify.NewTexts(c.title, c.text); bad == nil || bad.Field != c.field || !strings.Contains(bad.Error(), c.says) {
			t.Errorf("%s: %v", name, bad)
		}
	}
}
