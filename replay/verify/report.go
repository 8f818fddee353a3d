package verify

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Report is what a verification found.
type Report struct {
	Checked    int64       // events
	Break      *Finding    // the first thing that is wrong, nil when everything holds
	TreeSize   int64       // entries of the log that the events were compared with
	Root       tlog.Hash   // of the events, at that size
	Checkpoint *Checkpoint // newest that the events agree with; nil: none
	// Tokens says that every token's issuance was held against the credential it
	// names. They are not where the events do not come from the beginning, or where
	// a bundle has too many credentials to remember.
	Tokens bool

	reached verified // for [Verifier.Remember]; without a tree: no place that counts
	all     bool     // from the beginning, so that it counts though what is kept came further
}

// Signed is how many of the events a checkpoint covers; those after them are
// proven by nothing but the log itself.
func (r Report) Signed() int64 {
	if r.Checkpoint == nil {
		return 0
	}
	return r.Checkpoint.Size
}

// Verify proves what the evidence is of. A token without a credential counts where
// all else holds.
func (ev *Evidence) Verify(ctx context.Context) (Report, error) {
	report, p, err := ev.prove(ctx)
	if err == nil && report.Break == nil {
		report.Break = p.unfounded
	}
	return report, err
}

// prove goes over the evidence, and over it again where something is wrong. It
// tells a finding only where both came to their end.
func (ev *Evidence) prove(ctx context.Context) (Report, *pass, error) {
	report, p, err := ev.judge(ctx)
	if err == nil && report.Break != nil {
		err = ctx.Err() // what was cut off proves nothing
	}
	if err != nil {
		return Report{}, p, err
	}
	return report, p, nil
}

func (ev *Evidence) judge(ctx context.Context) (Report, *pass, error) {
	p := ev.newPass()
	if err := p.run(ctx); err != nil {
		return Report{}, p, err
	}
	report := p.report()
	if p.suspect == nil && ev.Forged > 0 {
		report.Break = &Finding{Kind: AlteredLog, Index: -1, Detail: fmt.Sprintf(
			"The events hold, but %d of the stored checkpoints bear a false signature of the log's key: somebody put them there.", ev.Forged)}
	}
	if p.suspect == nil {
		return report, p, nil
	}
	var err error
	report.Break, err = ev.diagnose(ctx, p.suspect)
	return report, p, err
}

func (p *pass) report() Report {
	r := Report{Checked: p.chain.Count(), Checkpoint: p.agreed, Tokens: p.creds != nil && p.suspect == nil}
	if p.whole != nil {
		r.TreeSize, r.Root = p.whole.Size(), p.whole.Root()
	}
	return r
}
