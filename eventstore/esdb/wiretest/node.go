package wiretest

import (
	"context"
	"net"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	api "github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
)

// Node is one server of a cluster.
type Node struct {
	cluster *Cluster
	number  int

	mu          sync.Mutex // guards what follows
	server      *grpc.Server
	listeners   []net.Listener // one for each view
	stop        chan struct{}  // closed when the server stops
	connections map[net.Conn]struct{}
}

// patient lets clients ask as often as the real server does whether it is alive.
var patient = keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}

// Start begins to listen, after a Stop on the same ports and with all data.
func (n *Node) Start() error {
	views := n.cluster.ways()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.server != nil {
		return nil
	}
	n.server, n.stop, n.connections = grpc.NewServer(grpc.KeepaliveEnforcementPolicy(patient)), make(chan struct{}), map[net.Conn]struct{}{}
	api.RegisterStreamsServer(n.server, &streamsService{node: n})
	gossip.RegisterGossipServer(n.server, &gossipService{node: n})
	serverfeatures.RegisterServerFeaturesServer(n.server, featuresService{})
	n.listeners = nil
	for _, v := range views {
		listener, err := net.Listen("tcp", v.listens[n.number])
		if err != nil {
			n.halt()()
			return err
		}
		n.serve(listener)
	}
	return nil
}

// serve opens one more way to a node that runs. The caller holds mu.
func (n *Node) serve(listener net.Listener) {
	listener = &listening{listener, n}
	n.listeners = append(n.listeners, listener)
	server := n.server
	go func() { _ = server.Serve(listener) }() // ends when the listener is closed
}

// halt refuses connections from now on and gives what breaks those there are.
// The caller holds mu.
func (n *Node) halt() (end func()) {
	server := n.server
	if server == nil {
		return func() {}
	}
	for _, listener := range n.listeners {
		_ = listener.Close() // the server may not know of it yet
	}
	close(n.stop)
	n.server = nil
	return server.Stop
}

// Stop refuses connections from now on and breaks those there are, whatever
// goes on in them.
func (n *Node) Stop() {
	n.mu.Lock()
	end := n.halt()
	n.mu.Unlock()
	end()
}

// refuse does what Stop does, but for waiting for the requests: it is called
// from within one.
func (n *Node) refuse() {
	n.mu.Lock()
	end := n.halt()
	n.mu.Unlock()
	n.DropConnections()
	go end()
}

// DropConnections breaks all connections; new ones are welcome.
func (n *Node) DropConnections() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for connection := range n.connections {
		_ = connection.Close()
	}
}

func (n *Node) stopping() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stop
}

func (n *Node) running() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.server != nil
}

// listening keeps track of the connections of a node.
type listening struct {
	net.Listener
	node *Node
}

func (l *listening) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &connection{accepted, l.node}
	l.node.mu.Lock()
	defer l.node.mu.Unlock()
	l.node.connections[c] = struct{}{}
	return c, nil
}

type connection struct {
	net.Conn
	node *Node
}

func (c *connection) Close() error {
	go func() { // DropConnections holds the lock
		c.node.mu.Lock()
		defer c.node.mu.Unlock()
		delete(c.node.connections, c)
	}()
	return c.Conn.Close()
}

type gossipService struct {
	gossip.UnimplementedGossipServer
	node *Node
}

func (s *gossipService) Read(ctx context.Context, _ *shared.Empty) (*gossip.ClusterInfo, error) {
	info := &gossip.ClusterInfo{}
	leader, view := s.node.cluster.Leader(), s.node.cluster.viewOf(ctx, s.node)
	for _, n := range s.node.cluster.nodes {
		host, text, err := net.SplitHostPort(view.advertises(n))
		if err != nil {
			return nil, err
		}
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return nil, err
		}
		state := gossip.MemberInfo_Follower
		switch {
		case n == leader:
			state = gossip.MemberInfo_Leader
		case leader == nil:
			state = gossip.MemberInfo_Unknown
		}
		info.Members = append(info.Members, &gossip.MemberInfo{
			TimeStamp: time.Now().Unix(), State: state, IsAlive: n.running(),
			HttpEndPoint: &gossip.EndPoint{Address: host, Port: uint32(port)},
		})
	}
	return info, nil
}

type featuresService struct {
	serverfeatures.UnimplementedServerFeaturesServer
}

func (featuresService) GetSupportedMethods(context.Context, *shared.Empty) (*serverfeatures.SupportedMethods, error) {
	const streams = "event_store.client.streams.streams"
	return &serverfeatures.SupportedMethods{
		EventStoreServerVersion: "24.10.0",
		Methods: []*serverfeatures.SupportedMethod{
			{ServiceName: streams, MethodName: "append"},
			{ServiceName: streams, MethodName: "batchappend"},
			{ServiceName: streams, MethodName: "read"},
			{ServiceName: streams, MethodName: "delete"},
			{ServiceName: streams, MethodName: "tombstone"},
		},
	}, nil
}
