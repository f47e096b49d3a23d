package config

import (
	"slices"

	"github.com/sluice-gateway/sluice/access"
	"github.com/sluice-gateway/sluice/audit/jetstream"
	"github.com/sluice-gateway/sluice/audit/jsonl"
	"github.com/sluice-gateway/sluice/audit/otlp"
	"github.com/sluice-gateway/sluice/audit/syslog"
)

// Sink is another place that records are sent to, after the log has them: exactly
// one of JSONL, Syslog, OTLP and JetStream is set.
type Sink struct {
	// Name is how logs and metrics call the sink; how far it has come is kept by it.
	Name string `yaml:"name"`
	// JSONL is files of a JSON object a line, which are rotated.
	JSONL *jsonl.Config `yaml:"jsonl"`
	// Syslog is a syslog server (RFC 5424).
	Syslog *syslog.Config `yaml:"syslog"`
	// OTLP is an OpenTelemetry collector.
	OTLP *otlp.Config `yaml:"otlp"`
	// JetStream is a NATS JetStream stream, from which anything can consume.
	JetStream *jetstream.Config `yaml:"jetstream"`
}

// part is what each of a sink's kinds can say about its settings.
type part interface{ Validate() []access.Problem }

// parts are the kinds that are set, by their keys.
func (s *Sink) parts() map[string]part {
	set := make(map[string]part)
	if s.JSONL != nil {
		set["jsonl"] = s.JSONL
	}
	if s.Syslog != nil {
		set["syslog"] = s.Syslog
	}
	if s.OTLP != nil {
		set["otlp"] = s.OTLP
	}
	if s.JetStream != nil {
		set["jetstream"] = s.JetStream
	}
	return set
}

// sinks checks the sinks of audit.
func (f *found) sinks(all []Sink) {
	for i := range all {
		path, set := indexed("audit.sinks", i), all[i].parts()
		if all[i].Name == "" {
			f.add(path+".name", "is missing")
		} else if slices.IndexFunc(all, func(s Sink) bool { return s.Name == all[i].Name }) < i {
			f.add(path+".name", "%q is another sink's too", all[i].Name)
		}
		if len(set) != 1 {
			f.add(path, "must have exactly one of jsonl, syslog, otlp and jetstream")
		}
		for _, key := range sortedKeys(set) {
			f.under(path+"."+key, set[key].Validate())
		}
	}
}
