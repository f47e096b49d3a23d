// Package replay plays a recorded session again: in the terminal, in its own
// timing ([Player]), or to a model, comparing what it answers now with what was
// answered then ([Again]).
//
// What is played is what was kept: masked for everybody. A request that is sent
// again is the masked one, and goes through the gateway's own door with the token
// of who replays it: he gets what he himself may get.
package replay
