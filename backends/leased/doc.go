// Package leased reaches a model server with a credential that is stored: each
// call leases it from package secret, shows it, and gives the lease back at its
// end. The connections of one opened credential are its own: they are closed once
// their calls have ended when the credential was rotated or has idled, and at once
// when it was revoked. Nothing is connected before a call has the credential open.
//
// The gateway's own questions (is the server ready?) open nothing: while no call
// has the credential, the server counts as ready. What is shown over an open
// connection is package connection's and generate's.
package leased
