//go:build !soak

package server_test

// soakStreams is how many streams TestMaskedStreamsSoak sends by itself; with the
// build tag soak it sends 100,000.
const soakStreams = 300
