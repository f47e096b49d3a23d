// Package tlsfiles makes TLS out of files that are replaced while Sluice runs:
// [Server] for listeners, [Client] for connections to backends.
//
// The files are read again at most once a second, when somebody shakes hands,
// by content: no watcher has to run, and a rotation that keeps the time stamps
// counts too. New files that do not work are logged, and those before stay in
// use. Connections that are open already go on as they are.
package tlsfiles
