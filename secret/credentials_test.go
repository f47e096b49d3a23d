package secret_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/secret"
	"github.com/sluice-gateway/sluice/store"
	"github.com/sluice-gateway/sluice/store/storetest"
)

const pairPEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"

// TestValues: what each kind takes, what it shows, and that no error repeats it.
func TestValues(t *testing.T) {
	for name, c := range map[string]struct {
		kind  secret.Kind
		value string
		shown map[string]string
		err   string
	}{
		"text":                   {"", "any thing\n", nil, ""},
		"empty":                  {"text", "", nil, "is empty"},
		"too long":               {"text", strings.Repeat("x", secret.MaxValue+1), nil, "more than 65536"},
		"another kind":           {"password", "hunter2", nil, "of an unknown kind"},
		"bearer":                 {"bearer", "hunter2", map[string]string{"authorization": "Bearer hunter2"}, ""},
		"bearer of two words":    {"bearer", "Bearer hunter2", nil, "is one word"},
		"bearer with a line end": {"bearer", "hunter2\n", nil, "bytes that a token cannot have"},
		"bearer with a nul":      {"bearer", "hunter2\x00", nil, "bytes that a token cannot have"},
		"basic":                  {"basic", "me:hun:ter2", map[string]string{"authorization": "Basic bWU6aHVuOnRlcjI="}, ""},
		"basic without user":     {"basic", ":hunter2", nil, `must be "user:password"`},
		"basic without colon":    {"basic", "hunter2", nil, `must be "user:password"`},
		"headers":                {"headers", "x-key: hunter2\r\n\ntriton-grpc-protocol-infer-key:  abc \n", map[string]string{"x-key": "hunter2", "triton-grpc-protocol-infer-key": "abc"}, ""},
		"headers in capitals":    {"headers", "X-Key: hunter2", nil, "in lower case"},
		"header of gRPC":         {"headers", "grpc-timeout: hunter2", nil, "none of HTTP's or gRPC's own"},
		"header of HTTP":         {"headers", "te: hunter2", nil, "none of HTTP's"},
		"binary header":          {"headers", "x-bin: hunter2", nil, "in lower case"},
		"pseudo header":          {"headers", ":path: hunter2", nil, "in lower case"},
		"header of Sluice's":     {"headers", "sluice-asks: hunter2", nil, "in lower case"},
		"header twice":           {"headers", "a: hunter2\na: hunter3", nil, "same header twice"},
		"header without value":   {"headers", "hunter2:", nil, "is empty or has bytes"},
		"header with control":    {"headers", "a: hunter2\x01", nil, "bytes that a header cannot carry"},
		"no header":              {"headers", "\n\n", nil, "from 1 to 16"},
		"pair":                   {"pair", pairPEM, nil, ""},
		"key alone":              {"pair", pairPEM[strings.Index(pairPEM, "-----BEGIN PRIVATE"):], nil, "a certificate and its private key"},
		"certificate alone":      {"pair", pairPEM[:strings.Index(pairPEM, "-----BEGIN PRIVATE")], nil, "a certificate and its private key"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, storetest.NewMemory(), nil)
			_, err := r.Put(t.Context(), carol, "gpu", c.kind, value(c.value))
			if c.err != "" {
				if err == nil || reason(err) != access.ReasonMalformed || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			l := r.lease(t, "gpu", call)
			defer l.End(time.Now())
			if got := l.Value().Metadata(); len(got) != len(c.shown) {
				t.Errorf("shows %v, want %v", got, c.shown)
			}
			for name, want := range c.shown {
				if got := l.Value().Metadata()[name]; got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if got := l.Value().Text().Text(); got != c.value {
				t.Errorf("holds %q", got)
			}
		})
	}
}

// TestLifeOfASecret: put, list, rotate, delete; who and when, never the value.
func TestLifeOfASecret(t *testing.T) {
	r := start(t, storetest.NewMemory(), nil)
	first := r.put(t, "gpu", secret.Bearer, "hunter2")
	if first.Name != "gpu" || first.Kind != secret.Bearer || first.Created.IsZero() || first.By.ID() != carol.ID() || first.KeyID != ring(t, "a").KeyID() {
		t.Errorf("put %+v", first)
	}
	if _, err := r.Put(t.Context(), carol, "gpu", secret.Text, value("x")); reason(err) != access.ReasonConflict {
		t.Errorf("put twice: %v", err)
	}
	second, err := r.Rotate(t.Context(), carol, "gpu", value("hunter3"))
	if err != nil || second.Version <= first.Version || !second.Created.Equal(first.Created) || second.Kind != secret.Bearer {
		t.Errorf("rotated %+v, %v", second, err)
	}
	if _, err := r.Rotate(t.Context(), carol, "gpu", value("of two words")); reason(err) != access.ReasonMalformed {
		t.Errorf("rotated to what it can't be: %v", err)
	}
	r.put(t, "cpu", secret.Text, "x")
	all, err := r.List(t.Context(), "", 10)
	if err != nil || len(all) != 2 || all[0].Name != "cpu" || all[1].Version != second.Version {
		t.Errorf("listed %+v, %v", all, err)
	}
	if text, _ := json.Marshal(all); strings.Contains(string(text), "hunter") {
		t.Errorf("the list shows %s", text)
	}
	if err := r.Delete(t.Context(), "gpu", false); err != nil {
		t.Error(err)
	}
	for _, err := range []error{r.Delete(t.Context(), "gpu", true), rotateError(r.Rotate(t.Context(), carol, "gpu", value("x")))} {
		if reason(err) != access.ReasonNotFound {
			t.Errorf("of what is gone: %v", err)
		}
	}
	// What comes after under the same name is newer than all before.
	if third := r.put(t, "gpu", secret.Bearer, "hunter4"); third.Version < first.Version {
		t.Errorf("version %d after %d", third.Version, second.Version)
	}
}

