package esdb

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/sentryagent/agentidp/eventstore"
)

// Bounds of the first look at the ledger's end, which in any case goes on to
// the newest event.
const (
	seedEvents = tailEvents / 4
	seedPages  = 64
	pageOfAll  = 512
)

// seed reads the end of the ledger.
func (s *Store) seed(ctx context.Context, c *conn) error {
	var from client.AllPosition = client.End{}
	var events []eventstore.Event // newest first
	var looked, oldest client.Position
	for n := 1; ; n++ {
		page, err := readAllBackwards(ctx, c, from, pageOfAll)
		if err != nil {
			return err
		}
		for _, r := range page {
			if looked.Commit == 0 {
				looked = r.Position
			}
			if e, ok := s.event(r); ok {
				events = append(events, e)
			}
		}
		if oldest = (client.Position{}); len(page) < pageOfAll {
			break
		}
		oldest = page[len(page)-1].Position
		from = oldest
		if len(events) >= seedEvents || len(events) > 0 && n >= seedPages {
			break
		}
	}
	slices.Reverse(events)
	low, since := eventstore.Position(oldest.Commit), time.Time{}
	if low > 0 {
		since = time.Now()
	}
	if len(events) > 0 && low > 0 {
		since = events[0].RecordedAt
		if events[0].Position == low {
			events = events[1:]
		}
	}
	s.tail.begin(events, low, looked)
	s.index.seed(since)
	s.index.add(events...)
	return nil
}

// readAllBackwards reads events of the server, before a position or from its end.
func readAllBackwards(ctx context.Context, c *conn, from client.AllPosition, count int) ([]*client.RecordedEvent, error) {
	return call(ctx, c, func(ctx context.Context, library *client.Client) ([]*client.RecordedEvent, error) {
		stream, err := library.ReadAll(ctx, client.ReadAllOptions{Direction: client.Backwards, From: from}, uint64(count))
		return receive(stream, err)
	})
}

// receive takes what a read brings. It goes on inside a call.
func receive(stream *client.ReadStream, err error) (events []*client.RecordedEvent, _ error) {
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	for {
		e, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return nil, err
		}
		events = append(events, e.OriginalEvent())
	}
}
