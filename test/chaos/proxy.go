package chaos

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Proxy stands between one node and a service that it needs, and can cut it
// off. It is safe for concurrent use.
type Proxy struct {
	listener net.Listener
	links    sync.WaitGroup

	mu      sync.Mutex // guards what follows
	target  string
	changed chan struct{}
	way     way
	open    map[net.Conn]bool
}

// way is how a proxy treats what goes through it.
type way struct {
	silent bool          // nothing goes through and nobody is told
	shut   bool          // there is nobody
	delay  time.Duration // of every piece
	closed bool          // for good
}

// NewProxy makes a proxy of a service at host:port, on an address of loopback.
func NewProxy(ctx context.Context, target string) (*Proxy, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{target: target, listener: listener, changed: make(chan struct{}), open: map[net.Conn]bool{}}
	p.links.Go(p.accept)
	return p, nil
}

// Address is host:port to connect to.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Pass lets everything through, also what was held back.
func (p *Proxy) Pass() { p.set(way{}) }

// Drop holds everything back, as a network does that loses all packets: nobody
// is told, and what was sent arrives when it is over.
func (p *Proxy) Drop() { p.set(way{silent: true}) }

// Delay lets everything through, late.
func (p *Proxy) Delay(by time.Duration) { p.set(way{delay: by}) }

// Point has new connections go to another service, and ends those that are open:
// a name or an address that has moved.
func (p *Proxy) Point(target string) {
	p.mu.Lock()
	p.target = target
	p.mu.Unlock()
	p.hangUp()
}

// Cut ends all connections and refuses new ones.
func (p *Proxy) Cut() {
	p.set(way{shut: true})
	p.hangUp()
}

// Close ends the proxy.
func (p *Proxy) Close() {
	p.set(way{shut: true, closed: true})
	_ = p.listener.Close()
	p.hangUp()
	p.links.Wait()
}

func (p *Proxy) set(w way) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.way = w
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.open {
		_ = conn.Close()
	}
}

func (p *Proxy) now() (way, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.way, p.changed
}

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.links.Go(func() { p.link(conn) })
	}
}

// link carries one connection until either side ends it.
func (p *Proxy) link(client net.Conn) {
	if !p.keep(client) {
		return
	}
	defer p.drop(client)
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	service, err := new(net.Dialer).DialContext(context.Background(), "tcp", target)
	if err != nil || !p.keep(service) {
		return
	}
	defer p.drop(service)
	var ways sync.WaitGroup
	ways.Go(func() { p.carry(service, client) })
	ways.Go(func() { p.carry(client, service) })
	ways.Wait()
}

// keep takes a connection in, unless there is nobody.
func (p *Proxy) keep(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.way.shut {
		_ = conn.Close()
		return false
	}
	p.open[conn] = true
	return true
}

func (p *Proxy) drop(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, conn)
	_ = conn.Close()
}

// carry copies what comes from one side to the other, piece by piece.
func (p *Proxy) carry(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	const piece = 32 << 10
	buffer := make([]byte, piece)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if !p.mayPass() {
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				return
			}
			p.mayPass() // the end of a connection is news as well
			return
		}
	}
}

// mayPass waits for as long as nothing goes through, and is false when the
// connection is cut.
func (p *Proxy) mayPass() bool {
	for {
		w, changed := p.now()
		switch {
		case w.shut:
			return false
		case w.silent:
			<-changed
		default:
			time.Sleep(w.delay)
			return true
		}
	}
}
