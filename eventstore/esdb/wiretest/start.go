package wiretest

import "testing"

// Start is [New] for one test, at whose end the cluster is closed.
func Start(tb testing.TB, nodes int, options ...Option) *Cluster {
	tb.Helper()
	c, err := New(nodes, options...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}
