package backends

import (
	"time"

	"github.com/sluice-gateway/sluice/access"
)

// LimitsConfig bounds the infer calls at a backend, all its replicas together. A
// stream is one call. It is what the server is known to bear: beyond it calls wait
// for their turn, callers in rotation, and are refused when too many wait.
type LimitsConfig struct {
	// Concurrency is how many calls may be at the backend at once; 0 is any number.
	Concurrency int `yaml:"concurrency"`
	// PerPrincipal is how many of them one caller may have there, whoever waits or
	// not: idle streams count too. 0 is half of them.
	PerPrincipal int `yaml:"per_principal"`
	// Queue is how many more may wait. One caller's can fill half of it.
	Queue int `yaml:"queue"`
	// Wait is how long a call waits at most.
	Wait time.Duration `yaml:"wait"`
}

// ReplicasConfig is how the replicas of a backend are used where there is more
// than one address, or a name whose addresses can change.
type ReplicasConfig struct {
	// Check is how often each replica, and each model that was lately used on it,
	// is asked whether it is ready.
	Check time.Duration `yaml:"check"`
	// Resolve is how often the addresses of a name are looked up.
	Resolve time.Duration `yaml:"resolve"`
	// Eject is how long a replica gets no calls whose connections break though it
	// calls itself ready. It doubles with each time, up to a minute.
	Eject time.Duration `yaml:"eject"`
	// SlowStart is how long a replica that is new or back is spared: the share of
	// calls that it gets grows over this time.
	SlowStart time.Duration `yaml:"slow_start"`
	// Drain is how long calls may go on at a replica whose address has gone.
	Drain time.Duration `yaml:"drain"`
	// RepeatMemory bounds the bytes of requests that are kept until their answer
	// comes, so that another replica can answer if theirs dies. What does not fit
	// is not repeated; 0 repeats nothing that was sent.
	RepeatMemory access.Size `yaml:"repeat_memory"`
}

// SequencesConfig bounds the stateful sequences (sequence_id) at a backend. Each
// belongs to the principal that began it, at the replica where it began.
type SequencesConfig struct {
	// Idle is how long a sequence is remembered after its last message.
	Idle time.Duration `yaml:"idle"`
	// Max is how many may be live at once, and MaxPerPrincipal how many of one
	// principal.
	Max int `yaml:"max"`
	// MaxPerPrincipal is how many of them one principal may have.
	MaxPerPrincipal int `yaml:"max_per_principal"`
}

// The defaults of what a backend's replicas are used with.
const (
	defaultQueue         = 128
	defaultWait          = 10 * time.Second
	defaultCheck         = time.Second
	defaultResolve       = 5 * time.Second
	defaultEject         = time.Second
	defaultSlowStart     = 10 * time.Second
	defaultDrain         = 30 * time.Second
	defaultRepeatMemory  = 64 << 20
	defaultSequenceIdle  = 10 * time.Minute
	defaultSequences     = 65536
	defaultSequencesEach = 4096

	// minPause is the least of what is done again and again.
	minPause = 100 * time.Millisecond
)

// SetDefaults fills in the limits that are not written.
func (c *LimitsConfig) SetDefaults() { c.Queue, c.Wait = defaultQueue, defaultWait }

// SetDefaults fills in what is not written.
func (c *ReplicasConfig) SetDefaults() {
	*c = ReplicasConfig{
		Check: defaultCheck, Resolve: defaultResolve, Eject: defaultEject, SlowStart: defaultSlowStart,
		Drain: defaultDrain, RepeatMemory: defaultRepeatMemory,
	}
}

// SetDefaults fills in what is not written.
func (c *SequencesConfig) SetDefaults() {
	*c = SequencesConfig{Idle: defaultSequenceIdle, Max: defaultSequences, MaxPerPrincipal: defaultSequencesEach}
}

func (ps *problems) checkReplicas(c *Config) {
	for _, n := range []struct {
		path  string
		value int
		least int
	}{
		{"limits.concurrency", c.Limits.Concurrency, 0},
		{"limits.per_principal", c.Limits.PerPrincipal, 0},
		{"limits.queue", c.Limits.Queue, 0},
		{"sequences.max", c.Sequences.Max, 1},
		{"sequences.max_per_principal", c.Sequences.MaxPerPrincipal, 1},
		{"replicas.repeat_memory", int(c.Replicas.RepeatMemory), 0},
	} {
		if n.value < n.least {
			ps.add(n.path, "must be at least %d", n.least)
		}
	}
	for _, d := range []struct {
		path  string
		value time.Duration
		least time.Duration
	}{
		{"limits.wait", c.Limits.Wait, 0},
		{"replicas.check", c.Replicas.Check, minPause},
		{"replicas.resolve", c.Replicas.Resolve, minPause},
		{"replicas.eject", c.Replicas.Eject, minPause},
		{"replicas.slow_start", c.Replicas.SlowStart, 0},
		{"replicas.drain", c.Replicas.Drain, 0},
		{"sequences.idle", c.Sequences.Idle, time.Second},
	} {
		if d.value < d.least {
			ps.add(d.path, "must be at least %v", d.least)
		}
	}
}
