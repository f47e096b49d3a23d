// Package admin is the HTTP door of sluice.v1: REST as the annotations in
// proto/sluice/v1 say, JSON both ways, onto the handlers of the gRPC door beside
// it through an in-process connection, and so through the very same chain. It
// decides nothing about a caller.
//
// Routes are grpc-gateway's. Bodies and queries are read here, when the chain asks
// for them, which is after identity has spoken: strictly, so that a field that is
// misspelt is an error and not left out. There are no cookies, no CORS and no
// answers for pages of other sites: who calls shows a bearer token.
package admin
