package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Options are what a [Workload] is made of.
type Options struct {
	Seed     uint64
	Nodes    []string // base URLs
	Clients  int
	Operator [2]string // client id and secret of the platform operator
	// Patience is how long a client waits for one answer.
	Patience time.Duration
	// Think is the longest pause of a client between two operations.
	Think time.Duration
}

// Workload is many clients of one cluster, and what they share.
type Workload struct {
	options   Options
	recording *Recording
	http      *http.Client

	mu            sync.Mutex // guards what follows, and the lists in it
	organizations []*organization
	operator      string // an access token
	names         int
}

// NewWorkload makes the clients; what they do is in the recording.
func NewWorkload(o Options, r *Recording) *Workload {
	transport := &http.Transport{MaxIdleConnsPerHost: o.Clients, MaxConnsPerHost: 2 * o.Clients}
	return &Workload{options: o, recording: r, http: &http.Client{Transport: transport}}
}

// Close gives back what the clients hold.
func (w *Workload) Close() { w.http.CloseIdleConnections() }

// client is one of them, and what it may do.
type client struct {
	*caller
	*Workload
}

func (w *Workload) client(n int) *client {
	return &client{Workload: w, caller: &caller{
		nodes: w.options.Nodes, http: w.http, patience: w.options.Patience, record: w.recording,
		rng: rand.New(rand.NewPCG(w.options.Seed, uint64(1000+n))), name: fmt.Sprintf("chaos-%d", n),
	}}
}

// Prepare gets the operator's token and makes some organizations and agents.
// Nothing may be going wrong meanwhile.
func (w *Workload) Prepare(ctx context.Context, organizations, agents int) error {
	c := w.client(w.options.Clients)
	a, _ := c.until(ctx, ask{method: http.MethodPost, path: "/oauth2/token", basic: w.options.Operator, body: url.Values{
		"grant_type": {"client_credentials"},
		"scope":      {"admin:orgs agents:read agents:write audit:read tokens:read"},
	}})
	if a.result != Acknowledged {
		return fmt.Errorf("the operator's token: %s", a)
	}
	w.operator = a.text("access_token")
	for range organizations {
		if err := c.found(ctx, agents); err != nil {
			return err
		}
	}
	return nil
}

// Run has all clients work until ctx ends. What they are in the middle of then
// counts as unanswered.
func (w *Workload) Run(ctx context.Context) {
	var clients sync.WaitGroup
	for n := range w.options.Clients {
		clients.Go(func() {
			c := w.client(n)
			for between(ctx, c.rng, 0, w.options.Think) {
				c.work(ctx)
			}
		})
	}
	clients.Wait()
}

// LookBack uses what was ended and what was not once more, on every node, when
// all has healed: a sample of so many of each.
func (w *Workload) LookBack(ctx context.Context, sample int) {
	for i, node := range w.options.Nodes {
		c := w.client(w.options.Clients + 1 + i)
		c.nodes = []string{node}
		for range sample {
			who := c.anyAgent(anything)
			if who == nil {
				return
			}
			for _, look := range looks {
				look(c, ctx, who)
			}
		}
	}
}

// looks are what shows on each node that all is as it was acknowledged.
var looks = []func(*client, context.Context, *agent){
	(*client).use, (*client).introspect, (*client).issue, (*client).verifyLent, (*client).exchange,
	func(c *client, ctx context.Context, who *agent) { c.look(ctx, who) },
	(*client).trail, (*client).lookAtTier, (*client).lookAtOrganization,
}

// work is one operation of a client.
func (c *client) work(ctx context.Context) {
	total := 0
	for _, d := range deeds {
		total += d.weight
	}
	at := c.rng.IntN(total)
	for _, d := range deeds {
		if at -= d.weight; at >= 0 {
			continue
		}
		if who := c.anyAgent(d.with); who != nil {
			d.do(c, ctx, who)
		}
		return
	}
}

// deeds are what clients do, how often compared with the others, and with what
// agents if there are any.
var deeds = []struct {
	weight int
	with   func(*agent) bool
	do     func(*client, context.Context, *agent)
}{
	{20, aSecret, (*client).issue},
	{18, aToken, (*client).use},
	{8, aToken, (*client).introspect},
	{4, anything, func(c *client, ctx context.Context, who *agent) { c.look(ctx, who) }},
	{2, anything, (*client).listAgents},
	{3, anything, (*client).trail},
	{1, anything, (*client).lookAhead},
	{5, anything, func(c *client, ctx context.Context, who *agent) { c.register(ctx, who.organization) }},
	{5, anything, (*client).update},
	{3, anything, (*client).rescope},
	{3, anything, (*client).suspendForAWhile},
	{1, anything, (*client).decommission},
	{4, anything, (*client).generate},
	{4, aSecret, (*client).rotate},
	{3, aSecret, (*client).revokeCredential},
	{4, aToken, (*client).revokeToken},
	{4, aToken, (*client).delegate},
	{5, aToken, (*client).lendDown},
	{8, aLoan, (*client).exchange},
	{3, aLoan, (*client).verifyLent},
	{3, aLoan, (*client).revokeDelegation},
	{2, anything, (*client).foundAnother},
	{1, anything, (*client).suspendOrganization},
	{1, anything, (*client).deleteOrganization},
	{2, authority, (*client).rename},
	{2, anything, (*client).addMember},
	{2, anything, (*client).changeTier},
	{2, anything, (*client).lookAtTier},
	{2, anything, (*client).lookAtOrganization},
	{3, anything, (*client).lookAtCheckpoint},
}
