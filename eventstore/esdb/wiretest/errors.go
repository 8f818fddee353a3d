package wiretest

import (
	"context"
	"errors"
	"net"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// refusal is an error as the server tells it: a status, and trailers that name
// the exception.
type refusal struct {
	code     codes.Code
	message  string
	trailers []string
}

func (r *refusal) Error() string { return r.message }

var (
	errTooLarge = &refusal{codes.InvalidArgument, "Maximum Append Size of 1048576 Exceeded.",
		[]string{"exception", "maximum-append-size-exceeded", "maximum-append-size", "1048576"}}
	errMetadata = &refusal{codes.InvalidArgument, "Required Metadata Property 'type' or 'content-type' is missing",
		[]string{"exception", "missing-required-metadata-property"}}
	errNoName       = &refusal{codes.InvalidArgument, "the stream name is empty", nil}
	errPosition     = &refusal{codes.InvalidArgument, "Invalid position: not the beginning of a record", nil}
	errRequest      = &refusal{codes.InvalidArgument, "a required option is missing", nil}
	errSystemStream = &refusal{codes.PermissionDenied, "Access Denied", []string{"exception", "access-denied"}}
)

func errDeleted(name string) error {
	return &refusal{codes.FailedPrecondition, "Event stream '" + name + "' is deleted.",
		[]string{"exception", "stream-deleted", "stream-name", name}}
}

func errWrongRevision(name string, expected, actual int64) error {
	return &refusal{codes.FailedPrecondition, "Append failed due to WrongExpectedVersion.", []string{
		"exception", "wrong-expected-version", "stream-name", name,
		"expected-version", strconv.FormatInt(expected, 10), "actual-version", strconv.FormatInt(actual, 10),
	}}
}

// errNotLeader names the leader, by the address that it has in a view; without
// one there is nobody to name.
func errNotLeader(leader *Node, v *View) error {
	if leader == nil {
		return status.Error(codes.Unavailable, "no leader has been elected")
	}
	host, port, err := net.SplitHostPort(v.advertises(leader))
	if err != nil {
		return err
	}
	return &refusal{codes.NotFound, "Leader info available",
		[]string{"exception", "not-leader", "leader-endpoint-host", host, "leader-endpoint-port", port}}
}

// told turns an error into what goes over the wire.
func told(ctx context.Context, err error) error {
	var r *refusal
	if !errors.As(err, &r) {
		return err
	}
	if err := grpc.SetTrailer(ctx, metadata.Pairs(r.trailers...)); err != nil {
		return err
	}
	return status.Error(r.code, r.message)
}
