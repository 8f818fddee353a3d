package esdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sentryagent/agentidp/eventstore"
	_ "github.com/sentryagent/agentidp/eventstore/esdb/codec" // for the library's gRPC
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
)

// This file is all that knows the client library and what is odd about it. See
// docs/adr/0010-the-archived-client-behind-one-interface.md.

// library dials with EventStore-Client-Go.
type library struct {
	config  client.Configuration
	timeout time.Duration
}

func newLibrary(url string, timeout time.Duration) (*library, error) {
	config, err := client.ParseConnectionString(url)
	if err != nil {
		return nil, errors.New("not an EventStoreDB connection string") // err quotes it, and it may hold a password
	}
	// One attempt at discovery: a client that has failed is replaced, and how
	// long to wait is decided elsewhere. The interval is slept through in any case.
	config.MaxDiscoverAttempts, config.DiscoveryInterval = 1, 0
	// A seed that does not answer leaves time to ask another.
	config.GossipTimeout = min(config.GossipTimeout, max(1, int(timeout/(4*time.Second))))
	return &library{*config, timeout}, nil
}

// Dial implements [wire.Dialer]. Nobody else uses the client yet, so nobody else
// waits for it.
func (l *library) Dial(ctx context.Context) (wire.Conn, error) {
	c, err := newConn(l.config)
	if err != nil {
		return nil, &wire.Error{Verdict: wire.Refused, Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	version, err := call(ctx, c, func(_ context.Context, library *client.Client) (*client.ServerVersion, error) {
		return library.GetServerVersion()
	})
	if err == nil {
		err = check(version)
	}
	if err != nil {
		go c.Close()
		return nil, err
	}
	return c, nil
}

// check refuses servers that do not say when a subscription has caught up, or
// where the events of a stream are in the log.
func check(v *client.ServerVersion) error {
	const major, minor = 23, 10
	if v.Major < major || v.Major == major && v.Minor < minor {
		return &wire.Error{Verdict: wire.Refused, Err: fmt.Errorf("the server has version %d.%d, at least %d.%d is needed", v.Major, v.Minor, major, minor)}
	}
	return nil
}

// conn is one client of the library, from its first connection to the first
// that breaks. Then it is retired and a new one is made.
//
// The library would look for a node again by itself. But when it finds none it
// ends for good, and whoever is asking it for a connection just then, or
// telling it of the one that broke, is never answered. So a conn lets nobody
// ask once a connection has broken: it is retired from inside the library's log
// callback, which comes before the library itself takes notice, and which is
// held up there until those who are asking have been given one.
//
// Where the library ends all the same, after two breaks within one change of
// leader, those are given up after a while.
type conn struct {
	client *client.Client
	calls  sync.WaitGroup // those inside the client

	mu      sync.Mutex    // guards what follows; nothing is waited for under it
	asking  int           // calls that have no connection yet
	retired error         // why no more calls are let in
	dead    chan struct{} // closed when it is retired
	quiet   chan struct{} // closed when it is retired and nobody is asking
}

// grace is how long a retired conn waits for the library to give a connection to
// those who were asking for one before.
const grace = 5 * time.Second

func newConn(config client.Configuration) (*conn, error) {
	c := &conn{dead: make(chan struct{}), quiet: make(chan struct{})}
	config.Logger = c.hear
	var err error
	c.client, err = client.NewClient(&config)
	return c, err
}

// metError is what the library logs from within a call that failed, before it
// acts on the error. Its other messages come from the goroutine that makes
// connections, which must not be held up.
const metError = "unexpected exception: %v"

// hear is the library's log.
func (c *conn) hear(_ client.LogLevel, format string, args ...any) {
	if format != metError {
		return
	}
	for _, arg := range args {
		if err, ok := arg.(error); ok && status.Code(err) == codes.Unavailable {
			c.Retire(err)
			select {
			case <-c.quiet:
			case <-time.After(grace):
			}
		}
	}
}

// Done implements [wire.Conn].
func (c *conn) Done() <-chan struct{} { return c.dead }

// Err implements [wire.Conn].
func (c *conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.retired
}

// Retire implements [wire.Conn].
func (c *conn) Retire(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retired != nil {
		return
	}
	c.retired = reason
	close(c.dead)
	if c.asking == 0 {
		close(c.quiet)
	}
}

// Close implements [wire.Conn]. A call that the library never answers keeps its
// conn for ever.
func (c *conn) Close() {
	c.Retire(errClosed)
	c.calls.Wait()
	_ = c.client.Close() // never fails
}

// enter lets a call in, which asks for a connection now.
func (c *conn) enter() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retired != nil {
		return replaced(c.retired)
	}
	c.asking++
	c.calls.Add(1)
	return nil
}

// replaced is what a call meets that came too late.
func replaced(reason error) error {
	return &wire.Error{Verdict: wire.Broken, Err: fmt.Errorf("the connection is being replaced: %w", reason)}
}

// given takes note that a call has its connection, or needs none any more.
func (c *conn) given() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asking--; c.asking == 0 && c.retired != nil {
		close(c.quiet)
	}
}

