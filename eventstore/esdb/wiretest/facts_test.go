package wiretest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	api "github.com/EventStore/EventStore-Client-Go/v4/protos/streams"

	"github.com/sentryagent/agentidp/eventstore/esdb/wiretest"
	"github.com/sentryagent/agentidp/internal/realstore"
)

// fact is one thing that is true of a real server.
type fact struct {
	name string
	is   func(s *server)
}

// ask holds the wire server as each version, and with ESDB_URL a real one, to
// facts.
func ask(t *testing.T, facts []fact) {
	t.Helper()
	t.Parallel()
	urls := map[string]func(t *testing.T) string{}
	for _, version := range []string{"23.10", "24.10", "25.1"} {
		urls["wire "+version] = func(t *testing.T) string { return wiretest.Start(t, 1, wiretest.Version(version)).URL() }
	}
	if url := realstore.URL(t); url != "" {
		urls["real"] = func(*testing.T) string { return url }
	}
	for name, url := range urls {
		t.Run(name, func(t *testing.T) {
			connection := url(t)
			for _, f := range facts {
				t.Run(f.name, func(t *testing.T) { f.is(connect(t, connection)) })
			}
		})
	}
}

// connect finds the leader among the seeds of a connection string.
func connect(t *testing.T, url string) *server {
	t.Helper()
	real, err := realstore.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	ctx := real.As(metadata.AppendToOutgoingContext(t.Context(), "requires-leader", "true"))
	for _, seed := range real.Seeds() {
		connection, err := real.Dial(seed, grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(32<<20)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
		s := over(t, connection, ctx)
		if _, err = s.append("probe", noStream, one()); err == nil {
			return s
		}
		t.Logf("%s: %v", seed, err)
	}
	t.Fatal("no seed is the leader")
	return nil
}

// since reports that the server is of a version or newer.
func (s *server) since(major, minor int) bool {
	s.Helper()
	features, err := serverfeatures.NewServerFeaturesClient(s.connection).GetSupportedMethods(s.ctx, &shared.Empty{})
	if err != nil {
		s.Fatal(err)
	}
	var has [2]int
	if _, err := fmt.Sscanf(features.GetEventStoreServerVersion(), "%d.%d", &has[0], &has[1]); err != nil {
		s.Fatalf("version %q: %v", features.GetEventStoreServerVersion(), err)
	}
	return has[0] > major || has[0] == major && has[1] >= minor
}

func over(t *testing.T, connection *grpc.ClientConn, ctx context.Context) *server {
	return &server{t, api.NewStreamsClient(connection), ctx, connection, realstore.Name() + "-"}
}

// dial is a way to one node of the wire server.
func dial(t *testing.T, address string) *server {
	t.Helper()
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: time.Millisecond, MaxDelay: 20 * time.Millisecond}, MinConnectTimeout: 10 * time.Second,
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	ctx := metadata.AppendToOutgoingContext(t.Context(), "requires-leader", "true")
	return over(t, connection, ctx)
}