func rotateError(_ secret.Info, err error) error { return err }

func TestNames(t *testing.T) {
	r := start(t, storetest.NewMemory(), nil)
	for _, name := range []string{"", "a b", "a/b", "ä", strings.Repeat("a", 64), "a\x00"} {
		if _, err := r.Put(t.Context(), carol, name, secret.Text, value("x")); reason(err) != access.ReasonMalformed {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestWhatIsUsedStays, but by force.
func TestWhatIsUsedStays(t *testing.T) {
	r := start(t, storetest.NewMemory(), func(o *secret.Options) {
		o.InUse = func(name string) string { return map[string]string{"gpu": "backend triton"}[name] }
	})
	r.put(t, "gpu", secret.Bearer, "x")
	if err := r.Delete(t.Context(), "gpu", false); reason(err) != access.ReasonConflict || !strings.Contains(err.Error(), "backend triton") {
		t.Errorf("got %v", err)
	}
	if err := r.Delete(t.Context(), "gpu", true); err != nil {
		t.Error(err)
	}
}

// TestTheStoreHoldsNothingInClear, and a body moved to another name opens nothing.
func TestTheStoreHoldsNothingInClear(t *testing.T) {
	kept := storetest.NewMemory()
	r := start(t, kept, nil)
	r.put(t, "gpu", secret.Bearer, "hunter2")
	r.put(t, "weak", secret.Bearer, "x")
	item, err := kept.Get(t.Context(), secret.KindCredential, "gpu")
	if err != nil || strings.Contains(string(item.Body), "hunter") || strings.Contains(string(item.Body), "aHVudGVy") {
		t.Errorf("the item is %s, %v", item.Body, err)
	}
	weak, err := kept.Get(t.Context(), secret.KindCredential, "weak")
	if err != nil {
		t.Fatal(err)
	}
	weak.Body = item.Body // who may write to the store would have its holder show another's
	if err := kept.Apply(t.Context(), store.Change{Item: weak}); err != nil {
		t.Fatal(err)
	}
	_, err = r.Lease(t.Context(), "weak", call)
	if reason(err) != access.ReasonCredentialAway || !errors.Is(err, secret.ErrForged) {
		t.Errorf("got %v", err)
	}
}

// TestResealing: a new key seals what is there anew at the start, and then the
// old one is not needed any more.
func TestResealing(t *testing.T) {
	kept := storetest.NewMemory()
	r := start(t, kept, nil)
	before := r.put(t, "gpu", secret.Bearer, "hunter2")
	r.put(t, "cpu", secret.Bearer, "hunter3")
	if _, err := r.Rotate(t.Context(), carol, "gpu", secret.Bytes{}); err != nil {
		t.Fatal(err) // seals anew, by hand
	}
	both := secret.New(secret.Options{Store: kept.Again(), Ring: ring(t, "ba")})
	info, err := both.Rotate(t.Context(), carol, "gpu", secret.Bytes{})
	if err != nil || info.Version != before.Version || info.KeyID != ring(t, "b").KeyID() {
		t.Errorf("got %+v, %v", info, err)
	}
	start(t, kept.Again(), func(o *secret.Options) { o.Ring = ring(t, "ba") })
	only := start(t, kept.Again(), func(o *secret.Options) { o.Ring = ring(t, "b") })
	deadline := time.Now().Add(time.Minute)
	for {
		l, err := only.Lease(t.Context(), "cpu", call)
		if err == nil {
			l.End(time.Now())
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		only = start(t, kept.Again(), func(o *secret.Options) { o.Ring = ring(t, "b") })
	}
}

// TestStoreAway: clear errors, nothing is doubled.
func TestStoreAwayForAdministrators(t *testing.T) {
	kept := storetest.NewMemory()
	r := start(t, kept, nil)
	r.put(t, "gpu", secret.Bearer, "x")
	kept.SetAway(true)
	_, put := r.Put(t.Context(), carol, "cpu", secret.Text, value("x"))
	_, list := r.List(t.Context(), "", 1)
	_, rotate := r.Rotate(t.Context(), carol, "gpu", value("y"))
	for _, err := range []error{put, list, rotate, r.Delete(t.Context(), "gpu", true)} {
		if reason(err) != access.ReasonStoreAway {
			t.Errorf("got %v", err)
		}
	}
	kept.SetAway(false)
}
