// Package policy decides which verbs a principal may use on which models.
//
// [Compile] turns policy files into a [Policy]; an [Engine] holds the one in
// force and is what a server asks: [Engine.Decide] for a call,
// [Engine.Visible] for a row of a list, [Engine.Refusal] for the text of a
// refusal. [Policy.Explain], [Policy.WhoCan] and [Suite] answer operators.
//
// The rules are few:
//   - Nothing is allowed unless an entry of one of the caller's roles allows it.
//   - An entry with deny: true denies, and wins in whatever order things are
//     written, in whichever of the caller's roles.
//   - A pattern matches a model's whole name, byte by byte; "*" is any run of
//     bytes, and no other character is special.
//   - "*" among verbs means the verbs for which [access.Verb.InStar] holds.
//   - A denied load is a denied load_override too, which is a load with more in
//     it. An allowed load allows no load_override.
//   - A call without a model concerns all of them: an entry allows it only if
//     its models hold "*" itself, and an entry that denies the verb on any
//     model denies it. Two exceptions. The verbs that are never about a model
//     (log, log_read, shm, admin) are denied by "*" only. And list is allowed
//     where any entry allows it, because its answer is cut to what is visible.
//   - A model is visible if some verb that can be about a model is allowed on
//     it, unless list is denied on it.
//
// The package is plain Go: it opens no sockets and no files, knows no gRPC,
// and never asks whether a model exists.
package policy
