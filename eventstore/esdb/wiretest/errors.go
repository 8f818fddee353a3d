package wiretest

import (
	"context"
	"errors"
	"net"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
)

// What the server refuses before the model sees it.
var (
	errMetadata = &model.Refusal{Code: model.InvalidArgument, Message: "Required Metadata Property 'type' or 'content-type' is missing",
		Trailers: []string{"exception", "missing-required-metadata-property"}}
	errRequest  = &model.Refusal{Code: model.InvalidArgument, Message: "a required option is missing"}
	errGUID     = &model.Refusal{Code: model.Unknown, Message: "Unrecognized Guid format."}
	errStopping = status.Error(codes.Unavailable, "the server is stopping")
)

// told turns an error into what goes over the wire. A follower names the leader
// by the address that it has in the view by which the request came.
func (n *Node) told(ctx context.Context, err error) error {
	var r *model.Refusal
	if !errors.As(err, &r) {
		return err
	}
	trailers := r.Trailers
	if r.Leader != nil {
		host, port, err := net.SplitHostPort(n.cluster.viewOf(ctx, n).advertises(n.cluster.nodes[r.Leader.Number()]))
		if err != nil {
			return err
		}
		trailers = append(slices.Clone(trailers), "leader-endpoint-host", host, "leader-endpoint-port", port)
	}
	if len(trailers) > 0 {
		if err := grpc.SetTrailer(ctx, metadata.Pairs(trailers...)); err != nil {
			return err
		}
	}
	return status.Error(codes.Code(r.Code), r.Message)
}
