// Package guard looks into requests: rules about parameters, tensors, texts,
// sizes, a load's configuration, the time and the caller, each of which denies
// a call, asks for people's approval, or only counts what it would have done.
//
// [Compile] turns the guards of policy files into a [Policy]; an [Engine] holds
// the one in force. [Policy.For] finds the guards about a verb on a model, nil
// for most; [Set.Decide] asks them about one [Request].
//
// What a guard reads is what the backend will read: of a repeated key the last
// one, of a load's configuration its fields. What could be read in two ways, or
// not at all, denies: a guard that fails is never a pass. A request is read for
// the facts that the guards in question name, and for no others.
//
// The package holds no calls and knows no approvals: what a guard asks for is an
// [access.Need], which package approval meets.
package guard
