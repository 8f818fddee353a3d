package esdb

import (
	"context"
	"sync"
	"time"

	client "github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// conn is one client of the library, from its first connection to the first
// that breaks. Then it is retired and a new one is made.
//
// The library would look for a node again by itself. But when it finds none it
// ends for good, and whoever is asking it for a connection just then, or
// telling it of the one that broke, is never answered. So a conn lets nobody
// ask once a connection has broken: the gate is closed from inside the
// library's log callback, which comes before the library itself takes notice.
type conn struct {
	client *client.Client
	calls  sync.WaitGroup // those inside the client

	gate    sync.RWMutex // held to read while a call gets its connection; guards retired
	retired error        // why no more calls are let in
	dead    chan struct{}
}

func newConn(config client.Configuration) (*conn, error) {
	c := &conn{dead: make(chan struct{})}
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
			c.retire(err)
		}
	}
}

// retire lets no more calls in; those inside come to their end.
func (c *conn) retire(err error) {
	c.gate.Lock()
	defer c.gate.Unlock()
	if c.retired == nil {
		c.retired = err
		close(c.dead)
	}
}

// drain waits for the calls inside and gives the connection back. A call that
// the library never answers, which takes two breaks within one change of
// leader, keeps its conn for ever.
func (c *conn) drain() {
	c.calls.Wait()
	_ = c.client.Close() // never fails
}

// call runs f inside the client. It returns when ctx ends, even where the
// library does not. The leader has to answer: a follower could answer from the past.
func call[T any](ctx context.Context, c *conn, f func(context.Context, *client.Client) (T, error)) (result T, err error) {
	c.gate.RLock()
	if c.retired != nil {
		c.gate.RUnlock()
		return result, &retiredError{c.retired}
	}
	c.calls.Add(1)
	type answer struct {
		value T
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		defer c.calls.Done()
		entered := sync.OnceFunc(c.gate.RUnlock)
		defer entered()
		value, err := f(metadata.AppendToOutgoingContext(entering{ctx, entered}, "requires-leader", "true"), c.client)
		answered <- answer{value, err}
	}()
	select {
	case a := <-answered:
		if a.err != nil && classify(a.err) == broken {
			c.retire(a.err)
		}
		return a.value, a.err
	case <-ctx.Done():
		return result, ctx.Err()
	}
}

// retiredError is what a call meets that came too late.
type retiredError struct{ reason error }

func (e *retiredError) Error() string { return "the connection is being replaced: " + e.reason.Error() }

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
