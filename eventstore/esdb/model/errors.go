package model

import (
	"fmt"
	"strconv"
)

// Code is a gRPC status code, by its number.
type Code uint32

// The codes that the server answers with.
const (
	Unknown            Code = 2
	InvalidArgument    Code = 3
	NotFound           Code = 5
	PermissionDenied   Code = 7
	FailedPrecondition Code = 9
	Aborted            Code = 10
	Unavailable        Code = 14
)

// Refusal is an error as the server tells it: a status, and trailers that name
// the exception.
type Refusal struct {
	Code     Code
	Message  string
	Trailers []string // keys and values in turn
	Leader   *Node    // whom a follower names, nil in all other refusals
}

func (r *Refusal) Error() string { return r.Message }

func refuse(code Code, message string, trailers ...string) *Refusal {
	return &Refusal{Code: code, Message: message, Trailers: trailers}
}

// What a server refuses.
var (
	errNoType     = refuse(Unknown, "Exception was thrown by handler.")
	errNoName     = refuse(InvalidArgument, "the stream name is empty")
	errReadAt     = refuse(Unknown, "Unexpected ReadAllResult: Error")
	errHandler    = refuse(Unknown, "Exception was thrown by handler.")
	errInvalid    = refuse(InvalidArgument, "Invalid position.")
	errNotReady   = refuse(Unavailable, "Server Is Not Ready")
	errCanceled   = refuse(Aborted, "Request canceled by server")
	errUnreached  = refuse(Unavailable, "connection refused")
	errReset      = refuse(Unavailable, "connection reset by peer")
	errSlowLive   = refuse(Aborted, "Operation timed out: Consumer too slow to handle event while live. Client resubscription required.")
	errSlowToLive = refuse(Aborted, "Operation timed out: Consumer too slow to handle event while transitioning to live. Client resubscription required.")
)

func errTooLarge(bound int) error {
	return refuse(InvalidArgument, fmt.Sprintf("Maximum Append Size of %d Exceeded.", bound),
		"exception", "maximum-append-size-exceeded", "maximum-append-size", strconv.Itoa(bound))
}

func errDeleted(name string) error {
	return refuse(FailedPrecondition, "Event stream '"+name+"' is deleted.", "exception", "stream-deleted", "stream-name", name)
}

func errWrongRevision(name string, expected, actual int64) error {
	return refuse(FailedPrecondition, "Append failed due to WrongExpectedVersion.",
		"exception", "wrong-expected-version", "stream-name", name,
		"expected-version", strconv.FormatInt(expected, 10), "actual-version", strconv.FormatInt(actual, 10))
}

// errNotLeader names the leader; the server adds its address to the trailers.
func errNotLeader(leader *Node) error {
	return &Refusal{Code: NotFound, Message: "Leader info available", Trailers: []string{"exception", "not-leader"}, Leader: leader}
}
