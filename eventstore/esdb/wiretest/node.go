package wiretest

import (
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	api "github.com/EventStore/EventStore-Client-Go/v4/protos/streams"

	"github.com/sentryagent/agentidp/eventstore/esdb/model"
)

// Node is one server of a cluster.
type Node struct {
	cluster *Cluster
	number  int
	model   *model.Node

	// life is held while the process of the model is started or ended together
	// with what listens for it: the model ends and restarts nodes by itself.
	life sync.Mutex

	mu          sync.Mutex // guards what follows
	server      *grpc.Server
	listeners   []net.Listener // one for each view
	connections map[net.Conn]struct{}
	woken       chan struct{} // closed when the node is woken, nil unless it is frozen
}

// maxStreams is how many requests the real server serves at once on one
// connection. More of them wait.
const maxStreams = 100

// maxMessage is the largest request that it takes.
const maxMessage = 16 << 20

// Number is which node it is, from 0.
func (n *Node) Number() int { return n.number }

// patient lets clients ask as often as the real server does whether it is alive.
var patient = keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}

// Start begins to listen, after a Stop on the same ports and with all data.
func (n *Node) Start() error {
	n.life.Lock()
	defer n.life.Unlock()
	if !n.model.Alive() {
		n.leave() // when it ended by itself just now
	}
	n.model.Start()
	return n.listen()
}

// ended follows the model, whose node has ended by itself.
func (n *Node) ended() {
	n.life.Lock()
	defer n.life.Unlock()
	if n.model.Alive() { // and has been started since
		n.DropConnections()
		return
	}
	n.leave()
}

// started follows the model, whose node has been started by itself.
func (n *Node) started() {
	n.life.Lock()
	defer n.life.Unlock()
	if n.model.Alive() {
		_ = n.listen() // its ports were free until now
	}
}

func (n *Node) listen() error {
	views := n.cluster.ways()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.server != nil {
		return nil
	}
	n.server = grpc.NewServer(grpc.KeepaliveEnforcementPolicy(patient), grpc.MaxConcurrentStreams(maxStreams), grpc.MaxRecvMsgSize(maxMessage),
		grpc.ForceServerCodecV2(newCodec()), grpc.WriteBufferSize(256<<10))
	n.connections = map[net.Conn]struct{}{}
	api.RegisterStreamsServer(n.server, &streamsService{node: n})
	gossip.RegisterGossipServer(n.server, &gossipService{node: n})
	serverfeatures.RegisterServerFeaturesServer(n.server, featuresService{node: n})
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
	n.server = nil
	n.thaw()
	return server.Stop
}

// Stop refuses connections from now on and breaks those there are, whatever
// goes on in them.
func (n *Node) Stop() {
	n.life.Lock()
	n.model.Kill()
	n.mu.Lock()
	end := n.halt()
	n.mu.Unlock()
	n.life.Unlock()
	end()
}

// refuse does what Stop does, but for waiting for the requests: it is called
// from within one.
func (n *Node) refuse() {
	n.life.Lock()
	defer n.life.Unlock()
	n.model.Kill()
	n.leave()
}

// leave breaks all connections and refuses new ones. The caller holds life.
func (n *Node) leave() {
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

// Freeze halts the node as SIGSTOP does: its connections stay, and new ones are
// made, but nothing comes back.
func (n *Node) Freeze() {
	n.mu.Lock()
	if n.woken == nil && n.server != nil {
		n.woken = make(chan struct{})
	}
	n.mu.Unlock()
	n.model.Freeze()
}

// Wake has a frozen node go on, with what came meanwhile.
func (n *Node) Wake() {
	n.model.Wake()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.thaw()
}

// Recover wakes a node and waits until it knows who leads. One that was deposed
// in its sleep answers from the past for about a second, and ends; then it is
// started again.
func (n *Node) Recover() error {
	for n.Wake(); !n.model.Learned(); time.Sleep(time.Millisecond) {
		if !n.model.Alive() {
			if err := n.Start(); err != nil {
				return err
			}
		}
	}
	return nil
}

// thaw lets the connections go on. The caller holds mu.
func (n *Node) thaw() {
	if n.woken != nil {
		close(n.woken)
		n.woken = nil
	}
}
