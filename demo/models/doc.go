// Package models is the model server that sluice demo embeds: a gRPC server of
// the KServe v2 protocol that an unchanged tritonclient cannot tell from a
// Triton, down to the texts of its errors.
//
// [New] makes one; the caller registers it on a grpc.Server of its own, which
// should be made with [Server.ServerOptions]:
//
//	s := models.New(models.Options{})
//	g := grpc.NewServer(s.ServerOptions()...)
//	s.Register(g)
//
// It stands for a Triton without GPUs, started with explicit model control.
// Where Triton's versions differ it answers as 2.51 does, which is the real
// server of the end-to-end tests, except that it refuses what killed that one
// or was never a model's name, as newer ones do. Texts and status codes are
// those observed on that server and read in the sources of server, core and
// repeat_backend.
//
// What it does not do: batch, queue by priority, cache, write traces, or run
// weights that a load request pushes. Those settings are accepted and reported
// back, since clients look at them, and have no other effect.
package models
