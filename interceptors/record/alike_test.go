package record_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-gateway/sluice/access"
)

// Tokens that differ in their data alone are not looked into again; they are counted
// where they would have been.
func TestAnswersAlikeAreOfTheFirstRequestWithTheirID(t *testing.T) {
	for name, c := range map[string]struct {
		asked   string
		answers string // each an id; in upper case the last
		want    []string
	}{
		"one request":               {"a", "aaaA", []string{"a 4", "call 4"}},
		"two in turns":              {"ab", "ababbBaA", []string{"b 4", "a 4", "call 8"}},
		"one id twice":              {"aa", "aaAaaaA", []string{"a 3", "a 4", "call 7"}},
		"one id twice, and another": {"aba", "abaAabBA", []string{"a 3", "b 3", "a 2", "call 8"}},
		"behind the last":           {"a", "aaAaa", []string{"a 3", "call 5"}},
		"nobody's":                  {"a", "zazzA", []string{"a 2", "call 5"}},
		"refused in between":        {"a", "aa!aa", []string{"a 2", "call 4"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t)
				err := d.stream(func(ss grpc.ServerStream, ask func(string) error) {
					for _, id := range c.asked {
						if err := ask(string(id)); err != nil {
							t.Fatal(err)
						}
					}
					for _, id := range c.answers {
						time.Sleep(time.Millisecond)
						if id == '!' {
							d.call.OnMessage(access.Message{ID: "a", Verb: access.Infer, Model: "m", Refused: &access.Error{Kind: access.PermissionDenied}})
							continue
						}
						m := answer(t, strings.ToLower(string(id)), id < 'a')
						if err := ss.SendMsg(m); err != nil {
							t.Fatal(err)
						}
						m.Free()
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, r := range d.close() {
					id := r.Request
					if id == "" {
						id = "call"
					} else if len(r.Timing) != int(r.Answers) || r.Version != "3" || len(r.Outputs) != 1 || r.BytesOut == 0 {
						t.Errorf("it is %+v", r)
					}
					got = append(got, fmt.Sprint(id, " ", r.Answers))
				}
				if fmt.Sprint(got) != fmt.Sprint(c.want) {
					t.Errorf("recorded is %q, want %q", got, c.want)
				}
			})
		})
	}
}
