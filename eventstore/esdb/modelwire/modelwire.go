// Package modelwire puts the engine on the model of the server, without a
// network and without the client library: it is [wire.Dialer] on
// [model.Cluster]. It finds the leader, follows hints to it and breaks as the
// library does.
package modelwire

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/eventstore/esdb/model"
	"github.com/sentryagent/agentidp/eventstore/esdb/wire"
)

// Dialer dials the nodes of a cluster. The zero value of all but Cluster is good.
type Dialer struct {
	Cluster *model.Cluster
	// Seed is what the order in which nodes are asked who leads follows from, and
	// from the time, so that it does not matter who asks first. 0: in order.
	Seed uint64
	// Called hears of every call, before it is made: "append", "stream", "all",
	// "follow" and "dial".
	Called func(call string)
}

// silence is how long a node may be silent before another one is asked.
const silence = time.Second

func (d *Dialer) called(call string) {
	if d.Called != nil {
		d.Called(call)
	}
}

// Dial implements [wire.Dialer]. A node that knows the leader is enough, and the
// leader that it knows has to answer.
func (d *Dialer) Dial(ctx context.Context) (wire.Conn, error) {
	d.called("dial")
	err := error(&wire.Error{Verdict: wire.Broken, Err: errors.New("no node answers")})
	for _, n := range d.order() {
		members, asked := d.ask(ctx, d.Cluster.Node(n))
		if asked != nil {
			err = asked
			continue
		}
		for _, m := range members {
			if m.State != model.Leader || !m.Alive {
				continue
			}
			if _, err = d.ask(ctx, m.Node); err == nil {
				return &conn{dialer: d, node: m.Node, done: make(chan struct{})}, nil
			}
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, err
}

func (d *Dialer) ask(ctx context.Context, n *model.Node) ([]model.Member, error) {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	members, err := n.Gossip(model.From(ctx, d.Seed))
	return members, judge(err)
}

func (d *Dialer) order() []int {
	if d.Seed != 0 {
		return rand.New(rand.NewPCG(d.Seed, uint64(time.Now().UnixNano()))).Perm(d.Cluster.Nodes())
	}
	order := make([]int, d.Cluster.Nodes())
	for i := range order {
		order[i] = i
	}
	return order
}

// conn is a connection to one node, or to the one that it names as the leader.
type conn struct {
	dialer *Dialer
	calls  sync.WaitGroup

	mu   sync.Mutex // guards what follows
	node *model.Node
	err  error
	done chan struct{}
}

func (c *conn) Done() <-chan struct{} { return c.done }

func (c *conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *conn) Retire(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = reason
		close(c.done)
	}
}

func (c *conn) Close() {
	c.Retire(errors.New("closed"))
	c.calls.Wait()
}

// enter lets a call in.
func (c *conn) enter(call string) (*model.Node, error) {
	c.dialer.called(call)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, &wire.Error{Verdict: wire.Broken, Err: c.err}
	}
	c.calls.Add(1)
	return c.node, nil
}

// from says who asks, and for what.
func (c *conn) from(ctx context.Context, what uint64) context.Context {
	return model.From(ctx, c.dialer.Seed^what<<32)
}

// leave judges the error of a call, and acts on it as the library does.
func (c *conn) leave(n *model.Node, err error) error {
	defer c.calls.Done()
	err = judge(err)
	if refusal, ok := errors.AsType[*model.Refusal](err); ok && refusal.Leader != nil {
		c.mu.Lock()
		if c.node == n {
			c.node = refusal.Leader
		}
		c.mu.Unlock()
	}
	if wire.VerdictOf(err) == wire.Broken && err != nil {
		c.Retire(err)
	}
	return err
}

func (c *conn) Append(ctx context.Context, stream string, expected int64, events []wire.Proposal) (wire.Written, error) {
	n, err := c.enter("append")
	if err != nil {
		return wire.Written{}, err
	}
	proposed := make([]model.Proposed, len(events))
	for i, e := range events {
		proposed[i] = model.Proposed{ID: model.ID(e.ID), Type: e.Type, ContentType: "application/json", Data: e.Data, Metadata: e.Metadata}
	}
	appended, err := n.Append(c.from(ctx, binary.BigEndian.Uint64(events[0].ID[8:])), true, stream, expected, proposed)
	if err == nil && appended.Wrong {
		err = &wire.Error{Verdict: wire.Conflict, Err: errors.New("the stream is at another revision")}
	}
	return wire.Written{Position: wire.At(appended.Position), Revision: appended.Current}, c.leave(n, err)
}

