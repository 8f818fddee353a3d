package esdb

import (
	"context"
	"errors"
	"fmt"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sentryagent/agentidp/eventstore"
)

var (
	errClosed             = fmt.Errorf("%w: the store is closed", eventstore.ErrUnavailable)
	errSubscriptionClosed = errors.New("the subscription is closed")
	errForeign            = errors.New("the stream holds an event that is no event of the ledger")
)

// verdict is what an error of the client means for who met it.
type verdict int

const (
	refused  verdict = iota // the server said no and would say it again
	missing                 // there is no such stream
	conflict                // the stream is at another revision
	passing                 // another try may do; of an append the outcome is open
	broken                  // the same, and the connection is of no use any more
)

// classify goes by the client's own codes; where the client has none, by the
// gRPC status.
func classify(err error) verdict {
	var late *retiredError
	if errors.As(err, &late) {
		return broken
	}
	var e *client.Error
	if !errors.As(err, &e) {
		return byStatus(err)
	}
	switch e.Code() {
	case client.ErrorCodeWrongExpectedVersion:
		return conflict
	case client.ErrorCodeResourceNotFound:
		// A status, not a message of the read: there is no leader to answer.
		if status.Code(e.Err()) == codes.NotFound {
			return passing
		}
		return missing
	case client.ErrorUnavailable, client.ErrorCodeConnectionClosed:
		return broken
	case client.ErrorCodeNotLeader, // the client goes over to the leader it was told of
		client.ErrorCodeDeadlineExceeded, client.ErrorAborted, client.ErrorCodeInternalServer:
		return passing
	case client.ErrorCodeStreamDeleted, client.ErrorCodeAccessDenied, client.ErrorCodeUnauthenticated,
		client.ErrorCodeUnsupportedFeature, client.ErrorCodeResourceAlreadyExists, client.ErrorCodeParsing:
		return refused
	}
	return byStatus(e.Err())
}

func byStatus(err error) verdict {
	switch status.Code(err) {
	case codes.InvalidArgument, codes.FailedPrecondition, codes.OutOfRange, codes.PermissionDenied, codes.Unauthenticated:
		return refused
	case codes.Unavailable:
		return broken
	}
	return passing
}

// badPosition reports that a read was refused because no record begins where
// it was to start.
func badPosition(err error) bool {
	var e *client.Error
	if errors.As(err, &e) {
		err = e.Err()
	}
	return status.Code(err) == codes.InvalidArgument
}

// translate turns an error of the client into one of the contract. It is the
// context's error when ctx has ended, itself when the server refused what it
// was asked, and [eventstore.ErrUnavailable] otherwise.
func translate(ctx context.Context, operation string, err error) error {
	switch {
	case err == nil, errors.Is(err, eventstore.ErrUnavailable):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errForeign), classify(err) == refused:
		return fmt.Errorf("%s: %w", operation, err)
	}
	return fmt.Errorf("%w: %s: %w", eventstore.ErrUnavailable, operation, err)
}
