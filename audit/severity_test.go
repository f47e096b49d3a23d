package audit_test

import (
	"testing"

	"github.com/sluice-gateway/sluice/audit"
)

func TestSeverity(t *testing.T) {
	for name, c := range map[string]struct {
		record audit.Record
		want   audit.Severity
	}{
		"a call that was allowed":             {audit.Record{Kind: audit.KindCall, Verdict: audit.Allowed}, audit.SeverityInfo},
		"a request of a stream":               {audit.Record{Kind: audit.KindMessage, Verdict: audit.Allowed}, audit.SeverityInfo},
		"a call that waits":                   {audit.Record{Kind: audit.KindCall, Verdict: audit.Held}, audit.SeverityNotice},
		"what was done to the gateway":        {audit.Record{Kind: audit.KindAdmin, Verdict: audit.Allowed}, audit.SeverityNotice},
		"a configuration taken into force":    {audit.Record{Kind: audit.KindReload}, audit.SeverityNotice},
		"records that were deleted for age":   {audit.Record{Kind: audit.KindPrune}, audit.SeverityNotice},
		"a call that was denied":              {audit.Record{Kind: audit.KindCall, Verdict: audit.Denied}, audit.SeverityWarning},
		"an admin who was denied":             {audit.Record{Kind: audit.KindAdmin, Verdict: audit.Denied}, audit.SeverityWarning},
		"somebody who is not known":           {audit.Record{Kind: audit.KindLoginFailed}, audit.SeverityWarning},
		"many who are not known":              {audit.Record{Kind: audit.KindStrangers}, audit.SeverityWarning},
		"a call that failed":                  {audit.Record{Kind: audit.KindCall, Verdict: audit.Failed}, audit.SeverityError},
		"a failure of what is less otherwise": {audit.Record{Kind: audit.KindLoginFailed, Verdict: audit.Failed}, audit.SeverityError},
		"records that were lost":              {audit.Record{Kind: audit.KindGap}, audit.SeverityError},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.record.Severity(); got != c.want {
				t.Errorf("severity %d, want %d", got, c.want)
			}
		})
	}
}
