package config

import (
	"path/filepath"
	"strings"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit"
	"github.com/sluice-gateway/sluice/audit/payload"
)

// Audit is how calls are recorded.
type Audit struct {
	audit.Config `yaml:",inline"`
	// What is said is kept beside the records.
	Payload payload.Config `yaml:",inline"`
	// Sinks are other places that records are sent to, after the log has them: each
	// record at least once and in order, however long a sink was away.
	Sinks []Sink `yaml:"sinks"`
}

// HasLog tells whether calls are recorded.
func (c *Config) HasLog() bool { return c.LogPath() != "" || !c.LogPostgres().IsZero() }

// LogPath is the path of the audit log's database file; empty where nothing is
// recorded, or the log is elsewhere.
func (c *Config) LogPath() string {
	switch path := c.Audit.SQLite; {
	case path == audit.Off || !c.Audit.Postgres.IsZero():
		return ""
	case path != "":
		return path
	case c.Store.SQLite != "":
		return strings.TrimSuffix(c.Store.SQLite, filepath.Ext(c.Store.SQLite)) + ".audit.db"
	default:
		return ""
	}
}

// LogPostgres refers to the connection string of the database that the audit log
// is in; zero where it is in none.
func (c *Config) LogPostgres() access.Secret {
	if c.Audit.SQLite == "" && c.Audit.Postgres.IsZero() {
		return c.Store.Postgres
	}
	return c.Audit.Postgres
}

// LogKey is the path of the key that signs the log.
func (c *Config) LogKey() string {
	if c.Audit.Key != "" {
		return c.Audit.Key
	}
	path := c.LogPath()
	if path == "" {
		return "audit.key"
	}
	return strings.TrimSuffix(path, filepath.Ext(path)) + ".key"
}

// anchorAudit makes the log's relative paths relative to dir.
func (c *Config) anchorAudit(dir string) {
	if c.Audit.SQLite != audit.Off {
		c.Audit.SQLite = anchored(c.Audit.SQLite, dir)
	}
	if c.Audit.Key == "" && !c.LogPostgres().IsZero() {
		c.Audit.Key = c.LogKey()
	}
	c.Audit.Key = anchored(c.Audit.Key, dir)
	c.Audit.Checkpoint.File = anchored(c.Audit.Checkpoint.File, dir)
}
