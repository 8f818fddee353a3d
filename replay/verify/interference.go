package verify

import (
	"context"

	"github.com/sentryagent/agentidp/eventstore"
)

// interfered is what was done to a stream past the ledger and can still be undone.
// It counts where all else holds: what is gone already is told by the events. Of a
// part of the ledger only the streams are looked at that the part has.
func (v *Verifier) interfered(ctx context.Context, p *pass, after eventstore.Position, whole bool) (*Finding, error) {
	all, err := eventstore.Interferences(ctx, v.store, after)
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		if _, _, met := p.chain.Head(i.Stream); whole || met {
			return FindingOf(i), nil
		}
	}
	return nil, nil
}

// FindingOf tells of an interference as a verification does.
func FindingOf(i eventstore.Interference) *Finding {
	return &Finding{
		Kind: Kind(i.Kind), EventID: i.EventID, Stream: i.Stream, Revision: i.Revision, Position: i.Position, Index: -1,
		Detail: "The stream " + i.Detail,
	}
}
