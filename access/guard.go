package access

// GuardOutcome is what a guard did to a call, or to a message of a stream; its
// model is that of the call.
type GuardOutcome struct {
	// Guard is the guard's name, which the configuration has.
	Guard string
	// Did is one of the words below.
	Did string
}

// What guards do, as metrics and records show it. The last three are of guards
// that only observe.
const (
	GuardDenied    = "denied"
	GuardFailed    = "failed"
	GuardHeld      = "held"
	GuardWouldDeny = "would_deny"
	GuardWouldHold = "would_hold"
	GuardWouldFail = "would_fail"
)
