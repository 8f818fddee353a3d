package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/schollz/progressbar/v3"

	"github.com/sentryagent/agentidp/eventstore"
	"github.com/sentryagent/agentidp/replay/move"
)

// shownCopy is the form for scripts.
type shownCopy struct {
	From          string            `json:"from"`
	To            string            `json:"to"`
	Proven        bool              `json:"proven"`
	Complete      bool              `json:"complete"`
	Copied        int64             `json:"copiedCount"`
	Events        int64             `json:"treeSize"`
	RootHash      string            `json:"rootHash"`
	Organizations []shownLog        `json:"organizations"`
	Difference    *move.Difference  `json:"difference"`
	Break         *eventstore.Break `json:"break"`
}

// shownLog is the log of an organization.
type shownLog struct {
	ID       uuid.UUID `json:"organizationId"`
	TreeSize int64     `json:"treeSize"`
	RootHash string    `json:"rootHash"`
}

// tellCopy prints how a copy ended. The error is for the exit code.
func tellCopy(w io.Writer, shown shownCopy, report move.CopyReport, ended error, json bool) (err error) {
	shown.Proven, shown.Complete, shown.Copied, shown.Events = report.Proven, report.Complete, report.Copied, report.Events
	shown.RootHash = base64.StdEncoding.EncodeToString(report.Root[:])
	shown.Organizations = make([]shownLog, len(report.Organizations))
	for i, log := range report.Organizations {
		shown.Organizations[i] = shownLog{log.ID, log.Size, base64.StdEncoding.EncodeToString(log.Root[:])}
	}
	errors.As(ended, &shown.Difference)
	errors.As(ended, &shown.Break)
	switch {
	case json:
		err = printJSON(w, shown)
	case ended == nil:
		_, err = fmt.Fprintf(w, "proven: %d events of %d organizations are the same in %s and %s; %d were copied\nroot hash of all of them: %s\n",
			shown.Events, len(shown.Organizations), shown.From, shown.To, shown.Copied, shown.RootHash)
	}
	if ended == nil {
		return err
	}
	return copyVerdict(ended)
}

// copyMeter shows where a copy is: by a bar with the time that is left on a
// terminal, and elsewhere by a line when one that follows is there for the first time.
type copyMeter struct {
	w        io.Writer
	bar      *progressbar.ProgressBar // nil where there is no terminal, and once it is done
	follow   bool
	caughtUp bool
	stage    move.CopyStage
	began    time.Time
}

func newCopyMeter(w io.Writer, follow bool) *copyMeter {
	return &copyMeter{w: w, bar: newBar(w, string(move.StageComparing), 1), follow: follow, began: time.Now()}
}

// report is called by one goroutine.
func (m *copyMeter) report(p move.CopyProgress) {
	if p.Stage == move.StageFollowing && !m.caughtUp {
		m.caughtUp = true
		m.done()
		fmt.Fprintf(m.w, "following: the target has everything up to position %d after %s; Ctrl-C ends it\n", p.Position, time.Since(m.began).Round(time.Second))
	}
	if m.bar == nil {
		return
	}
	if p.Stage != m.stage {
		m.stage = p.Stage
		m.bar.Reset() // the time that is left is that of the stage
	}
	m.bar.ChangeMax64(max(int64(p.Head), 1))
	m.bar.Describe(string(p.Stage))
	_ = m.bar.Set64(int64(p.Position)) // the terminal may be gone
}

// done takes the bar away.
func (m *copyMeter) done() {
	if m.bar != nil {
		_ = m.bar.Clear() // likewise
		m.bar = nil
	}
}
