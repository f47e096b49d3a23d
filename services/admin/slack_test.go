package admin_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/access"
	pb "github.com/sluice-gateway/sluice/gen/sluice/v1"
	"github.com/sluice-gateway/sluice/notify"
	"github.com/sluice-gateway/sluice/services/admin"
)

// links knows one code, and fails where err is set.
type links struct {
	err    error
	linked []*access.Principal
	asked  int
}

var _ admin.Links = (*links)(nil)

func (l *links) Look(_ context.Context, code string) (notify.Outsider, error) {
	l.asked++
	switch {
	case l.err != nil:
		return notify.Outsider{}, l.err
	case code != "c0de":
		return notify.Outsider{}, notify.ErrNoLink
	}
	return notify.Outsider{Channel: "slack", Team: "T", User: "U", Name: "bob.b"}, nil
}

func (l *links) Link(_ context.Context, _ string, who *access.Principal) (time.Time, error) {
	l.linked = append(l.linked, who)
	return time.Now().Add(time.Hour), nil
}

func (l *links) Unlink(_ context.Context, who *access.Principal) (n int, err error) {
	for _, p := range l.linked {
		if p.ID() == who.ID() {
			n++
		}
	}
	return n, l.err
}

const (
	linkSlack   = pb.IdentityService_LinkSlack_FullMethodName
	unlinkSlack = pb.IdentityService_UnlinkSlack_FullMethodName
)

// TestALinkIsShownBeforeItIsMade: whose button it was is seen before it is confirmed,
// and the link is the caller's own.
func TestALinkIsShownBeforeItIsMade(t *testing.T) {
	open(t, func(d *desk) {
		l := new(links)
		d.options.Links = l
		d.use(d.options)
		shown := ask[*pb.LinkSlackResponse](d, bob(), linkSlack, &pb.LinkSlackRequest{Code: "c0de"})
		if shown.GetUserName() != "bob.b" || shown.GetTeamId() != "T" || shown.GetExpiresAt() != nil || len(l.linked) != 0 {
			t.Errorf("shown: %v, and %d are linked", shown, len(l.linked))
		}
		made := ask[*pb.LinkSlackResponse](d, bob(), linkSlack, &pb.LinkSlackRequest{Code: "c0de", Confirm: true})
		if !made.GetExpiresAt().AsTime().Equal(time.Now().Add(time.Hour)) || len(l.linked) != 1 || l.linked[0].Name != "bob" {
			t.Errorf("made: %v, linked %v", made, l.linked)
		}
		for who, n := range map[*access.Principal]int32{bob(): 1, dana(): 0} {
			if got := ask[*pb.UnlinkSlackResponse](d, who, unlinkSlack, &pb.UnlinkSlackRequest{}); got.GetUnlinked() != n {
				t.Errorf("%s unlinked %d, want %d", who.Name, got.GetUnlinked(), n)
			}
		}
	})
}

func TestLinksThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		code  string
		kind  access.ErrorKind
		words string
		asked int
	}{
		"no code":                       {nil, "", access.Malformed, "code is missing", 0},
		"a code of any length":          {nil, strings.Repeat("x", 101), access.Malformed, "too long", 0},
		"a code that is made up":        {nil, "other", access.NotFound, "there is no such code", 1},
		"a store that is away":          {errors.New("dial tcp 10.0.0.1: refused"), "c0de", access.Unavailable, "try again", 1},
		"a refusal in words of its own": {&access.Error{Kind: access.PermissionDenied, Message: "service accounts are not linked"}, "c0de", access.PermissionDenied, "service accounts", 1},
	} {
		t.Run(name, func(t *testing.T) {
			open(t, func(d *desk) {
				l := &links{err: c.err}
				d.options.Links = l
				d.use(d.options)
				_, _, err := d.try(bob(), linkSlack, &pb.LinkSlackRequest{Code: c.code, Confirm: true})
				e, ok := access.AsError(err)
				if !ok || e.Kind != c.kind || !strings.Contains(e.Message, c.words) || strings.Contains(e.Message, "10.0.0.1") {
					t.Errorf("%v, want kind %d and %q", err, c.kind, c.words)
				}
				if l.asked != c.asked || len(l.linked) != 0 {
					t.Errorf("asked %d times, want %d; linked %v", l.asked, c.asked, l.linked)
				}
			})
		})
	}
	t.Run("without a store", func(t *testing.T) {
		open(t, func(d *desk) {
			d.refused(bob(), linkSlack, &pb.LinkSlackRequest{Code: "c0de"}, access.Unavailable, "no store")
			d.refused(bob(), unlinkSlack, &pb.UnlinkSlackRequest{}, access.Unavailable, "no store")
		})
	})
}
