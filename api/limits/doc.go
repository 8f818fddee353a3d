// Package limits counts requests against bounds that all nodes share.
//
// A [Window] bounds how often something may happen in any span of time, a
// [Counter] how often until a period such as a UTC day ends. A [Demand] is one
// request and everything it counts for; [Limiter.Take] decides on it and counts
// it at once, in one round trip to Redis.
//
// Demands that wait at the same moment share that round trip and one run of
// take.lua, which reads and writes each key once. Each has the outcome that it
// would have had if they had come one after another, so the sharing shows in
// nothing but the cost. Start with limits.go, then shared.go and batch.go.
//
// Nothing here fails because Redis does. While it is away each node decides by
// itself, with the same algorithm and from what it has counted itself, so that
// a caller gets at most one node's share from each; what was counted meanwhile
// goes to Redis when it is back. A Redis that has lost its counts gets them
// again from the nodes, as far as they know them.
//
// Times are the caller's: nodes whose clocks differ draw the edge of a window
// at different moments, by as much as they differ.
package limits
