package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/replay"
)

// shownReport is the form for scripts.
type shownReport struct {
	Verified    bool            `json:"verified"`
	Checked     int64           `json:"checkedCount"`
	Origin      string          `json:"origin"`
	VerifierKey string          `json:"verifierKey"`
	Pinned      bool            `json:"keyPinned"`
	TreeSize    int64           `json:"treeSize"`
	RootHash    string          `json:"rootHash"`
	Checkpoint  *shownAgreed    `json:"checkpoint"`
	Break       *replay.Finding `json:"break"`
}

// shownAgreed is the newest checkpoint that the events agree with.
type shownAgreed struct {
	TreeSize int64     `json:"treeSize"`
	RootHash string    `json:"rootHash"`
	SignedAt time.Time `json:"signedAt,omitzero"`
}

// tell prints what was found. The error is the finding, for the exit code.
func tell(w io.Writer, shown shownReport, report replay.Report, json bool) (err error) {
	shown.Verified, shown.Checked, shown.Break = report.Break == nil, report.Checked, report.Break
	shown.TreeSize, shown.RootHash = report.TreeSize, base64.StdEncoding.EncodeToString(report.Root[:])
	if c := report.Checkpoint; c != nil {
		shown.Checkpoint = &shownAgreed{c.Size, base64.StdEncoding.EncodeToString(c.Root[:]), c.SignedAt}
	}
	switch {
	case json:
		err = printJSON(w, shown)
	case report.Break != nil:
		_, err = io.WriteString(w, describe(report.Break))
	default:
		_, err = io.WriteString(w, shown.intact())
	}
	if report.Break != nil {
		err = errors.Join(brokenError{report.Break.Kind}, err)
	}
	return err
}

// brokenError is a ledger that is not intact; what is wrong has been printed.
type brokenError struct{ kind replay.Kind }

func (e brokenError) Error() string {
	return fmt.Sprintf("BROKEN: %s; docs/runbooks/broken-chain.md says what to do", e.kind)
}

func (s shownReport) intact() string {
	text := fmt.Sprintf("intact: %d events of %s\n", s.Checked, s.Origin)
	if c := s.Checkpoint; c == nil {
		text += "no checkpoint has been signed of it yet\n"
	} else {
		text += fmt.Sprintf("agrees with what was signed with %d entries", c.TreeSize)
		if !c.SignedAt.IsZero() {
			text += " at " + c.SignedAt.UTC().Format(time.RFC3339)
		}
		if later := s.TreeSize - c.TreeSize; later > 0 {
			text += fmt.Sprintf("; %d later ones are not signed yet", later)
		}
		text += "\n"
	}
	if !s.Pinned {
		text += "the key came with it: pin it with --key " + s.VerifierKey + "\n"
	}
	return text
}

func describe(f *replay.Finding) string {
	text := fmt.Sprintf("%s\n%s\n\n", f.Kind, f.Detail)
	line := func(name string, value any) { text += fmt.Sprintf("  %-14s%v\n", name, value) }
	line("index", f.Index)
	if f.Position != 0 {
		line("position", f.Position)
	}
	if f.EventID != uuid.Nil {
		line("event", f.EventID)
		line("stream", f.Stream)
		line("revision", f.Revision)
	}
	if f.Logged != nil {
		line("logged hash", f.Logged)
	}
	if f.Chain != nil {
		line("by its chain", f.Chain)
	}
	return text
}