// call runs f inside the client. It returns when ctx ends, or when the conn was
// retired and f has been given no connection for a while, even where the library
// does not. The leader has to answer: a follower could answer from the past. The
// library has an option for it that is never sent.
func call[T any](ctx context.Context, c *conn, f func(context.Context, *client.Client) (T, error)) (result T, err error) {
	if err := c.enter(); err != nil {
		return result, err
	}
	type answer struct {
		value T
		err   error
	}
	answered, has := make(chan answer, 1), make(chan struct{})
	go func() {
		defer c.calls.Done()
		given := sync.OnceFunc(func() {
			close(has)
			c.given()
		})
		defer given()
		value, err := f(metadata.AppendToOutgoingContext(entering{ctx, given}, "requires-leader", "true"), c.client)
		answered <- answer{value, err}
	}()
	dead, late := c.dead, (<-chan time.Time)(nil)
	for {
		select {
		case a := <-answered:
			err := judge(a.err)
			if err != nil && wire.VerdictOf(err) == wire.Broken {
				c.Retire(err)
			}
			return a.value, err
		case <-ctx.Done():
			return result, ctx.Err()
		case <-dead:
			dead, late = nil, time.After(grace)
		case <-late:
			select {
			case <-has: // it will fail or get its answer by itself
			default:
				return result, replaced(c.Err())
			}
		}
	}
}

// entering is the context of a call. The library looks at it for the first time
// when it has given the call a connection.
type entering struct {
	context.Context
	entered func()
}

func (e entering) Deadline() (time.Time, bool) {
	e.entered()
	return e.Context.Deadline()
}

func (e entering) Done() <-chan struct{} {
	e.entered()
	return e.Context.Done()
}

// patience is longer than any call may take; contexts say how long that is.
var patience = time.Hour

// Append implements [wire.Conn].
func (c *conn) Append(ctx context.Context, stream string, expected int64, events []wire.Proposal) (wire.Written, error) {
	options := client.AppendToStreamOptions{Deadline: &patience}
	switch expected {
	case wire.AnyRevision:
		options.ExpectedRevision = client.Any{}
	case wire.NoStream:
		options.ExpectedRevision = client.NoStream{}
	default:
		options.ExpectedRevision = client.Revision(uint64(expected))
	}
	proposed := make([]client.EventData, len(events))
	for i, e := range events {
		proposed[i] = client.EventData{EventID: e.ID, EventType: e.Type, ContentType: client.ContentTypeJson, Data: e.Data, Metadata: e.Metadata}
	}
	written, err := call(ctx, c, func(ctx context.Context, library *client.Client) (*client.WriteResult, error) {
		return library.AppendToStream(ctx, stream, options, proposed...)
	})
	if err != nil {
		return wire.Written{}, err
	}
	return wire.Written{
		Position: wire.Position{Commit: written.CommitPosition, Prepare: written.PreparePosition},
		Revision: int64(min(written.NextExpectedVersion, math.MaxInt64)),
	}, nil
}

