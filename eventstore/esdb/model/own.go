package model

// statsEvery is after how many events the server adds statistics of its own.
const statsEvery = 7

// attend adds what the server adds by itself to events that were written.
func (c *Cluster) attend(written []*Record) {
	for _, r := range written {
		if c.links {
			c.link(r)
		}
		if c.appends++; c.appends%statsEvery == 0 {
			c.log.addOwn("$stats-127.0.0.1:2113", typeStats, `{"proc":{}}`)
		}
	}
}
