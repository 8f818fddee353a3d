package model

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// EnableProjections has the server's own projections run: they add links to
// what was written, and to what will be.
func (c *Cluster) EnableProjections() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.links {
		return
	}
	c.links = true
	for _, r := range slices.Clone(c.log.records) {
		c.link(r)
	}
	if c.leader != nil {
		c.leader.seen = c.log.end
	}
	c.evaluate(byReturn)
}

// link adds the links to one event: by its category, by its type, by what it
// is correlated with, and to a new stream.
func (c *Cluster) link(r *Record) {
	if r.System() || r.Stream[0] == '$' {
		return
	}
	target := fmt.Sprintf("%d@%s", r.Revision, r.Stream)
	category, _, hasCategory := strings.Cut(r.Stream, "-")
	if r.Revision == 0 {
		c.log.addOwn("$streams", typeLink, target)
		if hasCategory {
			c.log.addOwn("$category-"+category, typeLink, r.Stream)
		}
	}
	if hasCategory {
		c.log.addOwn("$ce-"+category, typeLink, target)
	}
	c.log.addOwn("$et-"+r.Type, typeLink, target)
	var metadata struct {
		Correlation string `json:"$correlationId"`
	}
	if json.Unmarshal(r.Metadata, &metadata) == nil && metadata.Correlation != "" {
		c.log.addOwn("$bc-"+metadata.Correlation, typeLink, target)
	}
}
