package wiretest

import (
	"net"
	"sync"
)

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
	c := &connection{Conn: accepted, node: l.node, closed: make(chan struct{})}
	l.node.mu.Lock()
	defer l.node.mu.Unlock()
	l.node.connections[c] = struct{}{}
	return c, nil
}

type connection struct {
	net.Conn
	node   *Node
	closed chan struct{}
	once   sync.Once
}

// Read brings nothing to a node that is frozen: what arrives waits.
func (c *connection) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.awake()
	return n, err
}

// Write brings nothing from a node that is frozen.
func (c *connection) Write(b []byte) (int, error) {
	c.awake()
	return c.Conn.Write(b)
}

// awake waits while the node is frozen.
func (c *connection) awake() {
	c.node.mu.Lock()
	woken := c.node.woken
	c.node.mu.Unlock()
	if woken != nil {
		select {
		case <-woken:
		case <-c.closed:
		}
	}
}

func (c *connection) Close() error {
	c.once.Do(func() { close(c.closed) })
	go func() { // DropConnections holds the lock
		c.node.mu.Lock()
		defer c.node.mu.Unlock()
		delete(c.node.connections, c)
	}()
	return c.Conn.Close()
}
