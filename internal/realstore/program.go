package realstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Program hurts the nodes of a server. Whoever runs the server has written it:
//
//	PROGRAM nodes        prints a line for each node: its name, and its address as the cluster's gossip has it
//	PROGRAM freeze NAME  halts the node's process; its connections stay
//	PROGRAM wake NAME    has it go on; nothing to do where it is not frozen
//	PROGRAM kill NAME    ends the process at once, also one that is frozen
//	PROGRAM start NAME   starts it with all the data that it had; nothing to do where it runs
//	PROGRAM resign       asks whichever node leads to let another lead
//
// Each ends when it is done, with the exit code 0 or words on stderr. See
// docs/guides/qualify-eventstoredb.md.
type Program struct {
	path   string
	server Server
	nodes  []Node
}

// Node is one node, by the name that the program has for it.
type Node struct{ Name, Address string }

// programPatience is how long the program may take.
const programPatience = time.Minute

// Faults is the program that STORE_FAULTS names, nil where it names none.
func Faults(tb testing.TB) *Program {
	tb.Helper()
	path := os.Getenv(FaultsSetting)
	if path == "" {
		return nil
	}
	p, err := NewProgram(tb.Context(), path, URL(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// NewProgram asks a program which nodes there are.
func NewProgram(ctx context.Context, path, url string) (*Program, error) {
	server, err := Parse(url)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", URLSetting, err)
	}
	p := &Program{path: path, server: server}
	out, err := p.run(ctx, "nodes")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) != 2 {
			return nil, fmt.Errorf("%s nodes: %q is no name with an address, such as \"1 127.0.0.1:2113\"", path, strings.TrimSpace(line))
		}
		p.nodes = append(p.nodes, Node{fields[0], fields[1]})
	}
	if len(p.nodes) == 0 {
		return nil, fmt.Errorf("%s nodes: it printed nothing", path)
	}
	return p, nil
}

// Nodes are those there are.
func (p *Program) Nodes() []Node { return p.nodes }

func (p *Program) Freeze(n Node) error { return p.do("freeze", n.Name) }
func (p *Program) Wake(n Node) error   { return p.do("wake", n.Name) }
func (p *Program) Kill(n Node) error   { return p.do("kill", n.Name) }
func (p *Program) Start(n Node) error  { return p.do("start", n.Name) }
func (p *Program) Resign() error       { return p.do("resign") }

// Heal wakes and starts every node, whatever was done to it.
func (p *Program) Heal() (err error) {
	for _, n := range p.nodes {
		err = errors.Join(err, p.Wake(n), p.Start(n))
	}
	return err
}

// do is not cut off with a test: what was hurt has to be healed.
func (p *Program) do(arguments ...string) error {
	_, err := p.run(context.Background(), arguments...)
	return err
}

func (p *Program) run(ctx context.Context, arguments ...string) (stdout string, err error) {
	ctx, cancel := context.WithTimeout(ctx, programPatience)
	defer cancel()
	var out, said bytes.Buffer
	command := exec.CommandContext(ctx, p.path, arguments...)
	command.Stdout, command.Stderr = &out, &said
	command.WaitDelay = time.Second // a node that it started may have kept its output
	if err := command.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return "", fmt.Errorf("%s=%s %s: %w: %s", FaultsSetting, p.path, strings.Join(arguments, " "), err, strings.TrimSpace(said.String()))
	}
	return out.String(), nil
}

// Leader is the node that leads and answers; false while none does.
func (p *Program) Leader(ctx context.Context) (leader Node, found bool) {
	for _, n := range p.nodes {
		asked, cancel := context.WithTimeout(ctx, time.Second)
		leads, err := p.server.leads(asked, n.Address)
		cancel()
		if err == nil && leads == n.Address {
			return n, true
		}
	}
	return Node{}, false
}

// AwaitLeader waits for a node that leads, other than one.
func (p *Program) AwaitLeader(ctx context.Context, not Node) (Node, error) {
	for {
		if leader, found := p.Leader(ctx); found && leader != not {
			return leader, nil
		}
		select {
		case <-ctx.Done():
			return Node{}, fmt.Errorf("no other node leads: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
