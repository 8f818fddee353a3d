package realstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	api "github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
)

// Look asks the server for its version, and refuses one that has a stream whose
// name begins with any of some prefixes.
func (s Server) Look(ctx context.Context, prefixes ...string) (version string, err error) {
	err = errors.New("the connection string names no node")
	for _, seed := range s.Seeds() {
		if version, err = s.lookAt(ctx, seed, prefixes); err == nil || errors.Is(err, errTaken) {
			break
		}
		err = fmt.Errorf("%s: %w", seed, err)
	}
	return version, err
}

var errTaken = errors.New("the server has streams of that name")

func (s Server) lookAt(ctx context.Context, address string, prefixes []string) (version string, err error) {
	connection, err := s.Dial(address)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	ctx = s.As(ctx)
	soon, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	features, err := serverfeatures.NewServerFeaturesClient(connection).GetSupportedMethods(soon, &shared.Empty{})
	if err != nil {
		return "", err
	}
	ctx, cancel = context.WithCancel(ctx) // any node will do
	defer cancel()
	call, err := api.NewStreamsClient(connection).Read(ctx, &api.ReadReq{Options: anyOf(prefixes)})
	if err != nil {
		return "", err
	}
	for {
		m, err := call.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return features.GetEventStoreServerVersion(), nil
		case err != nil:
			return "", fmt.Errorf("read $all, which the user has to be allowed: %w", err)
		case m.GetEvent() != nil:
			return "", fmt.Errorf("%w: %s", errTaken, m.GetEvent().GetEvent().GetStreamIdentifier().GetStreamName())
		}
	}
}

// anyOf is a read of the first event whose stream begins with any of some prefixes.
func anyOf(prefixes []string) *api.ReadReq_Options {
	return &api.ReadReq_Options{
		StreamOption: &api.ReadReq_Options_All{All: &api.ReadReq_Options_AllOptions{
			AllOption: &api.ReadReq_Options_AllOptions_Start{Start: &shared.Empty{}},
		}},
		CountOption: &api.ReadReq_Options_Count{Count: 1},
		UuidOption:  &api.ReadReq_Options_UUIDOption{Content: &api.ReadReq_Options_UUIDOption_String_{String_: &shared.Empty{}}},
		FilterOption: &api.ReadReq_Options_Filter{Filter: &api.ReadReq_Options_FilterOptions{
			Filter: &api.ReadReq_Options_FilterOptions_StreamIdentifier{
				StreamIdentifier: &api.ReadReq_Options_FilterOptions_Expression{Prefix: prefixes},
			},
			Window:                       &api.ReadReq_Options_FilterOptions_Max{Max: 1000},
			CheckpointIntervalMultiplier: 1000,
		}},
	}
}
