package wiretest_test

import (
	"errors"
	"strings"
	"testing"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	api "github.com/EventStore/EventStore-Client-Go/v4/protos/streams"

	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
)

func open(t *testing.T, nodes int) (*wiretest.Cluster, *client.Client) {
	t.Helper()
	cluster := wiretest.Start(t, nodes)
	library, err := cluster.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = library.Close() })
	return cluster, library
}

func event(size int) client.EventData {
	return client.EventData{EventID: uuid.New(), EventType: "a.x", Data: []byte(strings.Repeat("x", size))}
}

func codeOf(err error) client.ErrorCode {
	var e *client.Error
	errors.As(err, &e)
	return e.Code()
}

func TestAppendsAreHeldToTheirRevision(t *testing.T) {
	t.Parallel()
	_, library := open(t, 1)
	one, two := event(1), event(1)
	for i, c := range []struct {
		expected client.ExpectedRevision
		events   []client.EventData
		next     uint64
		refused  bool
	}{
		{client.Revision(0), []client.EventData{event(1)}, 0, true},
		{client.StreamExists{}, []client.EventData{event(1)}, 0, true},
		{client.NoStream{}, []client.EventData{one, two}, 1, false},
		{client.NoStream{}, []client.EventData{event(1)}, 0, true},
		{client.NoStream{}, []client.EventData{one, two}, 1, false}, // the same again
		{client.NoStream{}, []client.EventData{one}, 0, false},
		{client.Any{}, []client.EventData{two}, 1, false},
		{client.NoStream{}, []client.EventData{two, one}, 0, true},
		{client.NoStream{}, []client.EventData{one, two, event(1)}, 0, true},
		{client.Revision(1), []client.EventData{event(1)}, 2, false},
		{client.Revision(1), []client.EventData{event(1)}, 0, true},
		{client.Revision(7), []client.EventData{event(1)}, 0, true},
	} {
		result, err := library.AppendToStream(t.Context(), "s", client.AppendToStreamOptions{ExpectedRevision: c.expected}, c.events...)
		if c.refused {
			if err == nil || codeOf(err) != client.ErrorCodeWrongExpectedVersion {
				t.Errorf("append %d: %v, want a wrong revision", i, err)
			}
		} else if err != nil || result.NextExpectedVersion != c.next {
			t.Errorf("append %d: %+v, %v, want revision %d", i, result, err, c.next)
		}
	}
}

func TestWhatTheRealServerRefuses(t *testing.T) {
	t.Parallel()
	_, library := open(t, 1)
	if _, err := library.AppendToStream(t.Context(), "s", client.AppendToStreamOptions{}, event(1<<20+1)); err == nil {
		t.Error("an append of more than one MiB was taken")
	}
	stream, err := library.ReadStream(t.Context(), "unknown", client.ReadStreamOptions{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); codeOf(err) != client.ErrorCodeResourceNotFound {
		t.Errorf("read of an unknown stream: %v, want not found", err)
	}
}

func TestDeletedStreamsGoOnTombstonedOnesDoNot(t *testing.T) {
	t.Parallel()
	_, library := open(t, 1)
	add := func() (*client.WriteResult, error) {
		return library.AppendToStream(t.Context(), "s", client.AppendToStreamOptions{}, event(1))
	}
	if _, err := add(); err != nil {
		t.Fatal(err)
	}
	if _, err := library.DeleteStream(t.Context(), "s", client.DeleteStreamOptions{}); err != nil {
		t.Fatal(err)
	}
	if result, err := add(); err != nil || result.NextExpectedVersion != 1 {
		t.Errorf("append after a delete: %+v, %v, want revision 1", result, err)
	}
	if _, err := library.TombstoneStream(t.Context(), "s", client.TombstoneStreamOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := add(); codeOf(err) != client.ErrorCodeStreamDeleted {
		t.Errorf("append after a tombstone: %v, want stream deleted", err)
	}
}

func TestAFollowerNamesTheLeader(t *testing.T) {
	t.Parallel()
	cluster, library := open(t, 2)
	insisting := metadata.AppendToOutgoingContext(t.Context(), "requires-leader", "true")
	if _, err := library.AppendToStream(insisting, "s", client.AppendToStreamOptions{}, event(1)); err != nil {
		t.Fatal(err)
	}
	cluster.Lead(cluster.Node(1))
	if _, err := library.AppendToStream(insisting, "s", client.AppendToStreamOptions{}, event(1)); codeOf(err) != client.ErrorCodeNotLeader {
		t.Errorf("append to a follower: %v, want not leader", err)
	}
	if _, err := library.AppendToStream(insisting, "s", client.AppendToStreamOptions{}, event(1)); err != nil {
		t.Errorf("append after the hint: %v", err)
	}
}

func TestBatchAppend(t *testing.T) {
	t.Parallel()
	cluster, _ := open(t, 1)
	address := strings.TrimSuffix(strings.TrimPrefix(cluster.URL(), "esdb://"), "?tls=false")
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	stream, err := api.NewStreamsClient(connection).BatchAppend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	send := func(correlation string, final bool) {
		t.Helper()
		err := stream.Send(&api.BatchAppendReq{
			CorrelationId: &shared.UUID{Value: &shared.UUID_String_{String_: correlation}},
			Options: &api.BatchAppendReq_Options{
				StreamIdentifier:       &shared.StreamIdentifier{StreamName: []byte("s")},
				ExpectedStreamPosition: &api.BatchAppendReq_Options_NoStream{NoStream: &emptypb.Empty{}},
			},
			ProposedMessages: []*api.BatchAppendReq_ProposedMessage{{
				Id:       &shared.UUID{Value: &shared.UUID_String_{String_: uuid.NewString()}},
				Metadata: map[string]string{"type": "a.x", "content-type": "application/json"},
			}},
			IsFinal: final,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	send("one", false)
	send("two", false)
	send("one", true)
	if answer, err := stream.Recv(); err != nil || answer.GetSuccess().GetCurrentRevision() != 1 {
		t.Errorf("the first batch: %v, %v, want revision 1", answer, err)
	}
	send("two", true)
	if answer, err := stream.Recv(); err != nil || answer.GetError() == nil {
		t.Errorf("the second batch: %v, %v, want a wrong revision", answer, err)
	}
	if got := cluster.Events(); got != 2 {
		t.Errorf("%d events, want 2", got)
	}
}