// ReadStream implements [wire.Conn].
func (c *conn) ReadStream(ctx context.Context, stream string, from int64, direction eventstore.Direction, count int) ([]wire.Record, error) {
	options := client.ReadStreamOptions{Direction: directionOf(direction), From: client.Revision(uint64(max(from, 0)))}
	if from == eventstore.End {
		options.From = client.End{}
	}
	return call(ctx, c, func(ctx context.Context, library *client.Client) ([]wire.Record, error) {
		read, err := library.ReadStream(ctx, stream, options, uint64(count))
		return page(read, count, err)
	})
}

// ReadAll implements [wire.Conn].
func (c *conn) ReadAll(ctx context.Context, from wire.Position, direction eventstore.Direction, count int) ([]wire.Record, error) {
	options := client.ReadAllOptions{Direction: directionOf(direction), From: placeOf(from)}
	records, err := call(ctx, c, func(ctx context.Context, library *client.Client) ([]wire.Record, error) {
		read, err := library.ReadAll(ctx, options, uint64(count))
		return page(read, count, err)
	})
	return records, atPosition(from, err)
}

func directionOf(d eventstore.Direction) client.Direction {
	if d == eventstore.Backwards {
		return client.Backwards
	}
	return client.Forwards
}

func placeOf(p wire.Position) client.AllPosition {
	switch p {
	case wire.Start:
		return client.Start{}
	case wire.End:
		return client.End{}
	}
	return client.Position{Commit: p.Commit, Prepare: p.Prepare}
}

// page takes what a read brings. It goes on inside a call.
func page(stream *client.ReadStream, count int, err error) (records []wire.Record, _ error) {
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	records = make([]wire.Record, 0, count)
	for {
		e, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return records, nil
		}
		if err != nil {
			return nil, err
		}
		records = append(records, recordOf(e.OriginalEvent()))
	}
}

func recordOf(e *client.RecordedEvent) wire.Record {
	return wire.Record{
		ID: e.EventID, Stream: e.StreamID, Type: e.EventType, Revision: e.EventNumber,
		Position: wire.Position{Commit: e.Position.Commit, Prepare: e.Position.Prepare},
		Created:  e.CreatedDate, Data: e.Data, Metadata: e.UserMetadata,
	}
}

// searchWindow is how many events the server looks at before it says how far it
// is. The library's own is 32, which makes it slow where little passes.
const searchWindow = 1000

// followedTypes are all but the server's own, and of those the two that something is
// done to a stream with.
const followedTypes = `^([^$]|\$metadata$|\$streamDeleted$)`

// Follow implements [wire.Conn]. The library ends a subscription with the context
// that it was made with.
func (c *conn) Follow(ctx context.Context, after wire.Position, prefix string) (wire.Subscription, error) {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	made := context.AfterFunc(ctx, cancel)
	filter := &client.SubscriptionFilter{Type: client.EventFilterType, Regex: followedTypes}
	if prefix != "" {
		filter = &client.SubscriptionFilter{Type: client.StreamFilterType, Prefixes: []string{prefix, metastream + prefix}}
	}
	options := client.SubscribeToAllOptions{From: placeOf(after), Filter: filter, MaxSearchWindow: searchWindow, CheckpointInterval: 1}
	sub, err := call(life, c, func(ctx context.Context, library *client.Client) (*client.Subscription, error) {
		return library.SubscribeToAll(ctx, options)
	})
	if !made() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		cancel()
		return nil, atPosition(after, err)
	}
	go func() {
		select {
		case <-life.Done():
		case <-c.dead:
			cancel()
		}
	}()
	return &subscribed{sub, c, life, cancel}, nil
}

// subscribed is a subscription of the library, which ends for good with its conn.
type subscribed struct {
	library *client.Subscription
	conn    *conn
	life    context.Context
	cancel  context.CancelFunc
}

// Close implements [wire.Subscription].
func (s *subscribed) Close() { s.cancel() }

