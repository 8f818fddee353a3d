package wiretest

import (
	"context"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc/peer"
)

// View is a way to the nodes of a cluster with addresses of its own: who comes
// this way is told these in gossip and as the leader's. A real node has it in
// its settings what it is advertised as.
type View struct {
	listens    []string                 // by node; kept over restarts
	advertised atomic.Pointer[[]string] // by node; a stray client may ask at any time
}

// NewView opens a way, while all nodes run. It advertises where it listens.
func (c *Cluster) NewView() (*View, error) {
	v := &View{}
	for _, n := range c.nodes {
		n.mu.Lock()
		listener, err := listenAnywhere()
		if err == nil {
			n.serve(listener)
			v.listens = append(v.listens, listener.Addr().String())
		}
		n.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
	v.Advertise(v.listens)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.views = append(c.views, v)
	return v, nil
}

// listenAnywhere takes a port below those that outgoing connections get: while
// its node is stopped, who dials it must not be given that very port and
// connect to itself.
func listenAnywhere() (listener net.Listener, err error) {
	const first, last, attempts = 15000, 32767, 100
	for range attempts {
		listener, err = net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(first+rand.IntN(last-first+1)))
		if err == nil {
			break
		}
	}
	return listener, err
}

// Addresses are where the nodes listen, in order.
func (v *View) Addresses() []string { return v.listens }

// Advertise has clients told other addresses of the nodes, in order: those of
// proxies. Call it before there are any.
func (v *View) Advertise(addresses []string) { v.advertised.Store(&addresses) }

// URL is the connection string of whoever is to come this way.
func (v *View) URL() string {
	return "esdb://" + strings.Join(*v.advertised.Load(), ",") + "?tls=false"
}

func (v *View) advertises(n *Node) string { return (*v.advertised.Load())[n.number] }

func (c *Cluster) ways() []*View {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.views)
}

// viewOf is the view that a request has come by.
func (c *Cluster) viewOf(ctx context.Context, n *Node) *View {
	views := c.ways()
	if from, ok := peer.FromContext(ctx); ok {
		for _, v := range views {
			if v.listens[n.number] == from.LocalAddr.String() {
				return v
			}
		}
	}
	return views[0]
}
