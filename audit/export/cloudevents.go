package export

import (
	"fmt"
	"net/url"
	"time"

	"github.com/sluice-gateway/sluice/audit"
)

// event is a record as a CloudEvent 1.0 in its JSON format, structured.
type event struct {
	SpecVersion string        `json:"specversion"`
	ID          string        `json:"id"`
	Source      string        `json:"source"`
	Type        string        `json:"type"`
	Time        string        `json:"time,omitempty"`
	Subject     string        `json:"subject,omitempty"`
	ContentType string        `json:"datacontenttype"`
	Data        *audit.Record `json:"data"`
}

// newEvent names the log as the source and the record's place in it as the id:
// together they are unique, as the specification asks.
func newEvent(r *audit.Record) event {
	return event{
		SpecVersion: "1.0", ID: fmt.Sprint(r.Seq), Source: "urn:sluice:" + url.PathEscape(r.Replica),
		Type: "dev.sluice.audit." + r.Kind.String(), Time: r.Time.UTC().Format(time.RFC3339Nano), Subject: r.Model,
		ContentType: "application/json", Data: r,
	}
}