// Receive implements [wire.Subscription]. When the connection has broken it sees
// to its being replaced.
func (s *subscribed) Receive() (wire.Message, error) {
	for {
		e := s.library.Recv()
		switch {
		case e.EventAppeared != nil:
			return wire.Message{Kind: wire.Appeared, Record: recordOf(e.EventAppeared.OriginalEvent())}, nil
		case e.CheckPointReached != nil:
			at := e.CheckPointReached
			return wire.Message{Kind: wire.Checkpoint, Position: wire.Position{Commit: at.Commit, Prepare: at.Prepare}}, nil
		case e.CaughtUp != nil:
			return wire.Message{Kind: wire.CaughtUp}, nil
		case e.FellBehind != nil:
			return wire.Message{Kind: wire.FellBehind}, nil
		case e.SubscriptionDropped != nil:
			err := judge(e.SubscriptionDropped.Error)
			switch verdict := wire.VerdictOf(err); {
			case s.life.Err() != nil:
			case verdict == wire.Broken:
				s.conn.Retire(err)
			case verdict == wire.Passing:
				err = &wire.Error{Verdict: wire.Dropped, Err: err}
			}
			s.cancel()
			return wire.Message{}, err
		}
	}
}

// judge gives an error of the library its verdict: by the library's own codes,
// and where it has none by the gRPC status. Its text is the server's, not that
// of the code, which for some codes is only that there is none.
func judge(err error) error {
	if err == nil {
		return nil
	}
	if _, judged := errors.AsType[*wire.Error](err); judged {
		return err
	}
	e, ok := errors.AsType[*client.Error](err)
	if !ok {
		return &wire.Error{Verdict: byStatus(err), Err: err}
	}
	if e.Err() == nil {
		return &wire.Error{Verdict: byCode(e), Err: err}
	}
	return &wire.Error{Verdict: byCode(e), Err: e.Err()}
}

func byCode(e *client.Error) wire.Verdict {
	switch e.Code() {
	case client.ErrorCodeWrongExpectedVersion:
		return wire.Conflict
	case client.ErrorCodeResourceNotFound:
		// A status, not a message of the read: there is no leader to answer.
		if status.Code(e.Err()) == codes.NotFound {
			return wire.Passing
		}
		return wire.Missing
	case client.ErrorCodeStreamDeleted:
		return wire.Deleted
	case client.ErrorUnavailable, client.ErrorCodeConnectionClosed:
		return wire.Broken
	case client.ErrorCodeNotLeader: // the client goes over to the leader it was told of
		return wire.NotLeader
	case client.ErrorCodeDeadlineExceeded, client.ErrorAborted, client.ErrorCodeInternalServer:
		return wire.Passing
	case client.ErrorCodeAccessDenied, client.ErrorCodeUnauthenticated:
		return wire.Denied
	case client.ErrorCodeUnsupportedFeature, client.ErrorCodeResourceAlreadyExists, client.ErrorCodeParsing:
		return wire.Refused
	}
	return byStatus(e.Err())
}

// unauthenticated reports that the server does not know the user or its password.
func unauthenticated(err error) bool {
	if e, ok := errors.AsType[*client.Error](err); ok && e.Code() == client.ErrorCodeUnauthenticated {
		return true
	}
	return status.Code(err) == codes.Unauthenticated || strings.Contains(err.Error(), codes.Unauthenticated.String())
}

func byStatus(err error) wire.Verdict {
	switch status.Code(err) {
	case codes.InvalidArgument:
		if strings.Contains(err.Error(), "Maximum Append Size") {
			return wire.TooLarge
		}
		return wire.Refused
	case codes.ResourceExhausted:
		return wire.TooLarge
	case codes.FailedPrecondition, codes.OutOfRange:
		return wire.Refused
	case codes.PermissionDenied, codes.Unauthenticated:
		return wire.Denied
	case codes.Unavailable:
		return wire.Broken
	}
	return wire.Passing
}

// atPosition is the error of a read from a position. Servers say in different
// ways that no record begins there: 23.10 with a status that is otherwise one of
// chance, Unknown, others with refusals. Whoever takes a chance for it reads from
// another place and loses nothing.
func atPosition(from wire.Position, err error) error {
	if err == nil || from == wire.Start || from == wire.End {
		return err
	}
	e, ok := errors.AsType[*wire.Error](err)
	if !ok || e.Verdict != wire.Refused && (e.Verdict != wire.Passing || status.Code(e.Err) != codes.Unknown) {
		return err
	}
	return &wire.Error{Verdict: wire.BadPosition, Err: e.Err}
}
