// Package router is the way of a request to its handler and of its answer back.
// A [Route] is one row: method, path, who may call, what is counted, what a read
// waits for, whether a repetition is answered again, how long the answer may be
// kept. [Router] puts the steps that a row asks for before its handler.
//
// A handler returns an error, and errors.go is the one place where an error
// becomes an answer. The package knows nothing of what is served.
package router
