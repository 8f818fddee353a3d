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
			c.retire(err)
			select {
			case <-c.quiet:
			case <-time.After(grace):
			}
		}
	}
}

// retire lets no more calls in; those inside come to their end.
func (c *conn) retire(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retired != nil {
		return
	}
	c.retired = err
	close(c.dead)
	if c.asking == 0 {
		close(c.quiet)
	}
}

// enter lets a call in, which asks for a connection now.
func (c *conn) enter() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retired != nil {
		return &retiredError{c.retired}
	}
	c.asking++
	c.calls.Add(1)
	return nil
}

// given takes note that a call has its connection, or needs none any more.
func (c *conn) given() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asking--; c.asking == 0 && c.retired != nil {
		close(c.quiet)
	}
}

// drain waits for the calls inside and gives the connection back. A call that
// the library never answers keeps its conn for ever.
func (c *conn) drain() {
	c.calls.Wait()
	_ = c.client.Close() // never fails
}

// call runs f inside the client. It returns when ctx ends, or when the conn was
// retired and f has been given no connection for a while, even where the library
// does not. The leader has to answer: a follower could answer from the past.
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
			if a.err != nil && classify(a.err) == broken {
				c.retire(a.err)
			}
			return a.value, a.err
		case <-ctx.Done():
			return result, ctx.Err()
		case <-dead:
			dead, late = nil, time.After(grace)
		case <-late:
			select {
			case <-has: // it will fail or get its answer by itself
			default:
				return result, &retiredError{c.retired}
			}
		}
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
