package config

import (
	"path/filepath"
	"strings"

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

// LogPath is the path of the audit log's database; empty where nothing is
// recorded.
func (c *Config) LogPath() string {
	switch path := c.Audit.SQLite; {
	case path == audit.Off:
		return ""
	case path != "":
		return path
	case c.Store.SQLite != "":
		return strings.TrimSuffix(c.Store.SQLite, filepath.Ext(c.Store.SQLite)) + ".audit.db"
	default:
		return ""
	}
}

// LogKey is the path of the key that signs the log at [Config.LogPath].
func (c *Config) LogKey() string {
	if c.Audit.Key != "" {
		return c.Audit.Key
	}
	path := c.LogPath()
	return strings.TrimSuffix(path, filepath.Ext(path)) + ".key"
}

// anchorAudit makes the log's relative paths relative to dir.
func (c *Config) anchorAudit(dir string) {
	if c.Audit.SQLite != audit.Off {
		c.Audit.SQLite = anchored(c.Audit.SQLite, dir)
	}
	c.Audit.Key = anchored(c.Audit.Key, dir)
	c.Audit.Checkpoint.File = anchored(c.Audit.Checkpoint.File, dir)
}
