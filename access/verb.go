package access

import "fmt"

// Verb is what is done to a model or to the gateway. The zero Verb is None,
// which needs no role.
type Verb uint8

// The verbs, in the order of DESIGN's table.
const (
	None         Verb = iota // probes: open to everybody unless configured otherwise
	Infer                    // ModelInfer, each message of ModelStreamInfer
	Load                     // RepositoryModelLoad
	LoadOverride             // RepositoryModelLoad that pushes configuration or files
	Unload                   // RepositoryModelUnload
	Describe                 // ModelReady, ModelMetadata, ModelConfig
	List                     // RepositoryIndex, ModelStatistics without a name
	Stats                    // ModelStatistics of one model
	Trace                    // changing TraceSetting
	TraceRead                // reading TraceSetting
	Log                      // changing LogSettings
	LogRead                  // reading LogSettings
	Shm                      // system and CUDA shared memory
	Approve
	AuditRead
	PayloadRead
	Reveal
	BreakGlass
	Admin
	verbs // how many there are
)

// NumVerbs is how many verbs there are, [None] included; a Verb is an index
// below it.
const NumVerbs = int(verbs)

var verbNames = [NumVerbs]string{
	"none", "infer", "load", "load_override", "unload", "describe", "list", "stats", "trace", "trace_read",
	"log", "log_read", "shm", "approve", "audit_read", "payload_read", "reveal", "break_glass", "admin",
}

// String returns the verb as policy files write it.
func (v Verb) String() string {
	if int(v) < len(verbNames) {
		return verbNames[v]
	}
	return fmt.Sprintf("verb(%d)", uint8(v))
}

// ParseVerb is the inverse of [Verb.String]; "none" and the empty string are
// not verbs that anything can be granted for.
func ParseVerb(s string) (Verb, bool) {
	for v := Infer; v < verbs; v++ {
		if verbNames[v] == s {
			return v, true
		}
	}
	return None, false
}

// Verbs lists every verb that a role can grant.
func Verbs() []Verb {
	all := make([]Verb, 0, NumVerbs-1)
	for v := Infer; v < verbs; v++ {
		all = append(all, v)
	}
	return all
}

// InStar tells whether "*" among a role's verbs includes v: all the verbs on
// models, save [Shm], which has to be granted by name as the admin verbs have.
func (v Verb) InStar() bool { return v >= Infer && v < Shm }
