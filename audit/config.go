package audit

import (
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"github.com/sluice-gateway/sluice/access"
)

// Config is how calls are recorded. Without audit.sqlite and without a store
// beside which the log could be, nothing is recorded, and the start says so.
type Config struct {
	// SQLite is the path of the log's database file; by default it is beside the
	// store's, with the ending .audit.db. "off" records nothing.
	SQLite string `yaml:"sqlite"`
	// Postgres refers to a connection string, as ${NAME} or file:PATH, of the database
	// that the log is kept in, beside those of other replicas. With store.postgres and
	// neither this nor sqlite it is in the store's.
	Postgres access.Secret `yaml:"postgres"`
	// Key is the path of the file with the key that signs checkpoints, made with the
	// first start; by default it is beside the log, with the ending .key, or for a log
	// in PostgreSQL audit.key beside the configuration. Each replica has its own. Keep it
	// where those who can write to the log can't read it.
	Key string `yaml:"key"`
	// Strict lists the verbs of which nothing is done before it is written: their
	// calls wait for the disk twice.
	Strict []string `yaml:"strict"`
	// OnFailure says what happens to other calls while records can't be written and
	// the queue is full: refuse, or continue, which loses records and counts them.
	OnFailure string `yaml:"on_failure"`
	// Queue is how many records wait to be written, at most.
	Queue int `yaml:"queue"`
	// Wait is how long a call waits for its record to be written, or for room in the
	// queue, before it is refused.
	Wait time.Duration `yaml:"wait"`
	// Batch is how long records are gathered before they are written together: what
	// a crash can lose of calls that are not strict.
	Batch time.Duration `yaml:"batch"`
	// Retain is how long records are kept; 0 is for ever. Their hashes stay.
	Retain time.Duration `yaml:"retain"`
	// TrustClock is a time as in 2026-11-23T09:00:00Z up to which the clock is right,
	// whatever it did: where it is in doubt, and before that time, old records are
	// deleted all the same.
	TrustClock string `yaml:"trust_clock"`
	// Strangers is how many refusals of callers without identity are recorded one by
	// one, for each address and minute; more are counted.
	Strangers int `yaml:"strangers"`
	// Checkpoint says when the log is signed, and where that is made known.
	Checkpoint CheckpointConfig `yaml:"checkpoint"`
}

// CheckpointConfig says when the log is signed.
type CheckpointConfig struct {
	// Records is after how many records, at the latest.
	Records int `yaml:"records"`
	// Every is after what time, if there was any record.
	Every time.Duration `yaml:"every"`
	// File gets each checkpoint appended. On a file system where what is written
	// can't be changed, not even the operator can rewrite the log unseen.
	File string `yaml:"file"`
	// Webhook is an https URL that gets each checkpoint by POST.
	Webhook string `yaml:"webhook"`
}

// The defaults.
const (
	defaultQueue     = 20_000
	defaultWait      = 10 * time.Second
	defaultBatch     = 50 * time.Millisecond
	defaultStrangers = 10
	defaultRecords   = 10_000
	defaultEvery     = 10 * time.Second
	// Refuse and Continue are the values of on_failure.
	Refuse   = "refuse"
	Continue = "continue"
	// Off is the value of sqlite that records nothing.
	Off = "off"
)

// SetDefaults sets what is stated of each key in docs/AUDIT.md.
func (c *Config) SetDefaults() {
	c.Strict = []string{access.Load.String(), access.LoadOverride.String(), access.Unload.String(), access.Approve.String(), access.BreakGlass.String()}
	c.OnFailure = Refuse
	c.Queue, c.Wait, c.Batch, c.Strangers = defaultQueue, defaultWait, defaultBatch, defaultStrangers
	c.Checkpoint.Records, c.Checkpoint.Every = defaultRecords, defaultEvery
}

// limits of what a configuration may say.
const (
	minQueue, maxQueue = 100, 10_000_000
	mostBatch          = 10 * time.Second
	maxWait            = 10 * time.Minute
	minRetain          = time.Hour
)

// Validate checks the settings.
func (c *Config) Validate() []access.Problem {
	var problems []access.Problem
	add := func(path, format string, args ...any) {
		problems = append(problems, access.Problem{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	for i, verb := range c.Strict {
		if _, ok := access.ParseVerb(verb); !ok {
			add(fmt.Sprintf("strict[%d]", i), "%q is not a verb", verb)
		}
	}
	if c.SQLite != "" && !c.Postgres.IsZero() {
		add("", "sqlite and postgres exclude each other: one of them is the log")
	}
	if c.OnFailure != Refuse && c.OnFailure != Continue {
		add("on_failure", "must be %s or %s", Refuse, Continue)
	}
	if c.Queue < minQueue || c.Queue > maxQueue {
		add("queue", "must be between %d and %d", minQueue, maxQueue)
	}
	if c.Wait <= 0 || c.Wait > maxWait {
		add("wait", "must be positive and at most %s: no call waits for ever", maxWait)
	}
	if c.Batch <= 0 || c.Batch > mostBatch {
		add("batch", "must be positive and at most %s: it is what a crash loses", mostBatch)
	}
	if c.Retain != 0 && c.Retain < minRetain {
		add("retain", "must be 0 (for ever) or at least %s", minRetain)
	}
	if _, err := time.Parse(time.RFC3339, c.TrustClock); c.TrustClock != "" && err != nil {
		add("trust_clock", "must be a time such as 2026-11-23T09:00:00Z")
	}
	if c.Strangers < 0 {
		add("strangers", "must not be negative")
	}
	if c.Checkpoint.Records < 1 || c.Checkpoint.Every <= 0 {
		add("checkpoint", "records and every must be positive")
	}
	if !secure(c.Checkpoint.Webhook) {
		add("checkpoint.webhook", "must be an https URL")
	}
	return problems
}

// secure tells whether a webhook's URL is of https, or stays on this machine.
func secure(webhook string) bool {
	if webhook == "" {
		return true
	}
	u, err := url.Parse(webhook)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	host, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && err == nil && host.IsLoopback()
}
