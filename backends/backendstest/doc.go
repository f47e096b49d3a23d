// Package backendstest is what backends are tested with: the suite that each of
// them runs, and a model server to run it against.
//
// The suite is [Run]: what a backend promises to the rest of the gateway, from
// readiness to the end of its goroutines. A backend's test gives it a [Harness],
// which makes the backend before a double of its server that behaves as a [Mode]
// says, and names what the server lacks, with the reason: that has to be refused
// then. The double tells an [Observer] what reaches it. [TritonHarness] has a
// double of Triton for whatever speaks to one; [Main] is the TestMain that goes
// with the suite.
//
// The server is a model server that does what a real one
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