func (c *conn) ReadStream(ctx context.Context, stream string, from int64, direction eventstore.Direction, count int) ([]wire.Record, error) {
	n, err := c.enter("stream")
	if err != nil {
		return nil, err
	}
	page, found, err := n.ReadStream(c.from(ctx, uint64(from)), true, stream, from, direction == eventstore.Backwards, uint64(count))
	if err == nil && !found {
		err = &wire.Error{Verdict: wire.Missing, Err: errors.New("there is no such stream")}
	}
	return recordsOf(page), c.leave(n, err)
}

func (c *conn) ReadAll(ctx context.Context, from wire.Position, direction eventstore.Direction, count int) ([]wire.Record, error) {
	n, err := c.enter("all")
	if err != nil {
		return nil, err
	}
	page, err := n.ReadAll(c.from(ctx, from.Commit+uint64(count)), true, model.Position(from), direction == eventstore.Backwards, uint64(count), nil)
	return recordsOf(page), atPosition(from, c.leave(n, err))
}

// Follow filters and counts as the library is told to.
func (c *conn) Follow(ctx context.Context, after wire.Position, prefix string) (wire.Subscription, error) {
	n, err := c.enter("follow")
	if err != nil {
		return nil, err
	}
	filter := &model.Filter{Prefixes: []string{prefix, "$$" + prefix}}
	if prefix == "" {
		filter = &model.Filter{ByType: true, Regex: `^([^$]|\$metadata$|\$streamDeleted$)`}
	}
	sub, err := n.Subscribe(c.from(ctx, after.Commit), true, model.Position(after), filter, model.Window{Events: 1000, Times: 1})
	if err := atPosition(after, c.leave(n, err)); err != nil {
		return nil, err
	}
	s := &subscription{conn: c, sub: sub}
	s.life, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		select {
		case <-s.life.Done():
		case <-c.done:
			s.cancel()
		}
	}()
	return s, nil
}

type subscription struct {
	conn   *conn
	sub    *model.Subscription
	life   context.Context
	cancel context.CancelFunc
}

func (s *subscription) Close() { s.cancel() }

func (s *subscription) Receive() (wire.Message, error) {
	m, err := s.sub.Receive(s.life)
	if err != nil {
		err = judge(err)
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
	switch m.Kind {
	case model.EventAppeared:
		return wire.Message{Kind: wire.Appeared, Record: recordOf(m.Event)}, nil
	case model.CheckpointReached:
		return wire.Message{Kind: wire.Checkpoint, Position: wire.Position(m.Position)}, nil
	case model.FellBehind:
		return wire.Message{Kind: wire.FellBehind}, nil
	}
	return wire.Message{Kind: wire.CaughtUp}, nil
}

func recordsOf(page []*model.Record) []wire.Record {
	records := make([]wire.Record, len(page))
	for i, r := range page {
		records[i] = recordOf(r)
	}
	return records
}

func recordOf(r *model.Record) wire.Record {
	return wire.Record{
		ID: [16]byte(r.ID), Stream: r.Stream, Type: r.Type, Revision: uint64(r.Revision), Position: wire.At(r.Position),
		Created: r.Created, Data: r.Data, Metadata: r.Metadata,
	}
}

func judge(err error) error {
	refusal, ok := errors.AsType[*model.Refusal](err)
	if !ok {
		return err
	}
	verdict := wire.Passing
	switch refusal.Code {
	case model.Unavailable:
		verdict = wire.Broken
	case model.InvalidArgument, model.FailedPrecondition:
		verdict = wire.Refused
	}
	for _, trailer := range refusal.Trailers {
		switch trailer {
		case "not-leader":
			verdict = wire.NotLeader
		case "stream-deleted":
			verdict = wire.Deleted
		case "maximum-append-size-exceeded":
			verdict = wire.TooLarge
		}
	}
	return &wire.Error{Verdict: verdict, Err: err}
}

func atPosition(from wire.Position, err error) error {
	if err == nil || from == wire.Start || from == wire.End {
		return err
	}
	verdict := wire.VerdictOf(err)
	if refusal, ok := errors.AsType[*model.Refusal](err); ok && (verdict == wire.Refused || verdict == wire.Passing && refusal.Code == model.Unknown) {
		return &wire.Error{Verdict: wire.BadPosition, Err: err}
	}
	return err
}
