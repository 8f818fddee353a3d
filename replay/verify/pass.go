package verify

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/projections/transparency"
)

// pass goes over evidence once. It may begin in the middle, with a tree and a
// seeded chain.
type pass struct {
	*Evidence
	visit func(context.Context, []Inspected) error // sees events before they count; nil: nobody does

	chain *eventstore.Chain
	creds *credentials       // nil: tokens are not held against them
	tree  *transparency.Tree // of the events so far, as long as something is known of them
	index int64              // of the next event
	size  int64              // of the log; less than it should be where entries are missing
	due   []Checkpoint       // not met yet, smallest first
	at    eventstore.Position

	agreed  *Checkpoint        // newest that the events agree with
	whole   *transparency.Tree // when it was as large as the log
	wholeAt eventstore.Position
	suspect *Finding // by what it stopped; what was done may be another thing
	short   bool     // an end came sooner than it should: that of the events or that of the log

	unfounded *Finding // the first token without a credential; it counts where all else holds
}

func (ev *Evidence) newPass() *pass {
	p := &pass{Evidence: ev, chain: eventstore.NewChain(ev.Options), tree: &transparency.Tree{}, size: ev.Size, due: ev.Checkpoints}
	if ev.FromBeginning {
		p.creds = newCredentials()
	}
	return p
}

// run goes on until the end, or until something does not hold: then suspect is
// set. The error is that it could not look.
func (p *pass) run(ctx context.Context) error {
	log := p.logged(ctx)
	defer log.Close()
	p.meet()
	for batch, err := range p.Events(ctx) {
		if err == nil && p.visit != nil {
			err = p.visit(ctx, batch)
		}
		if err != nil {
			return fmt.Errorf("after position %d: %w", p.chain.Position(), err)
		}
		for i := range batch {
			if err := p.take(&batch[i], log); err != nil || p.suspect != nil {
				return err
			}
		}
		if p.Progress != nil {
			p.Progress(len(batch))
		}
	}
	return p.end(log)
}

func (p *pass) take(e *Inspected, log *logged) error {
	here := place{p.index, e.Event}
	p.index++
	if found := p.follow(p.chain, e); found != nil {
		p.suspect = here.finding(AlteredEvent, "%s", found.Detail)
		p.suspect.Chain = found
		return nil
	}
	if p.creds != nil && p.unfounded == nil {
		if wrong := p.creds.take(&e.Event, e.deed); wrong != "" {
			p.unfounded = here.finding(UnfoundedToken, "A token was issued to agent %s under credential %s, but %s.", e.deed.agent, e.deed.credential, wrong)
		}
		if p.MaxCredentials > 0 && len(p.creds.known) > p.MaxCredentials {
			p.creds = nil
		}
	}
	if here.index >= p.size && len(p.due) == 0 {
		return nil // nothing is known of what comes now
	}
	if here.index < p.size {
		entry, ok, err := log.entry()
		switch {
		case err != nil:
			return fmt.Errorf("read the log at %d: %w", here.index, err)
		case !ok:
			p.short = true
			p.size = here.index
			p.keep()
		case entry != e.Reading.Hash:
			p.suspect = here.finding(AlteredEvent, "the log has %s in this place, the event is %s", entry, e.Reading.Hash)
			return nil
		}
	}
	p.tree.Append(e.Reading.Hash)
	p.at = e.Position
	p.meet()
	return nil
}

func (p *pass) keep() { p.whole, p.wholeAt = p.tree.Clone(), p.at }

// meet compares the tree with the log's size and the checkpoints of its own.
func (p *pass) meet() {
	size := p.tree.Size()
	if size == p.size {
		p.keep()
	}
	if len(p.due) == 0 || p.due[0].Size > size {
		return
	}
	for root := p.tree.Root(); len(p.due) > 0 && p.due[0].Size <= size; p.due = p.due[1:] {
		if p.due[0].Root != root {
			p.suspect = &Finding{Kind: Undetermined, Index: size - 1,
				Detail: fmt.Sprintf("with %d entries the log was signed with root %s; the events give %s", size, p.due[0].Root, root)}
			return
		}
		p.agreed = &p.due[0]
	}
}

// end looks at what should have come yet.
func (p *pass) end(log *logged) error {
	missing := func(format string, args ...any) {
		p.short = true
		p.suspect = &Finding{Kind: TruncatedTail, Index: p.index, Position: p.chain.Position() + 1, Detail: fmt.Sprintf(format, args...)}
	}
	if p.index < p.size {
		switch _, ok, err := log.entry(); {
		case err != nil:
			return fmt.Errorf("read the log at %d: %w", p.index, err)
		case ok:
			missing("the log has %d entries and there are only %d events", p.size, p.index)
			return nil
		}
		p.short = true
		p.size = p.index
		p.keep()
	}
	if len(p.due) > 0 {
		missing("the log was signed with %d entries and there are only %d events", p.due[len(p.due)-1].Size, p.index)
	} else if p.chain.Position() < p.Head {
		missing("the ledger ends at position %d, its head says %d", p.chain.Position(), p.Head)
		p.suspect.Chain = &eventstore.Break{Kind: eventstore.BreakGap, Position: p.Head, EventID: uuid.Nil, Detail: p.suspect.Detail}
	}
	return nil
}
