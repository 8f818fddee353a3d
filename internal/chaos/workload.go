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
		if err := c.found(ctx); err != nil {
			return err
		}
		o := w.organizations[len(w.organizations)-1]
		for range agents {
			c.register(ctx, o)
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
			who := c.anyAgent()
			if who == nil {
				return
			}
			c.use(ctx, who)
			c.issue(ctx, who)
		}
	}
}

// work is one operation of a client.
func (c *client) work(ctx context.Context) {
	who := c.anyAgent()
	if who == nil {
		return
	}
	total := 0
	for _, d := range deeds {
		total += d.weight
	}
	at := c.rng.IntN(total)
	for _, d := range deeds {
		if at -= d.weight; at < 0 {
			d.do(c, ctx, who)
			return
		}
	}
}

// deeds are what clients do, and how often compared with the others.
var deeds = []struct {
	weight int
	do     func(*client, context.Context, *agent)
}{
	{24, (*client).issue},
	{20, (*client).use},
	{8, (*client).introspect},
	{6, func(c *client, ctx context.Context, who *agent) { c.register(ctx, who.organization) }},
	{6, (*client).update},
	{3, (*client).suspendForAWhile},
	{1, (*client).decommission},
	{4, (*client).generate},
	{4, (*client).rotate},
	{3, (*client).revokeCredential},
	{4, (*client).revokeToken},
	{5, (*client).delegate},
	{8, (*client).exchange},
	{3, (*client).revokeDelegation},
	{1, func(c *client, ctx context.Context, _ *agent) { _ = c.found(ctx) }},
	{1, func(c *client, ctx context.Context, who *agent) { c.suspendOrganization(ctx, who.organization) }},
	{1, func(c *client, ctx context.Context, who *agent) { c.renameOrganization(ctx, who.organization) }},
	{3, func(c *client, ctx context.Context, who *agent) { c.lookAtCheckpoint(ctx, who.organization) }},
}
