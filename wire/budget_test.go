package wire_test

import (
	"math"
	"sync"
	"testing"

	"github.com/sluice-gateway/sluice/wire"
)

func TestBudgetConfig(t *testing.T) {
	tests := []struct {
		name  string
		cfg   wire.BudgetConfig
		paths []string // of the problems
	}{
		{"defaults", wire.BudgetConfig{}, nil},
		{"small box", wire.BudgetConfig{All: 1 << 30}, nil},
		{"least", wire.BudgetConfig{All: wire.MinBudget, PerPrincipal: wire.MinBudget}, nil},
		{"too small", wire.BudgetConfig{All: 1000, PerPrincipal: 1000}, []string{"all", "per_principal"}},
		{"negative", wire.BudgetConfig{All: -1, PerPrincipal: -1}, []string{"all", "per_principal"}},
		{"one over all", wire.BudgetConfig{All: 1 << 30, PerPrincipal: 2 << 30}, []string{"per_principal"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.SetDefaults()
			problems := tt.cfg.Validate()
			if len(problems) != len(tt.paths) {
				t.Fatalf("problems %v, want %v", problems, tt.paths)
			}
			for i, p := range problems {
				if p.Path != tt.paths[i] || p.Message == "" {
					t.Errorf("problem %v, want at %s", p, tt.paths[i])
				}
			}
		})
	}
}

// TestDefaultsAllowTheGreatestMessage: clients send and expect INT32_MAX bytes.
func TestDefaultsAllowTheGreatestMessage(t *testing.T) {
	a := budget(t, 0, 0)
	if err := a.Acquire(math.MaxInt32); err != nil {
		t.Fatal(err)
	}
	a.Release(math.MaxInt32)
}

func TestBudgetLimits(t *testing.T) {
	b := wire.NewBudget(wire.BudgetConfig{PerPrincipal: 2 << 20, All: 3 << 20})
	alice, bob := b.Account("alice"), b.Account("bob")
	defer alice.Close()
	defer bob.Close()
	if err := alice.Acquire(2 << 20); err != nil {
		t.Fatal(err)
	}
	wantExhausted(t, alice.Acquire(1), "1 more bytes are over your limit of 2097152 bytes in flight")
	wantExhausted(t, bob.Acquire(2<<20), "over the limit of 3145728 bytes in flight for all callers together")
	if got := bob.Held(); got != 0 {
		t.Errorf("a refusal left %d bytes", got)
	}
	if err := bob.Acquire(1 << 20); err != nil {
		t.Errorf("what fits was refused: %v", err)
	}
	if got := b.InFlight(); got != 3<<20 {
		t.Errorf("%d bytes are in flight", got)
	}
	alice.Release(2 << 20)
	bob.Release(1 << 20)
	if got := b.InFlight(); got != 0 {
		t.Errorf("%d bytes are in flight at the end", got)
	}
}

func TestAccountsAreSharedAndForgotten(t *testing.T) {
	b := wire.NewBudget(wire.BudgetConfig{})
	first, second := b.Account("alice"), b.Account("alice")
	if first != second {
		t.Fatal("two calls of one principal have two accounts")
	}
	m := wire.FromBytes(make([]byte, 100))
	if err := m.Charge(first); err != nil {
		t.Fatal(err)
	}
	first.Close()
	second.Close()
	if b.Account("alice") != first {
		t.Error("an account with bytes was forgotten")
	}
	first.Close()
	m.Free()
	again := b.Account("alice")
	defer again.Close()
	if again == first {
		t.Error("an account that nothing needs was kept")
	}
}

// TestBudgetConcurrently ends with nothing held, whatever the interleaving.
func TestBudgetConcurrently(t *testing.T) {
	b := wire.NewBudget(wire.BudgetConfig{PerPrincipal: 1 << 20, All: 2 << 20})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 500 {
				a := b.Account([]string{"a", "b", "c"}[i%3])
				m := wire.FromBytes(make([]byte, 300<<10))
				if err := m.Charge(a); err == nil && a.Held() > 1<<20 {
					t.Errorf("%d bytes are held", a.Held())
				}
				a.Close()
				m.Free()
			}
		})
	}
	wg.Wait()
	if got := b.InFlight(); got != 0 {
		t.Errorf("%d bytes are in flight at the end", got)
	}
}
