package audit

// Severity says how much of an operator's attention a record asks for.
type Severity uint8

// The severities, the least first.
const (
	SeverityInfo Severity = iota
	SeverityNotice
	SeverityWarning
	SeverityError
)

// Severity is an error where a call failed or records were lost, a warning where
// somebody was refused, and a notice where people wait or something was done to the
// gateway itself.
func (r *Record) Severity() Severity {
	switch {
	case r.Verdict == Failed, r.Kind == KindGap:
		return SeverityError
	case r.Verdict == Denied, r.Kind == KindLoginFailed, r.Kind == KindStrangers:
		return SeverityWarning
	case r.Verdict == Held, r.Kind != KindCall && r.Kind != KindMessage:
		return SeverityNotice
	}
	return SeverityInfo
}
