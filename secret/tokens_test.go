package secret_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/secret"
	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/store/storetest"
)

func startTokens(t testing.TB, kept store.Store, keys string) *secret.Tokens {
	t.Helper()
	return startTokensWith(t, secret.TokenOptions{Store: kept, Ring: ring(t, keys)})
}

func startTokensWith(t testing.TB, o secret.TokenOptions) *secret.Tokens {
	t.Helper()
	v := secret.NewTokens(o)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { v.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return v
}

// token makes the n-th of a family.
func token(n int) string {
	letters := []byte("aaaaaaaaaaaaaaaaaaaaaaaaaa")
	for i := 25; n > 0; i-- {
		letters[i], n = byte('a'+n%26), n/26
	}
	return "EMAIL_tok_" + string(letters)
}

func email(n int, model string) secret.Token {
	return secret.Token{ID: token(n), Model: model, Entity: "EMAIL", Text: fmt.Appendf(nil, "jane.doe.%d@example.com", n)}
}

// reveal is what tokens stand for, as "token=text".
func reveal(t testing.TB, v *secret.Tokens, model string, tokens ...string) string {
	t.Helper()
	found, err := v.Reveal(context.Background(), carol, model, tokens)
	if err != nil {
		return reason(err)
	}
	var all []string
	for _, r := range found {
		all = append(all, r.Entity+" "+r.Text.Text())
	}
	return strings.Join(all, "; ")
}

// TestTokensAreKept, sealed, and revealed by the model that they are of.
func TestTokensAreKept(t *testing.T) {
	in(t, func(t *testing.T) {
		kept := storetest.NewMemory()
		v := startTokens(t, kept, "a")
		if err := v.Keep(t.Context(), []secret.Token{email(1, "chat"), email(2, "chat"), email(1, "chat"), email(3, "bank")}); err != nil {
			t.Fatal(err)
		}
		items, err := kept.List(t.Context(), store.Query{Kind: secret.KindToken})
		if err != nil || len(items) != 3 {
			t.Errorf("%d items, %v", len(items), err)
		}
		for _, item := range items {
			if strings.Contains(string(item.Body)+item.ID+item.Owner+item.State, "jane") {
				t.Errorf("the store has %+v", item)
			}
		}
		again := startTokens(t, kept.Again(), "a")
		for _, c := range []struct{ model, want string }{
			{"chat", "EMAIL jane.doe.1@example.com; EMAIL jane.doe.2@example.com"},
			{"bank", "EMAIL jane.doe.3@example.com"},
			{"other", ""},
			{"", "EMAIL jane.doe.1@example.com; EMAIL jane.doe.2@example.com; EMAIL jane.doe.3@example.com"},
		} {
			if got := reveal(t, again, c.model, token(1), token(2), token(3)); got != c.want {
				t.Errorf("of model %q: %q, want %q", c.model, got, c.want)
			}
		}
		if got := reveal(t, startTokens(t, kept.Again(), "b"), "", token(1)); got != "" {
			t.Errorf("another key reveals %q", got)
		}
	})
}

// TestLookalikes: what only looks like a token, or like a way to other items, is
// not known, and is no error.
func TestLookalikes(t *testing.T) {
	in(t, func(t *testing.T) {
		kept := storetest.NewMemory()
		v := startTokens(t, kept, "a")
		if err := v.Keep(t.Context(), []secret.Token{email(1, "chat")}); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{
			token(2), token(1)[:35], token(1) + "a", token(1) + " chat", strings.ToUpper(token(1)), "SSN_tok_" + token(1)[10:], " " + token(1),
			"_tok_" + token(1)[10:], token(1)[:10], "", "\x00", "EMAIL_tok_%", "EMAIL\x00_tok_" + token(1)[10:], strings.Repeat("A", 300) + token(1)[5:],
		} {
			for _, model := range []string{"", "chat"} {
				if got := reveal(t, v, model, text); got != "" {
					t.Errorf("%q reveals %q", text, got)
				}
			}
		}
	})
}

// TestMassRevealIsBounded, by the question and by the hour.
func TestMassRevealIsBounded(t *testing.T) {
	in(t, func(t *testing.T) {
		v := startTokens(t, storetest.NewMemory(), "a")
		many := make([]string, secret.MaxReveal+1)
		for i := range many {
			many[i] = token(i)
		}
		if got := reveal(t, v, "", many...) + reveal(t, v, ""); got != access.ReasonMalformed+access.ReasonMalformed {
			t.Errorf("too many and none at once: %s", got)
		}
		for range secret.MaxReveals / secret.MaxReveal {
			if got := reveal(t, v, "", many[1:]...); got != "" {
				t.Fatal(got)
			}
		}
		if _, err := v.Reveal(t.Context(), carol, "", many[:1]); reason(err) != access.ReasonReveals || !strings.Contains(err.Error(), "within an hour") {
			t.Errorf("got %v", err)
		}
		if _, err := v.Reveal(t.Context(), &access.Principal{Subject: "dave"}, "", many[:1]); err != nil {
			t.Errorf("another person: %v", err)
		}
		time.Sleep(time.Hour)
		if got := reveal(t, v, "", many[1:]...); got != "" {
			t.Errorf("an hour later: %s", got)
		}
	})
}

// TestAStoreThatIsAway: what is known to be kept goes on, what is new does not.
func TestTokensWithTheStoreAway(t *testing.T) {
	in(t, func(t *testing.T) {
		kept := storetest.NewMemory()
		v := startTokens(t, kept, "a")
		if err := v.Keep(t.Context(), []secret.Token{email(1, "chat")}); err != nil {
			t.Fatal(err)
		}
		kept.SetAway(true)
		if err := v.Keep(t.Context(), []secret.Token{email(1, "chat"), email(1, "chat")}); err != nil {
			t.Errorf("what is kept: %v", err)
		}
		for _, one := range []secret.Token{email(2, "chat"), email(1, "other")} {
			if err := v.Keep(t.Context(), []secret.Token{email(1, "chat"), one}); !errors.Is(err, store.ErrAway) {
				t.Errorf("what is not: %v", err)
			}
		}
		if got := reveal(t, v, "chat", token(1)); got != access.ReasonStoreAway {
			t.Errorf("reveals %q", got)
		}
		kept.SetAway(false)
		if err := v.Keep(t.Context(), []secret.Token{email(2, "chat")}); err != nil {
			t.Error(err)
		}
	})
}

// TestWritesAreGathered: a hundred answers at once cost a few writes, and each waits
// until its own are there.
func TestWritesAreGathered(t *testing.T) {
	in(t, func(t *testing.T) {
		kept := storetest.NewMemory()
		v := startTokens(t, kept, "a")
		var writes atomic.Int32
		kept.Before(func(op string, _ []store.Change) error {
			if op == "apply" {
				writes.Add(1)
				time.Sleep(10 * time.Millisecond)
			}
			return nil
		})
		var answers sync.WaitGroup
		for i := range 100 {
			answers.Go(func() {
				if err := v.Keep(t.Context(), []secret.Token{email(i, "chat"), email(1000, "chat")}); err != nil {
					t.Error(err)
				}
			})
		}
		answers.Wait()
		if n := writes.Load(); n > 5 {
			t.Errorf("%d writes", n)
		}
		if got := reveal(t, v, "chat", token(0), token(99), token(1000)); strings.Count(got, "EMAIL") != 3 {
			t.Errorf("kept %q", got)
		}
		kept.Before(nil)
	})
}

// TestAStoreThatHangs holds nobody for ever, and no more than may wait.
func TestAStoreThatHangs(t *testing.T) {
	in(t, func(t *testing.T) {
		kept := storetest.NewMemory()
		v := startTokens(t, kept, "a")
		release := make(chan struct{})
		kept.Before(func(op string, _ []store.Change) error {
			if op == "apply" {
				<-release
			}
			return nil
		})
		var answers sync.WaitGroup
		var late, busy atomic.Int32
		for i := range 1500 {
			answers.Go(func() {
				switch err := v.Keep(t.Context(), []secret.Token{email(i, "chat")}); {
				case errors.Is(err, context.DeadlineExceeded):
					late.Add(1)
				case err != nil:
					busy.Add(1)
				}
			})
			if i == 0 {
				synctest.Wait() // the store hangs before the others come
			}
		}
		answers.Wait()
		if late.Load() != 1+1024 || busy.Load() != 1499-1024 {
			t.Errorf("%d waited too long, %d were refused at once", late.Load(), busy.Load())
		}
		kept.Before(nil)
		close(release)
	})
}

// TestReplicasKeepTheSame: what another has written already is no error.
func TestReplicasKeepTheSame(t *testing.T) {
	in(t, func(t *testing.T) {
		kept := storetest.NewMemory()
		here, there := startTokens(t, kept, "a"), startTokens(t, kept.Again(), "a")
		for _, v := range []*secret.Tokens{here, there} {
			if err := v.Keep(t.Context(), []secret.Token{email(1, "chat"), email(2, "chat")}); err != nil {
				t.Error(err)
			}
		}
		// An item that somebody else put there is written over.
		forged := store.Item{Kind: secret.KindToken, ID: token(3) + " chat", State: "EMAIL", Body: []byte("forged")}
		if err := kept.Apply(t.Context(), store.Change{Item: forged}); err != nil {
			t.Fatal(err)
		}
		if got := reveal(t, here, "chat", token(3)); got != "" {
			t.Errorf("a forged item reveals %q", got)
		}
		if err := there.Keep(t.Context(), []secret.Token{email(3, "chat")}); err != nil {
			t.Error(err)
		}
		if got := reveal(t, here, "chat", token(3)); got != "EMAIL jane.doe.3@example.com" {
			t.Errorf("reveals %q", got)
		}
	})
}

// TestTokensEnd when their time is over, counted from their last use.
func TestTokensEnd(t *testing.T) {
	in(t, func(t *testing.T) {
		kept := storetest.NewMemory()
		v := startTokens(t, kept, "a")
		one := email(1, "chat")
		one.Keep = 24 * time.Hour
		forever := email(2, "chat")
		for range 4 { // each use moves the end on
			if err := v.Keep(t.Context(), []secret.Token{one, forever}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Hour)
		}
		if got := reveal(t, v, "chat", token(1)); got == "" {
			t.Error("it ended while it was used")
		}
		time.Sleep(25 * time.Hour)
		if got := reveal(t, v, "chat", token(1), token(2)); got != "EMAIL jane.doe.2@example.com" {
			t.Errorf("after its time: %q", got)
		}
		if items, err := kept.List(t.Context(), store.Query{Kind: secret.KindToken}); err != nil || len(items) != 1 {
			t.Errorf("%d items are left, %v", len(items), err)
		}
		if err := v.Keep(t.Context(), []secret.Token{one}); err != nil {
			t.Error(err)
		}
		if got := reveal(t, v, "chat", token(1)); got == "" {
			t.Error("it can't be kept again")
		}
	})
}

// TestAClockInDoubtDeletesNoTokens: who sets it forward and back again has lost nothing,
// and nobody is shown meanwhile what seems over.
func TestAClockInDoubtDeletesNoTokens(t *testing.T) {
	in(t, func(t *testing.T) {
		var ahead atomic.Int64
		var doubt atomic.Bool
		now := func() time.Time {
			if ahead.Load() > 0 {
				doubt.Store(true) // as of who looks at the clock each time
			}
			return time.Now().Add(time.Duration(ahead.Load()))
		}
		kept := storetest.NewMemory()
		v := startTokensWith(t, secret.TokenOptions{Store: kept, Ring: ring(t, "a"), Now: now, Believed: func() bool { return !doubt.Load() }})
		one := email(1, "chat")
		one.Keep = 24 * time.Hour
		if err := v.Keep(t.Context(), []secret.Token{one}); err != nil {
			t.Fatal(err)
		}
		ahead.Store(int64(25 * time.Hour))
		time.Sleep(5 * time.Minute)
		if got := reveal(t, v, "chat", token(1)); got != "" {
			t.Errorf("over by the clock, and reveals %q", got)
		}
		ahead.Store(0)
		time.Sleep(5 * time.Minute)
		if got := reveal(t, v, "chat", token(1)); got != "EMAIL jane.doe.1@example.com" {
			t.Errorf("the clock is right again: %q", got)
		}
		time.Sleep(24 * time.Hour)
		doubt.Store(false)
		time.Sleep(5 * time.Minute)
		if items, err := kept.List(t.Context(), store.Query{Kind: secret.KindToken}); err != nil || len(items) != 0 {
			t.Errorf("%d items are left when the clock is believed, %v", len(items), err)
		}
	})
}

// TestTokensAreSealedAnew under a new key, in the background.
func TestTokensAreSealedAnew(t *testing.T) {
	in(t, func(t *testing.T) {
		kept := storetest.NewMemory()
		if err := startTokens(t, kept, "a").Keep(t.Context(), []secret.Token{email(1, "chat")}); err != nil {
			t.Fatal(err)
		}
		startTokens(t, kept.Again(), "ba")
		time.Sleep(2 * time.Minute)
		if got := reveal(t, startTokens(t, kept.Again(), "b"), "chat", token(1)); got != "EMAIL jane.doe.1@example.com" {
			t.Errorf("under the new key alone: %q", got)
		}
	})
}

func BenchmarkKnownToken(b *testing.B) {
	v := startTokens(b, storetest.NewMemory(), "a")
	tokens := []secret.Token{email(1, "chat")}
	if err := v.Keep(context.Background(), tokens); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Keep(context.Background(), tokens); err != nil {
			b.Fatal(err)
		}
	}
}
