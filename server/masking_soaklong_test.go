//go:build soak

package server_test

// soakStreams is how many streams TestMaskedStreamsSoak sends in make soak.
const soakStreams = 100_000
