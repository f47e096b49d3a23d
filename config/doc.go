// Package config reads sluice.yaml and what it names: strictly, and with the
// place of everything that is wrong in it.
//
// [Load] is what a caller wants: defaults, then the file, then the policy
// files, then every check, with all the problems at once. [Watcher] does it
// again whenever a file changes. [Decode] is the strict decoder by itself, for
// other files of the same kind (policy suites).
//
// The parts own the types of their settings (backends.Config, oidc.Config,
// policy.Document) and check them with Validate() []access.Problem; this
// package knows where in which file a problem's path stands. There is no
// process-wide configuration: a [Config] is a value that is passed down.
package config
