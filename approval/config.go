package approval

import (
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/access"
)

// Config are the limits of what waits for people, and of what people give
// themselves.
type Config struct {
	// HeldPerPrincipal is how many calls of one principal may wait at once.
	HeldPerPrincipal int `yaml:"held_per_principal"`
	// Held is how many calls may wait at once in all.
	Held int `yaml:"held"`
	// PendingPerPrincipal is how many requests of one principal may be open at
	// once.
	PendingPerPrincipal int `yaml:"pending_per_principal"`
	// Keep is how long decided requests and ended grants are kept.
	Keep time.Duration `yaml:"keep"`
	// BreakGlass bounds what people give themselves.
	BreakGlass BreakGlassConfig `yaml:"break_glass"`
}

// BreakGlassConfig bounds what people give themselves.
type BreakGlassConfig struct {
	// Max is how long such a grant may last.
	Max time.Duration `yaml:"max"`
	// PerPrincipal is how many of them one person may have within 24 hours.
	PerPrincipal int `yaml:"per_principal"`
}

// SetDefaults fills in what is not set.
func (c *Config) SetDefaults() {
	setDefault(&c.HeldPerPrincipal, 16)
	setDefault(&c.Held, 1000)
	setDefault(&c.PendingPerPrincipal, 100)
	setDefault(&c.Keep, 30*24*time.Hour)
	setDefault(&c.BreakGlass.Max, time.Hour)
	setDefault(&c.BreakGlass.PerPrincipal, 3)
}

func setDefault[T comparable](at *T, value T) {
	var zero T
	if *at == zero {
		*at = value
	}
}

// minKeep is how long decided requests are kept at least: a denial has to be
// there for who repeats the call, and a day of break-glass to be counted.
const minKeep = 24 * time.Hour

// Validate checks the limits.
func (c *Config) Validate() []access.Problem {
	var problems []access.Problem
	add := func(path, format string, args ...any) {
		problems = append(problems, access.Problem{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	for _, n := range []struct {
		path  string
		value int
	}{
		{"held_per_principal", c.HeldPerPrincipal},
		{"held", c.Held},
		{"pending_per_principal", c.PendingPerPrincipal},
		{"break_glass.per_principal", c.BreakGlass.PerPrincipal},
	} {
		if n.value < 1 {
			add(n.path, "must be positive")
		}
	}
	if c.Keep < minKeep {
		add("keep", "must be at least %v", minKeep)
	}
	if c.BreakGlass.Max <= 0 || c.BreakGlass.Max > minKeep {
		add("break_glass.max", "must be positive and at most %v", minKeep)
	}
	return problems
}
