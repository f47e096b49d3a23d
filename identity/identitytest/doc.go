// Package identitytest holds the suite that every identity provider of JSON
// Web Tokens passes ([Run]), the issuer that it is played with ([Issuer]), and
// a corpus of hostile tokens, one file an attack, each with its expected
// refusal (folder hostile).
//
// The suite runs under testing/synctest: its clock begins on 2000-01-01 and
// moves when everybody waits, and the provider reaches the issuer through a
// transport instead of a socket.
package identitytest
