package server

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/api/health"
	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb"
)

// startingAfter is how long a start takes before somebody answers that it does. Most
// are over by then, and whoever connects meanwhile is refused as before.
const startingAfter = 2 * time.Second

// door answers on the API's port while a server starts, when that takes long, and
// hands the port over.
type door struct {
	mu       sync.Mutex // guards what follows
	opening  *time.Timer
	closed   bool
	listener net.Listener // nil until it opens
	server   *http.Server
	served   chan struct{} // closed when server has stopped
}

// openDoor begins to wait. A port that is taken is told of when the server itself
// wants it.
func openDoor(ctx context.Context, f frame, s *storage) *door {
	d := &door{}
	d.opening = time.AfterFunc(startingAfter, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.closed {
			return
		}
		listener, err := listen(ctx, f.config.ListenHost, f.config.Port)
		if err != nil {
			return
		}
		starting := health.Starting{
			Version: f.version, Database: s.pool.Ping, EventStore: reached(s.store, f.config), Progress: s.reading,
			Redis: func(ctx context.Context) error { return s.redis.Ping(ctx).Err() },
		}
		d.listener, d.served = listener, make(chan struct{})
		d.server = httpServer(starting, f.config.IdleTimeout, f.logger)
		d.server.SetKeepAlivesEnabled(false)
		f.logger.InfoContext(ctx, "starting takes long; /health tells how far it is", "address", listener.Addr().String())
		go func() {
			defer close(d.served)
			_ = d.server.Serve(lasting{listener}) // until it is handed over
		}()
	})
	return d
}

// handOver stops answering and gives the port, nil where it was never opened.
func (d *door) handOver() net.Listener {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opening.Stop()
	d.closed = true
	if d.listener == nil {
		return nil
	}
	listener := d.listener
	d.listener = nil
	tcp, can := listener.(*net.TCPListener)
	if can {
		_ = tcp.SetDeadline(time.Unix(1, 0)) // ends the waiting for the next connection
	}
	_ = d.server.Close() // waits for that, and ends what it has accepted
	<-d.served
	if can {
		_ = tcp.SetDeadline(time.Time{})
	}
	return listener
}

// lasting is a listener that outlives its server.
type lasting struct{ net.Listener }

func (lasting) Close() error { return nil }

// reading is what is read of an EventStoreDB.
func (s *storage) reading() (what string, position, end eventstore.Position) {
	if server, own := s.store.(*esdb.Store); own {
		return server.Reading()
	}
	return "", 0, 0
}
