// Package target starts what the benchmark compares: Sluice and its peers,
// each configured for the same job, by itself, on loopback and free ports.
// [All] is the table of them. The configurations are the templates beside
// this file; none of them keeps an access log except Sluice's, and all speak
// plain text on both sides.
package target
