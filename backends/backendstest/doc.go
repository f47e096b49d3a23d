// Package backendstest is a model server for tests that does what a real one
// cannot be made to do on demand: hang, reset the connection, answer bytes
// that are no message, answer too much, stop in the middle of a stream. What
// it was sent is kept as it came, byte for byte.
//
// A test writes a [Script], which says step by step what happens to the calls
// of each method:
//
//	b := backendstest.Start(t, backendstest.Script{
//		"ModelInfer":       {backendstest.Receive(), backendstest.Hang()},
//		"ModelStreamInfer": {backendstest.Receive(), backendstest.Send(answer), backendstest.Reset()},
//	})
//	conn := b.Conn(t)
//
// It runs in memory, and so under testing/synctest too. [Listen] does the same
// on a loopback port, [Raw] gives a test the connection itself. For a server
// that answers properly see package demo/models.
package backendstest
