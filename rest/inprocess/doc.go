// Package inprocess is a gRPC connection without a socket: [Conn] runs the
// handlers of a server in the caller's process, so that a door of another
// protocol has its calls go through the very chain that gRPC's go through.
//
// Messages pass by reference both ways, without frames. A request may be a
// [wire.Source], which is read when the chain asks for it: after it has decided
// on headers who calls, and on that caller's account.
//
// Of the caller's context the handler gets the end and the deadline, and nothing
// else. Who calls, from where and with which metadata is what [WithCaller] says;
// what a client library put into the context as outgoing metadata is not looked
// at, so that no header of a request becomes metadata by itself.
package inprocess
